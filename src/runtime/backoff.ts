// How long to wait before try number n. Pure: randomness comes in as an argument.

/** The shape of an exponential backoff, in milliseconds. */
export interface BackoffPolicy {
  /** Wait before the first retry. */
  readonly baseMs: number;
  /** No wait is longer than this, jitter included. */
  readonly maxMs: number;
  /** What each wait is multiplied by. */
  readonly factor: number;
  /** Share of the wait that is random: 0.2 takes between 80 % and 100 % of it. */
  readonly jitter: number;
}

/** Retries of one key of a controller: 50 ms doubling to 5 minutes. */
export const reconcileBackoff: BackoffPolicy = {
  baseMs: 50,
  maxMs: 300_000,
  factor: 2,
  jitter: 0.2,
};

/** Restarts of a list or watch: 0.8 s doubling to 30 s, half of it random so that replicas spread. */
export const watchBackoff: BackoffPolicy = { baseMs: 800, maxMs: 30_000, factor: 2, jitter: 0.5 };

/**
 * The wait before retry number `retry` (0 is the first), in whole milliseconds.
 * `random` is in [0, 1). Grows with `retry`, never above `maxMs`, never below `baseMs * (1 - jitter)`.
 */
export function backoffMs(policy: BackoffPolicy, retry: number, random: number): number {
  const wait = Math.min(policy.maxMs, policy.baseMs * policy.factor ** Math.max(0, retry));
  return Math.ceil(wait * (1 - policy.jitter * random));
}
