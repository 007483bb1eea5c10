// A clock that a test moves. Timers fire in order of their time, and whatever they set off in promises
// has run before the next one fires. Does not honour: real I/O, which takes real time.

import type { Clock } from "../../../src/runtime/clock.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

/** Starts at `now` (milliseconds since the epoch). */
export class FakeClock implements Clock {
  #now: number;
  #order = 0;
  readonly #timers = new Set<Timer>();

  constructor(now = 1_700_000_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, fire: () => void): () => void {
    // Whole milliseconds and at least one, like setTimeout: a fraction could be lost in rounding, and
    // then time would stand still.
    const waitMs = ms <= 0 ? 0 : Math.max(1, Math.ceil(ms));
    const timer = { at: this.#now + waitMs, order: (this.#order += 1), fire };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Timers that are set: a test's end should leave none. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Lets `ms` pass. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (let next = this.#next(until); next !== undefined; next = this.#next(until)) {
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.fire();
      await settle();
    }
    this.#now = until;
  }

  #next(until: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at > until) continue;
      const earlier =
        first === undefined ||
        timer.at < first.at ||
        (timer.at === first.at && timer.order < first.order);
      if (earlier) first = timer;
    }
    return first;
  }
}

/** Everything that promises have to do has been done. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
