// The status of a run after one change. Pure, and the only writer of conditions. A finished run's status never changes.

import type { JobOutcome, SolveFacts, SolveFailure } from "../../agent/agent.ts";
import { findCondition, setCondition } from "../../api/condition.ts";
import type { Attempt, BuildRun, BuildRunStatus } from "../../api/v1alpha1/index.ts";
import type { BuilderRef } from "../../builder/index.ts";
import type { AttemptResult, WaitReason } from "../reconcile/decide.ts";
import type { PartName } from "../parts/split.ts";
import { accepted, bounded } from "./bound.ts";
import { cacheCondition, cacheOf } from "./caches.ts";
import { base, conditions, type Conditions, type Summary } from "./conditions.ts";
import { statusFailure } from "./failure.ts";
import { counts, noProgress, type Progress } from "./progress.ts";
import { callOf, resultOf, timingsOf, warningsOf } from "./result.ts";
import { oneLine, plainText } from "./text.ts";

/** What happened to a run. */
export type Change =
  | { readonly kind: "waiting"; readonly why: WaitReason; readonly builder?: BuilderRef }
  | {
      readonly kind: "claimed";
      readonly number: number;
      readonly ref: string;
      readonly builder: BuilderRef;
      readonly instance: string;
    }
  | { readonly kind: "running"; readonly progress: Progress }
  /** Runs of their own will build for some of the platforms each. */
  | { readonly kind: "split"; readonly parts: readonly PartName[]; readonly builder: BuilderRef }
  | {
      readonly kind: "parts";
      readonly parts: NonNullable<BuildRunStatus["parts"]>;
      readonly progress?: BuildRunStatus["progress"];
    }
  | { readonly kind: "retrying"; readonly attempt: AttemptResult; readonly failure: SolveFailure }
  | {
      readonly kind: "ended";
      readonly result: "Succeeded" | "Failed" | "Cancelled";
      readonly attempt?: AttemptResult;
      readonly outcome?: JobOutcome;
      readonly failure?: SolveFailure;
      readonly progress?: Progress;
      readonly notes?: AttemptNotes;
      /** What the parts of the run found out. */
      readonly told?: Partial<BuildRunStatus>;
    };

/** What the process that sent an attempt remembers of it; lost with that process. */
export interface AttemptNotes {
  /** Sentences for the message when a registry refuses. */
  readonly hints: readonly string[];
  /** Reading Secrets and writing the record, until the solve was sent. */
  readonly resolveMs: number;
}

/** Progress is written at most this often, in milliseconds. */
export const progressEveryMs = 5_000;

function builderField(
  { kind, namespace, name }: BuilderRef,
  instance?: string,
): NonNullable<BuildRunStatus["builder"]> {
  return {
    kind,
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(instance === undefined ? {} : { instance }),
  };
}

function waiting(
  run: BuildRun,
  now: Date,
  { why, builder }: Extract<Change, { kind: "waiting" }>,
): BuildRunStatus {
  const message = oneLine(why.message, 500);
  const summary: Summary = {
    succeeded: "Unknown",
    reason: why.phase,
    message,
    state: why.stalled ? "stuck" : "moving",
    detail: why.reason,
  };
  return {
    ...base(run),
    phase: why.phase,
    conditions: conditions(run, now, summary),
    ...(builder === undefined ? {} : { builder: builderField(builder) }),
    ...waited(run, now, why.reason),
    ...(why.ahead === undefined && !builderStarts.has(why.reason)
      ? {}
      : { queue: queued(run, now, { ...why, message }) }),
  };
}

/** Reasons to wait that are about a builder which can't take work yet. */
const builderStarts: ReadonlySet<string> = new Set([
  "BuilderNotReady",
  "NoInstance",
  "NoReadyInstance",
]);

function queued(
  { status }: BuildRun,
  now: Date,
  { ahead = 0, reason, message }: WaitReason,
): NonNullable<BuildRunStatus["queue"]> {
  const before = status?.queue;
  const since = before?.reason === reason ? before.since : undefined;
  return { position: ahead, reason, message, since: since ?? now.toISOString() };
}

/** Adds up what the run waited for its builder to start, once it waits for something else or for nothing. */
function waited({ status }: BuildRun, now: Date, reason?: string): Pick<BuildRunStatus, "timings"> {
  const { queue, timings } = status ?? {};
  if (queue?.since === undefined || !builderStarts.has(queue.reason) || queue.reason === reason)
    return {};
  const moreMs = Math.max(0, now.getTime() - Date.parse(queue.since));
  return { timings: { ...timings, builderStartMs: (timings?.builderStartMs ?? 0) + moreMs } };
}

