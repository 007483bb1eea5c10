// How far is a solve? A pure fold over its events: steps in the order they began, when each ran, how far its parts
// are, the end of its output, its warnings. Memory is bounded by the build graph, not by what steps print.
// What counts as a step, and when a group of steps is shown, is as in BuildKit's own display
// (util/progress/progressui, v0.34.2).
import {
  instant,
  type LogEvent,
  type ProgressEvent,
  type SolveEvent,
  type VertexEvent,
  type WarningEvent,
} from "./events.ts";
import { mergeIntervals, type Interval } from "./intervals.ts";
import { appendChunk, limitTail, noOutput, type LogTail } from "./log-tail.ts";

/** How far a part of a step is. Times in nanoseconds since the epoch. */
export interface StepPart {
  readonly id: string;
  readonly current: number;
  /** 0: not known. */
  readonly total: number;
  readonly timestamp: bigint;
  readonly started?: bigint;
  readonly completed?: bigint;
}

/** A step as people see it: one vertex of the build graph, or a group of them. */
export interface Step {
  /** Digest of the vertex, or id of the group. */
  readonly id: string;
  readonly name: string;
  readonly cached: boolean;
  /** Plain text of the failure; ends in "context canceled" for a step that was stopped. */
  readonly error?: string;
  /** A weak group that nothing has revealed: not shown, not counted. */
  readonly hidden: boolean;
  /** Merged, in order; a step that started again has several. */
  readonly intervals: readonly Interval[];
  /** In order of start. */
  readonly parts: readonly StepPart[];
  readonly warnings: readonly WarningEvent[];
  /** More warnings than are kept. */
  readonly warningsDropped: number;
  readonly output: LogTail;
  /** Every run by its start, as last told: what `intervals` are merged from. */
  readonly runs: ReadonlyMap<bigint, Interval>;
  /** Members of a group by digest. */
  readonly members?: ReadonlyMap<string, VertexEvent>;
}

/** Everything a display shows. */
export interface ProgressState {
  /** By id, in order of first mention. */
  readonly steps: ReadonlyMap<string, Step>;
  /** Ids of the steps that began and are not hidden, in that order. */
  readonly shown: readonly string[];
  /** Group of a vertex. */
  readonly groupOf: ReadonlyMap<string, string>;
  /** When the first step began, and the local time at which we learned of it: how the clocks differ. */
  readonly began?: { readonly daemon: bigint; readonly local: bigint };
}

/** Nothing reported yet. */
export const noProgress: ProgressState = { steps: new Map(), shown: [], groupOf: new Map() };

const runningLimits = { lines: 1_000, characters: 64 * 1024 };
const doneLimits = { lines: 10, characters: 4 * 1024 };
const maxWarnings = 256;
const maxParts = 1_024;

const emptyStep = {
  cached: false,
  intervals: [],
  parts: [],
  warnings: [],
  warningsDropped: 0,
  output: noOutput,
  runs: new Map<bigint, Interval>(),
} as const;

/** Whether a step has begun. */
export function isStarted(step: Step): boolean {
  return step.intervals.length > 0;
}

/** Whether every run of a step has ended; one that never began is not done. */
export function isCompleted(step: Step): boolean {
  const last = step.intervals.at(-1);
  return last?.stop !== undefined;
}

/** Whether a step ended because the build was stopped, not because it failed. */
export function isCanceled(step: Step): boolean {
  return step.error?.endsWith("context canceled") ?? false;
}

/** The step that a vertex belongs to. */
export function stepOf(state: ProgressState, vertex: string): Step | undefined {
  return state.steps.get(state.groupOf.get(vertex) ?? vertex);
}

/** Seconds from the start of a step's current run until a time; 0 before it began. */
export function secondsInto(step: Step, time: bigint): number {
  const last = step.intervals.at(-1);
  return last === undefined ? 0 : Number(time - last.start) / 1_000_000_000;
}

/** Nanoseconds since the epoch by the daemon's clock, for a local time in milliseconds. */
export function daemonTime(state: ProgressState, nowMs: number): bigint {
  const local = nanosOfMs(nowMs);
  return state.began === undefined ? local : state.began.daemon + (local - state.began.local);
}

/** Steps of the build, as far as they are known. */
export function countSteps(state: ProgressState): {
  readonly total: number;
  readonly completed: number;
  readonly cached: number;
  readonly failed: number;
  readonly warnings: number;
} {
  const steps = [...state.steps.values()].filter(({ hidden }) => !hidden);
  const count = (is: (step: Step) => boolean): number => steps.filter(is).length;
  return {
    total: steps.length,
    completed: count(isCompleted),
    cached: count(({ cached }) => cached),
    failed: count((step) => step.error !== undefined && !isCanceled(step)),
    warnings: steps.reduce((sum, step) => sum + step.warnings.length + step.warningsDropped, 0),
  };
}

/** The state after more events, such as those of one status message; `nowMs` is the local time, milliseconds. */
export function advance(
  state: ProgressState,
  events: readonly SolveEvent[],
  nowMs: number,
): ProgressState {
  const draft: Draft = {
    steps: new Map(state.steps),
    shown: [...state.shown],
    groupOf: state.groupOf,
    began: state.began,
    nowMs,
  };
  for (const event of events) {
    if (event.kind === "vertex") vertex(draft, event);
    else if (event.kind === "progress") part(draft, event);
    else if (event.kind === "log") output(draft, event);
    else warning(draft, event);
  }
  const { steps, shown, groupOf, began } = draft;
  return { steps, shown, groupOf, ...(began === undefined ? {} : { began }) };
}

