// What to do with a Bake now: world → exactly one step. Pure; every rule about cancelling, failing and expiring of a Bake
// is in this file.

import { durationMs } from "../../api/schema.ts";
import type { Bake, BakeStatus, BakeTargetStatus, BuildRun } from "../../api/v1alpha1/index.ts";
import { isTerminal } from "../../buildrun/reconcile/attempts.ts";
import { KilnError } from "../../errors/index.ts";
import type { BakePlan, TargetPlan } from "../plan/plan.ts";
import type { BakeWorld } from "./world.ts";

/** Why a Bake failed. */
export type BakeFailure = NonNullable<BakeStatus["failure"]>;

/** How a Bake ends. */
export interface Ending {
  readonly phase: "Succeeded" | "Failed" | "Cancelled";
  readonly failure?: BakeFailure;
}

/** One decision. */
export type Step =
  | { readonly kind: "rest" }
  /** The file can not be read yet: somebody has to do something. */
  | { readonly kind: "wait"; readonly reason: string; readonly message: string }
  /** Write down which targets there are. */
  | { readonly kind: "plan"; readonly plan: BakePlan }
  /** Create the BuildRuns of these targets. */
  | { readonly kind: "spawn"; readonly targets: readonly TargetPlan[] }
  /** Cancel these BuildRuns. */
  | { readonly kind: "halt"; readonly runs: readonly BuildRun[] }
  | { readonly kind: "follow" }
  /** Write down why it fails; it ends when its BuildRuns have. */
  | { readonly kind: "fail"; readonly failure: BakeFailure }
  | { readonly kind: "end"; readonly ending: Ending }
  /** Finished and kept; look again when its time is over. */
  | { readonly kind: "expire"; readonly inMs: number }
  | { readonly kind: "delete" };

const rest: Step = { kind: "rest" };

/** The step for a world. */
export function decide(world: BakeWorld): Step {
  const { bake } = world;
  // Its BuildRuns are deleted with it, and end their builds by themselves.
  if (bake.metadata.deletionTimestamp !== undefined) return rest;
  if (bake.status?.completionTime !== undefined) return afterwards(world);
  if (bake.status?.targets === undefined) return begin(world);
  return attend(world, bake.status.targets);
}

function begin({ bake, plan, now, missingGraceMs }: BakeWorld): Step {
  if (bake.spec.cancel) return end("Cancelled", cancelled());
  if (plan === undefined) return rest;
  if (!(plan instanceof KilnError)) return { kind: "plan", plan };
  const created = Date.parse(bake.metadata.creationTimestamp ?? "");
  // One `kubectl apply` of a folder has no order: what is missing may be on its way.
  const mayCome = missing.has(plan.reason) && now.getTime() < created + missingGraceMs;
  const { reason, message } = plan;
  return mayCome ? { kind: "wait", reason, message } : end("Failed", failureOf(plan));
}

const missing: ReadonlySet<string> = new Set([
  ...["ConfigMapNotFound", "ConfigMapKeyNotFound", "ConfigMapForbidden", "ServiceAccountNotFound"],
]);

type Targets = readonly BakeTargetStatus[];

function attend(world: BakeWorld, targets: Targets): Step {
  const { bake, runs } = world;
  const found = [...runs.values()];
  const open = found.filter((run) => !isTerminal(run));
  const written = bake.status?.failure;
  const failure = written ?? firstFailure(world, targets);
  const isFailing = failure !== undefined && (bake.spec.failFast || written !== undefined);
  if (bake.spec.cancel || isFailing) {
    const heedless = open.filter(({ spec }) => !spec.cancel);
    if (heedless.length > 0) return { kind: "halt", runs: heedless };
    if (open.length > 0) return { kind: "follow" };
    return bake.spec.cancel ? end("Cancelled", cancelled()) : end("Failed", failure);
  }
  const absent = absentOf(targets, runs);
  if (absent.length > 0) return spawn(world, absent);
  if (open.length > 0) return { kind: "follow" };
  return failure === undefined ? end("Succeeded") : end("Failed", failure);
}

/** Targets whose BuildRuns were not created yet; one with a phase had a BuildRun, and gets no other. */
export function absentOf(targets: Targets, runs: ReadonlyMap<string, BuildRun>): Targets {
  return targets.filter(({ name, phase }) => phase === undefined && !runs.has(name));
}

function spawn({ bake, plan }: BakeWorld, absent: Targets): Step {
  if (plan === undefined || plan instanceof KilnError || plan.digest !== bake.status?.fileDigest) {
    const why = plan instanceof KilnError ? ` (${plan.message})` : "";
    const message = `The Bake file changed before all BuildRuns were created${why}: create a new Bake.`;
    return { kind: "fail", failure: { class: "User", reason: "BakeFileChanged", message } };
  }
  const names = new Set(absent.map(({ name }) => name));
  return { kind: "spawn", targets: plan.targets.filter(({ name }) => names.has(name)) };
}

/**
 * The target whose failure is told: one that failed by itself, before one that failed because another did, before one that
 * was cancelled. Of several the first: targets come after those that they build from.
 */
function firstFailure({ runs }: BakeWorld, targets: Targets): BakeFailure | undefined {
  const all = targets.flatMap(({ name, run: runName, phase }): RankedFailure[] => {
    const run = runs.get(name);
    if (run === undefined) return phase === undefined ? [] : [{ rank: 0, ...gone(name, runName) }];
    const { status } = run;
    if (status?.completionTime === undefined || status.phase === "Succeeded") return [];
    const { class: who, reason, message } = status.failure ?? stopped;
    const rank = status.phase !== "Failed" ? 2 : reason === "BuildRunFailed" ? 1 : 0;
    const text = `target "${name}": ${message}`;
    return [{ rank, class: who, reason, message: text, target: name }];
  });
  const [first] = all.toSorted((a, b) => a.rank - b.rank);
  if (first === undefined) return undefined;
  const { rank: _, ...failure } = first;
  return failure;
}

type RankedFailure = BakeFailure & { readonly rank: number };

const stopped = {
  class: "User",
  reason: "Cancelled",
  message: "its BuildRun was cancelled.",
} as const;

function gone(target: string, run: string): BakeFailure {
  const message = `target "${target}": its BuildRun "${run}" was deleted. Create a new Bake.`;
  return { class: "User", reason: "BuildRunDeleted", message, target };
}

function cancelled(): BakeFailure {
  return { class: "User", reason: "Cancelled", message: "The Bake was cancelled by spec.cancel." };
}

function failureOf({ class: who, reason, message }: KilnError): BakeFailure {
  return { class: who, reason, message };
}

function end(phase: Ending["phase"], failure?: BakeFailure): Step {
  return { kind: "end", ending: { phase, ...(failure === undefined ? {} : { failure }) } };
}

function afterwards({ bake, now }: Pick<BakeWorld, "now"> & { readonly bake: Bake }): Step {
  const { ttlAfterFinished } = bake.spec;
  if (ttlAfterFinished === undefined) return rest;
  const ended = Date.parse(bake.status?.completionTime ?? "");
  const leftMs = ended + durationMs(ttlAfterFinished) - now.getTime();
  return leftMs > 0 ? { kind: "expire", inMs: leftMs } : { kind: "delete" };
}
