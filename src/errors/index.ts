// The one error type that crosses folders: who has to act, why, and what to do about it.

/** Who has to act. `User` and `Policy` are never retried; the others say so by `retryable`. */
export type ErrorClass = "User" | "Source" | "Registry" | "Builder" | "Infra" | "Policy";

/** What a `KilnError` is made of. `message` is one sentence that says what to do; it never holds a secret. */
export interface KilnErrorInit {
  readonly class: ErrorClass;
  /** CamelCase, stable: also the condition reason and the metric label. */
  readonly reason: string;
  readonly message: string;
  /** Whether the same attempt may succeed later without anybody changing anything. Default: false. */
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

/** An error with a class, a CamelCase reason and one sentence for the person who reads it. */
export class KilnError extends Error {
  readonly class: ErrorClass;
  readonly reason: string;
  readonly retryable: boolean;

  constructor(init: KilnErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.name = "KilnError";
    this.class = init.class;
    this.reason = init.reason;
    this.retryable = init.retryable ?? false;
  }
}
