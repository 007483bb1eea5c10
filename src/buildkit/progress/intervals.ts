// When did a step run? Spans of time by the daemon's clock, some still open. Pure.

/** A span in nanoseconds since the epoch; without a stop it still goes on. */
export interface Interval {
  readonly start: bigint;
  readonly stop?: bigint;
}

function later(a: bigint | undefined, b: bigint | undefined): bigint | undefined {
  return a === undefined || b === undefined ? undefined : a > b ? a : b;
}

function span(start: bigint, stop: bigint | undefined): Interval {
  return stop === undefined ? { start } : { start, stop };
}

/** Joins spans that touch; an open one takes in all that start after it. In order of start. */
export function mergeIntervals(intervals: Iterable<Interval>): readonly Interval[] {
  const merged: Interval[] = [];
  const sorted = [...intervals].sort((a, b) => (a.start < b.start ? -1 : 1));
  for (const next of sorted) {
    const last = merged.at(-1);
    const apart = last?.stop !== undefined && last.stop < next.start;
    if (last === undefined || apart) merged.push(next);
    else merged[merged.length - 1] = span(last.start, later(last.stop, next.stop));
  }
  return merged;
}

/** Sum of the spans in seconds; `now` ends the open ones. */
export function secondsOf(intervals: readonly Interval[], now: bigint): number {
  return intervals.reduce(
    (sum, { start, stop }) => sum + Number((stop ?? now) - start) / 1_000_000_000,
    0,
  );
}