function claimed(
  run: BuildRun,
  now: Date,
  change: Extract<Change, { kind: "claimed" }>,
): BuildRunStatus {
  const { number, ref, builder, instance } = change;
  const startedAt = now.toISOString();
  const attempt: Attempt = {
    number,
    ref,
    builder: { kind: builder.kind, name: builder.name },
    instance,
    startedAt,
  };
  const message = `Attempt ${number} runs on ${builder.kind} "${builder.name}", instance ${instance}.`;
  return {
    ...base(run),
    phase: "Running",
    conditions: conditions(run, now, {
      succeeded: "Unknown",
      reason: "Running",
      message,
      state: "moving",
    }),
    ...waited(run, now),
    builder: builderField(builder, instance),
    startTime: run.status?.startTime ?? startedAt,
    attempts: [...(run.status?.attempts ?? []), attempt],
  };
}

function splitUp(
  run: BuildRun,
  now: Date,
  { parts, builder }: Extract<Change, { kind: "split" }>,
): BuildRunStatus {
  const message = `Builds on ${parts.length} instances of ${builder.kind} "${builder.name}", each for platforms of its own; see status.parts.`;
  const summary = { succeeded: "Unknown", reason: "Running", message, state: "moving" } as const;
  return {
    ...base(run),
    phase: "Running",
    conditions: conditions(run, now, summary),
    ...waited(run, now),
    builder: builderField(builder),
    startTime: run.status?.startTime ?? now.toISOString(),
    parts: parts.map((part) => ({ run: part.run, platforms: [...part.platforms] })),
  };
}

function running(
  run: BuildRun,
  now: Date,
  { progress }: Extract<Change, { kind: "running" }>,
): BuildRunStatus | undefined {
  const status = run.status;
  if (status === undefined) return undefined;
  if (progressDueMs(run, progress, now) !== 0) return undefined;
  const { total, completed, cached, current } = counts(progress);
  const updatedAt = now.toISOString();
  return {
    ...status,
    progress: {
      total,
      completed,
      cached,
      ...(current === undefined ? {} : { current }),
      updatedAt,
    },
  };
}

/** When progress may be written that the status does not show, in milliseconds from now; undefined: it shows all. */
export function progressDueMs(run: BuildRun, progress: Progress, now: Date): number | undefined {
  const last = run.status?.progress;
  const { total, completed, cached, current } = counts(progress);
  const same =
    last?.total === total &&
    last.completed === completed &&
    last.cached === cached &&
    last.current === current;
  if (same || progress.vertices.size === 0) return undefined;
  if (last === undefined) return 0;
  return Math.max(0, Date.parse(last.updatedAt) + progressEveryMs - now.getTime());
}

/** The attempt list with one attempt closed. */
function closed(
  run: BuildRun,
  now: Date,
  { ref, outcome }: AttemptResult,
  failure?: SolveFailure,
): Attempt[] {
  return (run.status?.attempts ?? []).map((attempt) =>
    attempt.ref !== ref || attempt.finishedAt !== undefined
      ? attempt
      : {
          ...attempt,
          finishedAt: now.toISOString(),
          outcome,
          ...(failure === undefined
            ? {}
            : {
                class: failure.class,
                reason: failure.reason,
                message: plainText(failure.message, 500),
              }),
        },
  );
}

function retrying(
  run: BuildRun,
  now: Date,
  { attempt, failure }: Extract<Change, { kind: "retrying" }>,
): BuildRunStatus {
  const message = `Attempt ${run.status?.attempts?.length ?? 0} ended (${failure.reason}) and will be repeated: ${failure.message}`;
  const { progress: _, ...rest } = base(run);
  return {
    ...rest,
    phase: "Queued",
    conditions: conditions(run, now, {
      succeeded: "Unknown",
      reason: "Queued",
      message,
      state: "moving",
      detail: "Retrying",
    }),
    attempts: closed(run, now, attempt, failure),
  };
}

