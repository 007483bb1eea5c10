// What to do with a run now: world → exactly one step. Pure; every rule about attempts, retries, cancelling, deleting
// and expiring is in this file, and every transition has a test.

import type { Attempt, BuildRun, BuildRunStatus } from "../../api/v1alpha1/index.ts";
import { attemptLost, type JobOutcome, type SolveFailure } from "../../agent/agent.ts";
import { durationMs } from "../../api/schema.ts";
import { admission } from "./checks.ts";
import { deadlineMs, isTerminal, mayRetry, nextAttemptMs, openAttempt } from "./attempts.ts";
import { attendParts, type PartsStep, type PartView } from "../parts/decide-parts.ts";
import { hasCollected } from "../places/config-maps.ts";
import { inherited } from "../parts/inherit.ts";
import { partsOf } from "../parts/split.ts";
import type { SolvePlan } from "../plan/plan.ts";
import { finalFailure } from "../status/failure.ts";
import { objection } from "./verdict.ts";
import type { BuilderView, Prepared, RunWorld, Unready } from "./world.ts";

/** Held on a run while an attempt may be running, so that deleting the run ends the solve first. */
export const solveFinalizer = "kiln.build/solve";

/** Why a run does not go on yet. `stalled`: somebody has to do something. */
export interface WaitReason {
  readonly phase: "Pending" | "Queued";
  readonly reason: string;
  readonly message: string;
  readonly stalled: boolean;
  /** Runs in front of this one. */
  readonly ahead?: number;
}

/** One decision. Everything that an effect needs to carry it out is in it or in the world. */
export type Step =
  /** Nothing is left to do for this object. */
  | { readonly kind: "rest" }
  /** Ends the run without (another) attempt. */
  | {
      readonly kind: "reject";
      readonly result: "Failed" | "Cancelled";
      readonly failure: SolveFailure;
      /** What the parts of the run found out. */
      readonly told?: Partial<BuildRunStatus>;
    }
  | { readonly kind: "wait"; readonly why: WaitReason; readonly recheckMs: number }
  /** A slot is held: read what the solve needs. `admit` makes a `start` of it, or not. */
  | {
      readonly kind: "claim";
      readonly plan: SolvePlan;
      readonly number: number;
      readonly builder: BuilderView;
      readonly instance: string;
    }
  /** Write the attempt down, then send the solve. */
  | {
      readonly kind: "start";
      readonly number: number;
      readonly builder: BuilderView;
      readonly instance: string;
      readonly prepared: Prepared;
    }
  /** The solve runs; look again at the latest in `recheckMs`. */
  | { readonly kind: "watch"; readonly recheckMs: number }
  /** An agent has the job, this process does not follow it yet. */
  | { readonly kind: "adopt"; readonly ref: string }
  | { readonly kind: "cancel"; readonly ref: string }
  /** The last attempt ended and with it the run. */
  | {
      readonly kind: "finish";
      readonly result: "Succeeded" | "Failed" | "Cancelled";
      readonly attempt: AttemptResult;
      readonly outcome?: JobOutcome;
      readonly failure?: SolveFailure;
    }
  /** The attempt ended; the run goes back to the queue. */
  | { readonly kind: "retry"; readonly attempt: AttemptResult; readonly failure: SolveFailure }
  /** Give the object up: take our finalizer off. */
  | { readonly kind: "release" }
  /** Finished and kept; look again when its time is over. */
  | { readonly kind: "expire"; readonly inMs: number }
  | { readonly kind: "delete" }
  | PartsStep;

/** A step that can be carried out: what a claim comes to is settled. */
export type FinalStep = Exclude<Step, { readonly kind: "claim" }>;

/** What is written into an attempt when it ends. */
export interface AttemptResult {
  readonly ref: string;
  readonly outcome: "Succeeded" | "Failed" | "Lost" | "Cancelled";
}

const rest: Step = { kind: "rest" };
/** How often a run is looked at when nobody rings: positions in the queue move, rings can be lost. */
const waitRecheckMs = 30_000;
const settleMs = 1_000;

/** The step for a world. */
export function decide(world: RunWorld): Step {
  const { run } = world;
  if (isTerminal(run)) return afterwards(world);
  const attempt = openAttempt(run);
  if (attempt !== undefined) return attend(world, attempt);
  if (isDeleting(run)) return giveUp(run);
  if (world.parts !== undefined) return partly(world, world.parts);
  if (run.spec.cancel) return { kind: "reject", result: "Cancelled", failure: cancelled() };
  if (isLate(world)) return { kind: "reject", result: "Failed", failure: timedOut(run) };
  return begin(world);
}

