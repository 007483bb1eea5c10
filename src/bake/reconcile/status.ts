// The status of a Bake after a step: its targets as their BuildRuns tell, and the conditions that follow. Pure.

import { timestamp } from "../../api/condition.ts";
import type { Bake, BakeStatus, BakeTargetStatus, BuildRun } from "../../api/v1alpha1/index.ts";
import { conditions, type Summary } from "../../buildrun/status/conditions.ts";
import { plainText } from "../../buildrun/status/text.ts";
import type { BakePlan } from "../plan/plan.ts";
import { present } from "../plan/values.ts";
import type { BakeFailure, Ending } from "./decide.ts";

/** What a status is said about. */
export interface Told {
  readonly bake: Bake;
  readonly now: Date;
  readonly runs: ReadonlyMap<string, BuildRun>;
}

/** What happened. */
export type Change =
  | { readonly kind: "waiting"; readonly reason: string; readonly message: string }
  | { readonly kind: "planned"; readonly plan: BakePlan }
  | { readonly kind: "running" }
  /** It will fail, when its BuildRuns have ended. */
  | { readonly kind: "failing"; readonly failure: BakeFailure }
  | { readonly kind: "ended"; readonly ending: Ending };

const maxMessage = 2000;
const maxTargetMessage = 200;
/** Bytes of JSON that the targets may be, of the 32 KB that a status has. */
const maxTargetBytes = 24_000;

/** The next status; undefined when it says nothing new. */
export function nextStatus(told: Told, change: Change): BakeStatus | undefined {
  const before: BakeStatus = told.bake.status ?? {};
  const next = { ...before, ...changed(told, change) };
  const status: BakeStatus = {
    ...next,
    observedGeneration: told.bake.metadata.generation ?? 0,
    conditions: conditions(told.bake, told.now, summaryOf(next, change)),
  };
  return JSON.stringify(status) === JSON.stringify(before) ? undefined : status;
}

function changed(told: Told, change: Change): Partial<BakeStatus> {
  switch (change.kind) {
    case "waiting":
      return { phase: "Pending" };
    case "planned": {
      const targets = change.plan.targets.map(({ name, run, needs }) => ({
        name,
        run,
        ...(needs.length === 0 ? {} : { needs: [...needs] }),
      }));
      const startTime = timestamp(told.now);
      const { digest: fileDigest } = change.plan;
      return { phase: "Running", startTime, fileDigest, targets, progress: progressOf(targets) };
    }
    case "running":
      return { phase: "Running", ...targetsNow(told) };
    case "failing":
      return { phase: "Running", failure: plain(change.failure), ...targetsNow(told) };
    case "ended": {
      const { phase, failure } = change.ending;
      const completionTime = timestamp(told.now);
      return {
        phase,
        completionTime,
        ...targetsNow(told),
        ...(failure && { failure: plain(failure) }),
      };
    }
  }
}

/** A message may have words of the file, which is a stranger's. */
function plain(failure: BakeFailure): BakeFailure {
  return { ...failure, message: plainText(failure.message, maxMessage) };
}

function targetsNow({ bake, runs }: Told): Pick<BakeStatus, "targets" | "progress"> {
  const { targets } = bake.status ?? {};
  if (targets === undefined) return {};
  const now = bounded(targets.map((target) => targetNow(target, runs.get(target.name))));
  return { targets: now, progress: progressOf(now) };
}

function targetNow(before: BakeTargetStatus, run: BuildRun | undefined): BakeTargetStatus {
  // A BuildRun that is gone was something: what is known of it stays.
  if (run === undefined) return before;
  const { name, run: runName, needs } = before;
  const { phase = "Pending", builder, attempts, outputs = [], failure } = run.status ?? {};
  return {
    name,
    run: runName,
    phase,
    ...present({ needs, instance: builder?.instance, attempts: attempts?.length }),
    ...madeBy(outputs),
    ...(failure === undefined ? {} : told(failure)),
  };
}

type Outputs = NonNullable<NonNullable<BuildRun["status"]>["outputs"]>;

/** The first image, or where the first files are. */
function madeBy(outputs: Outputs): Partial<BakeTargetStatus> {
  const image = outputs.find((output) => output.image !== undefined)?.image;
  const files = outputs.find((output) => output.files !== undefined)?.files;
  const reference = image?.tags[0] ?? files?.location;
  return present({ image: reference?.slice(0, 512), digest: image?.digest ?? files?.digest });
}

function told({ reason, message }: NonNullable<NonNullable<BuildRun["status"]>["failure"]>) {
  return { reason, message: plainText(message, maxTargetMessage) };
}

/** The BuildRuns say all of it: what does not fit is left to them. */
function bounded(targets: readonly BakeTargetStatus[]): BakeTargetStatus[] {
  const bytes = (list: readonly BakeTargetStatus[]): number =>
    Buffer.byteLength(JSON.stringify(list));
  if (bytes(targets) <= maxTargetBytes) return [...targets];
  const silent = targets.map((target) => without(target, "message"));
  if (bytes(silent) <= maxTargetBytes) return silent;
  return silent.map((target) => without(target, "image", "instance"));
}

function without(
  target: BakeTargetStatus,
  ...keys: readonly (keyof BakeTargetStatus)[]
): BakeTargetStatus {
  const kept = Object.entries(target).filter(([key]) => !keys.includes(key as never));
  return Object.fromEntries(kept) as BakeTargetStatus;
}

function progressOf(targets: readonly BakeTargetStatus[]): NonNullable<BakeStatus["progress"]> {
  const over = targets.filter(({ phase = "" }) =>
    ["Succeeded", "Failed", "Cancelled"].includes(phase),
  );
  const failed = over.filter(({ phase }) => phase === "Failed");
  return { total: targets.length, completed: over.length, failed: failed.length };
}

function summaryOf({ progress, targets = [] }: BakeStatus, change: Change): Summary {
  const { total = 0, completed = 0 } = progress ?? {};
  switch (change.kind) {
    case "waiting":
      return { ...change, succeeded: "Unknown", state: "stuck" };
    case "planned":
    case "failing":
    case "running": {
      const message = `${completed} of ${total} targets are done.`;
      return { succeeded: "Unknown", reason: "Building", message, state: "moving" };
    }
    case "ended": {
      const { phase, failure } = change.ending;
      const built =
        targets.length === 1 ? "The target is built." : `All ${total} targets are built.`;
      if (failure === undefined)
        return { succeeded: "True", reason: phase, message: built, state: "settled" };
      const { reason, message } = failure;
      return { succeeded: "False", reason, message, state: "settled" };
    }
  }
}
