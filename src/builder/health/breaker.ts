// When is a daemon asked again, and when does it take no runs? A circuit breaker: closed while it answers, open once it failed
// too often, half open while one question finds out whether it is back. Pure.

/** What is known of the answers of one daemon. Times are milliseconds of one clock. */
export interface Breaker {
  readonly state: "closed" | "open" | "half-open";
  /** Failures in a row. */
  readonly failures: number;
  /** How often it opened since it last was closed for `stableMs`: each time the first wait is longer. */
  readonly openings: number;
  /** When it closed; undefined until it first does. */
  readonly closedAt?: number;
}

/** What happened to a question. */
export type BreakerEvent = "asked" | "answered" | "failed";

/** A daemon that answers is asked again after this long. */
const healthyMs = 5_000;
/** One that does not, after this long, doubling up to the longest. */
const firstRetryMs = 250;
const longestRetryMs = 15_000;
/** A daemon that answered before may miss one question: the machine may be busy. */
const failuresAllowed = 1;
/** Closed for this long, it has made up for how often it opened. */
const stableMs = 60_000;
/** Each opening doubles the first wait, this often at most: one that comes and goes is asked less often. */
const openingsCounted = 4;

/** Nothing is known yet: the first failure counts. */
export const unknownBreaker: Breaker = { state: "half-open", failures: 0, openings: 0 };

/** The breaker after an event. */
export function advance(breaker: Breaker, event: BreakerEvent, now: number): Breaker {
  switch (event) {
    case "asked":
      return breaker.state === "open" ? { ...breaker, state: "half-open" } : breaker;
    case "answered":
      return answered(breaker, now);
    case "failed":
      return failed(breaker, now);
  }
}

/** Milliseconds until the next question. */
export function pauseMs({ state, failures, openings }: Breaker): number {
  if (state === "closed" && failures === 0) return healthyMs;
  const first = firstRetryMs * 2 ** Math.min(Math.max(openings - 1, 0), openingsCounted);
  return Math.min(longestRetryMs, first * 2 ** Math.min(Math.max(failures - 1, 0), 10));
}

function answered(breaker: Breaker, now: number): Breaker {
  const closedAt = breaker.state === "closed" ? (breaker.closedAt ?? now) : now;
  const openings = isStable({ ...breaker, closedAt }, now) ? 0 : breaker.openings;
  return { state: "closed", failures: 0, openings, closedAt };
}

function failed(breaker: Breaker, now: number): Breaker {
  const failures = breaker.failures + 1;
  if (breaker.state === "closed" && failures <= failuresAllowed) return { ...breaker, failures };
  const before = isStable(breaker, now) ? 0 : breaker.openings;
  // Half open, it was open already.
  const openings = breaker.state === "closed" || before === 0 ? before + 1 : before;
  return { ...breaker, state: "open", failures, openings };
}

function isStable({ state, closedAt }: Breaker, now: number): boolean {
  return state === "closed" && closedAt !== undefined && now - closedAt >= stableMs;
}
