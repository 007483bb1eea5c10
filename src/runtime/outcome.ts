// What one reconcile asks of the queue. Nothing else leaves a reconciler, and this file is the only
// place that turns an error into a decision about trying again.

/** What one reconcile asks of the queue: nothing, another look after `ms`, or a retry with backoff. */
export type Outcome =
  | { readonly kind: "done" }
  | { readonly kind: "after"; readonly ms: number }
  | { readonly kind: "retry"; readonly cause: unknown };

/** Nothing more to do until something changes. */
export const done: Outcome = { kind: "done" };

/** Look again after `ms` milliseconds, or earlier when something changes. */
export function after(ms: number): Outcome {
  return { kind: "after", ms };
}

/** Try again with the key's backoff; the controller logs `cause` once. */
export function retry(cause: unknown): Outcome {
  return { kind: "retry", cause };
}

/** The user has to act: the status says so, and trying again changes nothing. */
export class Stalled extends Error {
  /** CamelCase condition reason. */
  readonly reason: string;

  constructor(reason: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "Stalled";
    this.reason = reason;
  }
}

/** Not yet, and not an error: somebody else is at work; look again after `retryAfterMs`. */
export class Waiting extends Error {
  /** CamelCase condition reason. */
  readonly reason: string;
  readonly retryAfterMs: number;

  constructor(reason: string, message: string, retryAfterMs: number) {
    super(message);
    this.name = "Waiting";
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The decision that belongs to a thrown error; anything unknown is retried with backoff. */
export function outcomeOf(error: unknown): Outcome {
  if (error instanceof Stalled) return done;
  if (error instanceof Waiting) return after(error.retryAfterMs);
  return retry(error);
}

/**
 * Whether a cause is part of normal life (an optimistic lock that somebody else won), so that the
 * log says `info` and not `error`. Errors opt in with `readonly expected = true`.
 */
export function isExpected(cause: unknown): boolean {
  return cause instanceof Error && "expected" in cause && cause.expected === true;
}
