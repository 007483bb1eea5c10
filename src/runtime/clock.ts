// What time it is and how to wait: everything in runtime/ and kube/ that measures or waits takes a
// Clock, so that a test can own time.

/** Time and timers. `now` is in milliseconds since the epoch and never runs backwards. */
export interface Clock {
  now(): number;
  /** Calls `fire` once after `ms` milliseconds; the returned function cancels. */
  after(ms: number, fire: () => void): () => void;
}

/** setTimeout counts in a signed 32-bit number; more would fire at once. */
const longestTimerMs = 2 ** 31 - 1;

/** The real clock. Monotonic, so that a corrected wall clock never ends a lease or a backoff early. */
export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  after: (ms, fire) => {
    const timer = setTimeout(fire, Math.min(Math.max(ms, 0), longestTimerMs));
    return () => clearTimeout(timer);
  },
};

/** Waits `ms` milliseconds. Rejects with the signal's reason when it aborts first. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(asError(signal.reason));
      return;
    }
    const onAbort = (): void => {
      cancel();
      reject(asError(signal.reason));
    };
    const cancel = clock.after(ms, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** A signal that aborts with `reason()` after `ms`, or with `parent`'s reason; call `clear` when done. */
export interface Deadline {
  readonly signal: AbortSignal;
  clear(): void;
}

/** Derives a signal that aborts when `parent` does or when `ms` have passed, whichever is first. */
export function deadline(
  clock: Clock,
  ms: number,
  parent: AbortSignal,
  reason: () => Error,
): Deadline {
  const controller = new AbortController();
  const follow = (): void => controller.abort(parent.reason);
  if (parent.aborted) follow();
  else parent.addEventListener("abort", follow, { once: true });
  const cancel = clock.after(ms, () => controller.abort(reason()));
  return {
    signal: controller.signal,
    clear: () => {
      cancel();
      parent.removeEventListener("abort", follow);
    },
  };
}

/** Any thrown value as an Error: nothing below has to ask twice. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
}
