// How many instances should there be? From what waits and what runs, within what a person allows: up with the queue, down
// only by instances that have been idle for long enough. Pure.

/** What a person allows. */
export interface Scaling {
  readonly min: number;
  readonly max: number;
  /** An instance without runs is kept this long, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** Instances that may be starting at once. */
  readonly maxStarting: number;
}

/** One instance that is not terminating. */
export interface Scaled {
  /** It takes runs, or would but for being full. */
  readonly usable: boolean;
  /** It is up: not one that is still starting. */
  readonly up: boolean;
  readonly running: number;
  /** Milliseconds without a run. */
  readonly idleMs: number;
  /** It goes when it is idle: its place is not to be counted on. */
  readonly leaving: boolean;
  /** Where instances go from the top: its place, counting from 0. */
  readonly ordinal?: number | undefined;
}

/** The question. */
export interface ScaleInput {
  readonly scaling: Scaling;
  /** Runs that an instance takes at once. */
  readonly capacity: number;
  readonly queued: number;
  /** Instances that somebody asked to have ready beforehand. */
  readonly prewarm: number;
  readonly instances: readonly Scaled[];
}

/** How many instances there should be now. Never fewer than those with runs, nor more than `max` unless they have runs. */
export function wantedInstances(input: ScaleInput): number {
  const { scaling, capacity, queued, prewarm, instances } = input;
  const busy = instances.filter(({ running }) => running > 0);
  const idle = instances.filter(({ running, leaving }) => running === 0 && !leaving);
  const free = busy
    .filter(({ usable, leaving }) => usable && !leaving)
    .reduce((sum, { running }) => sum + Math.max(0, capacity - running), 0);
  const extra = Math.ceil(Math.max(0, queued - free) / capacity);
  const warm = idle.filter(({ idleMs }) => idleMs < scaling.idleTimeoutMs);
  const asked = Math.max(
    busy.length + Math.max(extra, warm.length),
    top([...busy, ...warm]),
    scaling.min,
    prewarm,
  );
  const allowed = Math.max(Math.min(asked, scaling.max), busy.length, top(busy));
  const starting = idle.filter(({ up }) => !up).length;
  const startable = busy.length + idle.length + Math.max(0, scaling.maxStarting - starting);
  return Math.min(allowed, Math.max(startable, top(busy)));
}

/** Instances that must be there for the highest of these to be there. */
function top(instances: readonly Scaled[]): number {
  return Math.max(0, ...instances.map(({ ordinal }) => (ordinal ?? -1) + 1));
}

/** `2`, or `2 until 2026-01-31T08:00:00Z`: how many instances are asked for now. Anything else asks for none. */
export function prewarmed(annotation: string | undefined, now: Date): number {
  const match = /^\s*(\d{1,3})(?:\s+until\s+(\S+))?\s*$/.exec(annotation ?? "");
  if (match === null) return 0;
  const [, count, until] = match;
  if (until === undefined) return Number(count);
  return now.getTime() < Date.parse(until) ? Number(count) : 0;
}

/** Gaps between so many of the last starts are looked at. */
const gapsKnown = 16;

/**
 * How long an idle instance is kept, in milliseconds: `idleTimeoutMs`, or longer, up to `longestMs`, when runs usually
 * come further apart: twice the median gap between the last starts. `starts` are in milliseconds, oldest first.
 */
export function keptIdleMs(
  starts: readonly number[],
  { idleTimeoutMs, longestMs }: { readonly idleTimeoutMs: number; readonly longestMs: number },
): number {
  const recent = starts.slice(-gapsKnown - 1);
  const gaps = recent.slice(1).map((at, index) => at - (recent[index] ?? at));
  const usual = gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? 0;
  // Runs that come further apart than that would find no instance either way.
  if (usual > longestMs) return idleTimeoutMs;
  return Math.max(idleTimeoutMs, Math.min(2 * usual, longestMs));
}
