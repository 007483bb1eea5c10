// The attempt record read back: which attempt is open, whether there may be another one, and when. Pure.

import { attemptLost, type SolveFailure } from "../../agent/agent.ts";
import type { Attempt, BuildRun } from "../../api/v1alpha1/index.ts";
import { durationMs } from "../../api/schema.ts";

/** Bounds that the operator sets for every run. */
export interface RunLimits {
  /** Missing or forbidden Secrets and ConfigMaps are waited for this long after the run was created. */
  readonly missingGraceMs: number;
  /** An unreachable builder is asked for an orphaned attempt this long before the attempt is lost. */
  readonly recallGraceMs: number;
  /** A builder that knows nothing of an orphaned attempt is asked again this long. */
  readonly recallSettleMs: number;
  /** Lost attempts (not the user's fault, not counted by `retry.limit`) after which a run fails. */
  readonly maxLost: number;
}

/** What the operator uses when nothing else is configured. */
export const defaultLimits: RunLimits = {
  missingGraceMs: 10_000,
  recallGraceMs: 60_000,
  recallSettleMs: 3_000,
  maxLost: 5,
};

/** The ref of an attempt: unique for ever, because a run's UID is. */
export function refOf(run: BuildRun, number: number): string {
  return `${run.metadata.uid ?? ""}-${number}`;
}

/** Whether the run ended. Nothing in its status changes afterwards. */
export function isTerminal(run: BuildRun): boolean {
  return run.status?.completionTime !== undefined;
}

/** The attempt that is written down and not finished. */
export function openAttempt(run: BuildRun): Attempt | undefined {
  const last = run.status?.attempts?.at(-1);
  return last !== undefined && last.finishedAt === undefined ? last : undefined;
}

/** When the run is out of time, in milliseconds since the epoch. The clock starts with the first attempt. */
export function deadlineMs(run: BuildRun): number {
  const start = run.status?.startTime;
  return start === undefined
    ? Number.POSITIVE_INFINITY
    : Date.parse(start) + durationMs(run.spec.timeout);
}

const retried: ReadonlySet<string> = new Set(["Builder", "Infra", "Registry"]);

/**
 * Whether an attempt that ended with this failure may be followed by another. Lost attempts have a bound of their own
 * (`maxLost`): a restarting controller does not use up what the user allowed for a flaky registry.
 */
export function mayRetry(run: BuildRun, failure: SolveFailure, limits: RunLimits): boolean {
  if (!failure.retryable || !retried.has(failure.class)) return false;
  const attempts = run.status?.attempts ?? [];
  const lost = attempts.filter(({ outcome }) => outcome === "Lost").length;
  if (failure.reason === attemptLost) return lost < limits.maxLost;
  // The open attempt is the one that just failed.
  return attempts.length - lost - 1 < run.spec.retry.limit;
}

/** The earliest start of the next attempt: 1 s after a failure, doubling up to 1 min; at once after a lost one. */
export function nextAttemptMs(run: BuildRun): number {
  const last = run.status?.attempts?.at(-1);
  if (last?.finishedAt === undefined || last.outcome === "Lost") return 0;
  const failed = (run.status?.attempts ?? []).filter(({ outcome }) => outcome === "Failed").length;
  return Date.parse(last.finishedAt) + Math.min(60_000, 1000 * 2 ** Math.max(0, failed - 1));
}