function begin(world: RunWorld): Step {
  const obstacle = inTheWay(world);
  if (obstacle !== undefined) return obstacle;
  const { builder, turn, run, now, plan, groups } = world;
  if (groups !== undefined) return { kind: "split", parts: partsOf(run, groups) };
  const pauseMs = nextAttemptMs(run) - now.getTime();
  if (pauseMs > 0) return backOff(pauseMs);
  if (builder === undefined || turn === undefined || !("request" in plan))
    return { kind: "watch", recheckMs: settleMs };
  if (turn.kind === "wait") {
    const { reason, message, ahead } = turn;
    const why: WaitReason = { phase: "Queued", reason, message, ahead, stalled: false };
    return { kind: "wait", why, recheckMs: waitRecheckMs };
  }
  return {
    kind: "claim",
    plan,
    number: (run.status?.attempts?.at(-1)?.number ?? 0) + 1,
    builder,
    instance: turn.instance,
  };
}

function inTheWay(world: RunWorld): Step | undefined {
  for (const check of admission) {
    const violation = check(world);
    if (violation === undefined) continue;
    if (violation.kind === "reject")
      return { kind: "reject", result: "Failed", failure: violation.failure };
    return { kind: "wait", why: violation.why, recheckMs: violation.recheckMs ?? waitRecheckMs };
  }
  return undefined;
}

function backOff(pauseMs: number): Step {
  const message = `The next attempt starts in ${Math.ceil(pauseMs / 1000)} s.`;
  const why = { phase: "Queued", reason: "BackingOff", message, stalled: false } as const;
  return { kind: "wait", why, recheckMs: pauseMs };
}

function partly(world: RunWorld, parts: readonly PartView[]): Step {
  const decision = attendParts(world, parts);
  if (decision.kind !== "over") return decision;
  const told = inherited(parts);
  if (decision.why === "cancelled")
    return { kind: "reject", result: "Cancelled", failure: cancelled(), told };
  const failure = decision.failure ?? timedOut(world.run);
  return { kind: "reject", result: "Failed", failure, told };
}

/**
 * What becomes of a claim, or of a first wait, once the run's Secrets and ConfigMaps were read. What is missing or
 * forbidden may still be on its way (one `kubectl apply` of a folder): the run waits `graceMs` after it was created.
 */
export function admit(
  step: Step,
  prepared: Prepared | Unready | SolveFailure,
  world: RunWorld,
): FinalStep {
  if ("why" in prepared) return { kind: "wait", ...prepared };
  if (!("reason" in prepared)) return step.kind === "claim" ? started(step, prepared) : step;
  const created = Date.parse(world.run.metadata.creationTimestamp ?? "");
  const graceLeftMs = created + world.limits.missingGraceMs - world.now.getTime();
  if (graceLeftMs <= 0 && !prepared.retryable)
    return { kind: "reject", result: "Failed", failure: prepared };
  const { reason, message } = prepared;
  const why: WaitReason = { phase: "Pending", reason, message, stalled: !prepared.retryable };
  return {
    kind: "wait",
    why,
    recheckMs: prepared.retryable ? 5_000 : Math.min(graceLeftMs, 2_000),
  };
}

function started(
  { number, builder, instance }: Extract<Step, { kind: "claim" }>,
  prepared: Prepared,
): FinalStep {
  return { kind: "start", number, builder, instance, prepared };
}

function attend(world: RunWorld, attempt: Attempt): Step {
  const { run, job } = world;
  if (job === undefined) return isDeleting(run) ? giveUp(run) : resume(world, attempt);
  if (job.state === "finished") return settle(world, attempt, job.outcome);
  if (isDeleting(run) || run.spec.cancel || isLate(world) || isEnded(world))
    return { kind: "cancel", ref: attempt.ref };
  if (!job.followed) return { kind: "adopt", ref: attempt.ref };
  return { kind: "watch", recheckMs: untilDeadlineMs(world) };
}

/** Nobody here knows the attempt: its controller ended. What the daemon remembers decides. */
function resume(world: RunWorld, attempt: Attempt): Step {
  const memory = world.memory ?? { kind: "unreachable" };
  switch (memory.kind) {
    case "finished":
      return settle(world, attempt, memory.outcome);
    case "running":
      return { kind: "watch", recheckMs: settleMs };
    case "unreachable":
      // The daemon may be about to come back with the answer; not for ever, though.
      if ((world.orphanedMs ?? 0) < world.limits.recallGraceMs)
        return { kind: "watch", recheckMs: 2 * settleMs };
      return lose(world, attempt, lost("Builder", "the builder's instance does not answer"));
    case "gone":
      return lose(world, attempt, lost("Builder", "the builder's instance is gone"));
    case "unknown":
      // A solve whose caller just died enters the history a moment later.
      if ((world.orphanedMs ?? 0) < world.limits.recallSettleMs)
        return { kind: "watch", recheckMs: settleMs };
      return lose(world, attempt);
  }
}