function ended(
  run: BuildRun,
  now: Date,
  change: Extract<Change, { kind: "ended" }>,
): BuildRunStatus {
  const { result, attempt, failure } = change;
  const written = failure && statusFailure(failure, change.notes?.hints);
  const summary: Summary =
    result === "Succeeded"
      ? {
          succeeded: "True",
          reason: "Succeeded",
          message: successMessage(run, change.outcome),
          state: "settled",
        }
      : {
          succeeded: "False",
          reason: written?.reason ?? result,
          message: written?.message ?? result,
          state: "stuck",
        };
  const known = found(run, now, change);
  const { told } = change;
  return {
    ...base(run),
    phase: result,
    conditions: withCache(run, now, conditions(run, now, summary), known.cache ?? told?.cache),
    completionTime: now.toISOString(),
    ...(attempt && { attempts: closed(run, now, attempt, failure) }),
    ...known,
    ...told,
    ...(told?.timings && { timings: { ...known.timings, ...told.timings } }),
    failure: written,
  };
}

function withCache(
  run: BuildRun,
  now: Date,
  list: Conditions,
  report: BuildRunStatus["cache"],
): Conditions {
  const told = cacheCondition(report);
  if (told === undefined) return list;
  const condition = { type: "CacheExported", ...told, message: oneLine(told.message, 1000) };
  return setCondition(list, condition, {
    now,
    observedGeneration: run.metadata.generation ?? 0,
  });
}

/** What is known of the solve that ended the run. */
function found(
  run: BuildRun,
  now: Date,
  change: Extract<Change, { kind: "ended" }>,
): Partial<BuildRunStatus> {
  const { outcome, progress, notes } = change;
  const facts = outcome?.kind === "succeeded" ? outcome.facts : undefined;
  const results = resultsOf(run, change, facts);
  if (progress === undefined) {
    const timings =
      run.status?.parts && timingsOf(run, noProgress, { end: now, resolveMs: undefined });
    return { progress: undefined, ...(timings && { timings }), ...results };
  }
  const { total, completed, cached } = counts(progress);
  return {
    progress: { total, completed, cached, updatedAt: now.toISOString() },
    timings: timingsOf(run, progress, { end: now, resolveMs: notes?.resolveMs }),
    cache: cacheOf(run, progress, facts),
    ...results,
  };
}

function resultsOf(
  run: BuildRun,
  { progress, attempt }: Extract<Change, { kind: "ended" }>,
  facts: SolveFacts | undefined,
): Partial<BuildRunStatus> {
  const warnings = warningsOf(progress, facts?.call);
  return {
    ...(facts === undefined ? {} : resultOf(run, facts)),
    ...(facts?.call === undefined ? {} : { call: callOf(facts.call, attempt?.ref ?? "") }),
    ...(warnings === undefined ? {} : { warnings }),
  };
}

function successMessage(run: BuildRun, outcome: JobOutcome | undefined): string {
  const { images = [], files = [] } = outcome?.kind === "succeeded" ? outcome.facts : {};
  const image = run.spec.outputs.find((output) => output.image !== undefined)?.image;
  if (image === undefined)
    return files[0] === undefined ? "The build succeeded." : `Wrote ${files[0].location}.`;
  const { push, tags } = image;
  const [made] = images;
  if (made === undefined || tags[0] === undefined) return "The build succeeded.";
  return `${push ? "Pushed" : "Built"} ${tags[0]}@${made.digest}.`;
}

/** The status after a change, never over 32 KiB; undefined when nothing is to be written. */
export function nextStatus(run: BuildRun, change: Change, now: Date): BuildRunStatus | undefined {
  if (run.status?.completionTime !== undefined) return undefined;
  const next = changed(run, change, now);
  if (next === undefined || sameStatus(run.status, next)) return undefined;
  return accepted(bounded(next));
}

function changed(run: BuildRun, change: Change, now: Date): BuildRunStatus | undefined {
  switch (change.kind) {
    case "waiting":
      return waiting(run, now, change);
    case "claimed":
      return claimed(run, now, change);
    case "running":
      return running(run, now, change);
    case "split":
      return splitUp(run, now, change);
    case "parts":
      return run.status && { ...run.status, parts: change.parts, progress: change.progress };
    case "retrying":
      return retrying(run, now, change);
    case "ended":
      return ended(run, now, change);
  }
}

function sameStatus(a: BuildRunStatus | undefined, b: BuildRunStatus): boolean {
  return a !== undefined && canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([x], [y]) => (x < y ? -1 : 1)))
      : part,
  );
}

/** The reason of a run's `Succeeded` condition. */
export function reasonOf(status: BuildRunStatus): string {
  return findCondition(status.conditions, "Succeeded")?.reason ?? "";
}