/** The state while one batch of events goes in: its maps are its own, what they hold is not. */
interface Draft {
  readonly steps: Map<string, Step>;
  readonly shown: string[];
  groupOf: ReadonlyMap<string, string>;
  began: ProgressState["began"] | undefined;
  readonly nowMs: number;
}

function nanosOfMs(ms: number): bigint {
  return BigInt(Math.round(ms * 1_000)) * 1_000n;
}

function runOf(event: VertexEvent): Interval | undefined {
  if (event.started === undefined) return undefined;
  const start = instant(event.started, event.nanos?.started);
  if (event.completed === undefined) return { start };
  return { start, stop: instant(event.completed, event.nanos?.completed) };
}

function keep(draft: Draft, before: Step | undefined, step: Step): void {
  draft.steps.set(step.id, step);
  const wasShown = before !== undefined && isStarted(before) && !before.hidden;
  if (!wasShown && isStarted(step) && !step.hidden) draft.shown.push(step.id);
  const start = step.intervals[0]?.start;
  if (start !== undefined) draft.began ??= { daemon: start, local: nanosOfMs(draft.nowMs) };
}

function withRuns(step: Step, runs: readonly (Interval | undefined)[]): Step {
  const all = new Map(step.runs);
  for (const run of runs) if (run !== undefined) all.set(run.start, run);
  const next = { ...step, runs: all, intervals: mergeIntervals(all.values()) };
  // What a step printed is of use while it runs, and when it fails.
  const isOver = isCompleted(next) && next.error === undefined;
  return isOver ? { ...next, output: limitTail(next.output, doneLimits) } : next;
}

function vertex(draft: Draft, event: VertexEvent): void {
  if (event.group !== undefined) {
    member(draft, event, event.group);
    return;
  }
  const before = draft.steps.get(event.digest);
  // A first record without a start may come twice; it takes nothing back.
  if (before !== undefined && isStarted(before) && event.started === undefined) return;
  const step: Step = {
    ...(before ?? { ...emptyStep, hidden: false }),
    id: event.digest,
    name: event.name,
    cached: event.cached,
  };
  keep(draft, before, withRuns(withError(step, event.error), [runOf(event)]));
}

function withError(step: Step, error: string | undefined): Step {
  const { error: before, ...rest } = step;
  if (before === error) return step;
  return error === undefined ? rest : { ...rest, error };
}

function member(draft: Draft, event: VertexEvent, group: NonNullable<VertexEvent["group"]>): void {
  const before = draft.steps.get(group.id);
  const members = new Map(before?.members).set(event.digest, event);
  const all = [...members.values()];
  const isRevealed = all.some((one) => one.started !== undefined && one.group?.weak === false);
  const step: Step = {
    ...(before ?? { ...emptyStep, hidden: true }),
    id: group.id,
    name: before?.name ?? group.name,
    cached: all.every(({ cached }) => cached),
    members,
    hidden: (before?.hidden ?? true) && !isRevealed,
  };
  const error = before?.error ?? all.find((one) => one.error !== undefined)?.error;
  keep(draft, before, withRuns(withError(step, error), [runOf(event)]));
  draft.groupOf = new Map(draft.groupOf).set(event.digest, group.id);
}

function stepIn(draft: Draft, digest: string): Step | undefined {
  return draft.steps.get(draft.groupOf.get(digest) ?? digest);
}

function part(draft: Draft, event: ProgressEvent): void {
  const step = stepIn(draft, event.vertex);
  if (step === undefined) return;
  const { id, current, total, nanos, timestamp, started, completed } = event;
  const next: StepPart = {
    id,
    current,
    total,
    timestamp: timestamp === undefined ? 0n : instant(timestamp, nanos?.timestamp),
    ...(started === undefined ? {} : { started: instant(started, nanos?.started) }),
    ...(completed === undefined ? {} : { completed: instant(completed, nanos?.completed) }),
  };
  const at = step.parts.findIndex((one) => one.id === id);
  if (at === -1 && step.parts.length >= maxParts) return;
  const parts = at === -1 ? [...step.parts, next] : step.parts.with(at, next);
  draft.steps.set(step.id, { ...step, parts });
}

function output(draft: Draft, event: LogEvent): void {
  const step = stepIn(draft, event.vertex);
  if (step === undefined) return;
  const seconds = secondsInto(step, instant(event.timestamp, event.nanos?.timestamp));
  const limits = isCompleted(step) && step.error === undefined ? doneLimits : runningLimits;
  const chunk = { stream: event.stream, data: event.data, seconds };
  draft.steps.set(step.id, { ...step, output: appendChunk(step.output, chunk, limits) });
}

function warning(draft: Draft, event: WarningEvent): void {
  const step = stepIn(draft, event.vertex);
  if (step === undefined) return;
  const isFull = step.warnings.length >= maxWarnings;
  draft.steps.set(
    step.id,
    isFull
      ? { ...step, warningsDropped: step.warningsDropped + 1 }
      : { ...step, warnings: [...step.warnings, event] },
  );
}