function settle(world: RunWorld, { ref }: Attempt, outcome: JobOutcome): Step {
  const { run } = world;
  const failure = outcome.kind === "succeeded" ? objection(outcome.facts) : failureIn(outcome);
  if (outcome.kind === "succeeded" && failure === undefined) return succeed(world, ref, outcome);
  if (failure !== undefined) {
    const attempt: AttemptResult = { ref, outcome: "Failed" };
    if (failure.reason === attemptLost) return lose(world, { ref }, failure);
    const again =
      !isDeleting(run) &&
      !run.spec.cancel &&
      !isLate(world) &&
      mayRetry(run, failure, world.limits);
    return again
      ? { kind: "retry", attempt, failure }
      : { kind: "finish", result: "Failed", attempt, outcome, failure };
  }
  return stopped(world, ref);
}

/** The solve was cancelled: for whom, decides what that means. */
function stopped(world: RunWorld, ref: string): Step {
  const { run } = world;
  const attempt: AttemptResult = { ref, outcome: "Cancelled" };
  if (isDeleting(run)) return { kind: "finish", result: "Cancelled", attempt, failure: deleted() };
  if (run.spec.cancel)
    return { kind: "finish", result: "Cancelled", attempt, failure: cancelled() };
  if (isLate(world)) return { kind: "finish", result: "Failed", attempt, failure: timedOut(run) };
  if (world.isEvicted === true)
    return { kind: "finish", result: "Cancelled", attempt, failure: evicted() };
  if (world.isOverdue === true)
    return lose(world, { ref }, lost("Builder", "the Builder was drained, and its time was up"));
  return lose(world, { ref });
}

/** Its Builder ends it. */
function isEnded({ isEvicted, isOverdue }: RunWorld): boolean {
  return isEvicted === true || isOverdue === true;
}

function succeed(
  world: RunWorld,
  ref: string,
  outcome: Extract<JobOutcome, { readonly kind: "succeeded" }>,
): Step {
  if (!hasCollected(world.run, outcome.facts))
    return lose(world, { ref }, lost("Infra", "its files for a ConfigMap went with its agent"));
  return { kind: "finish", result: "Succeeded", attempt: { ref, outcome: "Succeeded" }, outcome };
}

function failureIn(outcome: JobOutcome): SolveFailure | undefined {
  return outcome.kind === "failed" ? outcome.failure : undefined;
}

function lose(
  world: RunWorld,
  { ref }: Pick<Attempt, "ref">,
  failure = lost(
    "Infra",
    "the process that held it ended, and the builder knows no outcome for it",
  ),
): Step {
  const { run } = world;
  const attempt: AttemptResult = { ref, outcome: "Lost" };
  if (run.spec.cancel)
    return { kind: "finish", result: "Cancelled", attempt, failure: cancelled() };
  if (isLate(world)) return { kind: "finish", result: "Failed", attempt, failure: timedOut(run) };
  return mayRetry(run, failure, world.limits)
    ? { kind: "retry", attempt, failure }
    : { kind: "finish", result: "Failed", attempt, failure };
}

function afterwards({ run, now }: RunWorld): Step {
  if (run.metadata.finalizers?.includes(solveFinalizer) === true) return { kind: "release" };
  if (isDeleting(run)) return rest;
  const ttl = run.spec.ttlAfterFinished;
  if (ttl === undefined) return rest;
  const leftMs = Date.parse(run.status?.completionTime ?? "") + durationMs(ttl) - now.getTime();
  return leftMs > 0 ? { kind: "expire", inMs: leftMs } : { kind: "delete" };
}

function giveUp(run: BuildRun): Step {
  return run.metadata.finalizers?.includes(solveFinalizer) === true ? { kind: "release" } : rest;
}

function isDeleting(run: BuildRun): boolean {
  return run.metadata.deletionTimestamp !== undefined;
}

function untilDeadlineMs({ run, now }: RunWorld): number {
  return Math.max(1, deadlineMs(run) - now.getTime());
}

function isLate({ run, now }: RunWorld): boolean {
  return now.getTime() >= deadlineMs(run);
}

function cancelled(): SolveFailure {
  return finalFailure({
    class: "User",
    reason: "Cancelled",
    message: "The run was cancelled by spec.cancel.",
  });
}

function evicted(): SolveFailure {
  return finalFailure({
    class: "Builder",
    reason: "BuilderDeleted",
    message: "The Builder was deleted, and its deletionPolicy cancels running builds.",
  });
}

function deleted(): SolveFailure {
  return finalFailure({
    class: "User",
    reason: "Deleted",
    message: "The run was deleted while it was running.",
  });
}

function timedOut(run: BuildRun): SolveFailure {
  const message = `The run took longer than its timeout of ${run.spec.timeout}; raise spec.timeout or make the build faster.`;
  return finalFailure({ class: "User", reason: "Timeout", message });
}

function lost(of: SolveFailure["class"], why: string): SolveFailure {
  const message = `The attempt was lost: ${why}.`;
  return { ...finalFailure({ class: of, reason: attemptLost, message }), retryable: true };
}
