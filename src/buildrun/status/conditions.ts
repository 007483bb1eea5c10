// The conditions of a run or a Bake: Succeeded, and what kstatus reads. Pure.

import { removeCondition, setCondition } from "../../api/condition.ts";
import type { BuildRun, BuildRunStatus } from "../../api/v1alpha1/index.ts";
import { oneLine } from "./text.ts";

/** `status.conditions`. */
export type Conditions = NonNullable<BuildRunStatus["conditions"]>;

/** What the conditions say. */
export interface Summary {
  readonly succeeded: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
  /** What kstatus is told: still moving, stuck until somebody acts, or neither. */
  readonly state: "moving" | "stuck" | "settled";
  /** Reason of Reconciling or Stalled, when it says more than `reason`. */
  readonly detail?: string;
}

/** A BuildRun or a Bake. */
export interface Conditioned {
  readonly metadata: Pick<BuildRun["metadata"], "generation">;
  readonly status?: { readonly conditions?: Conditions | undefined };
}

/** The conditions after a change. */
export function conditions(
  { metadata, status }: Conditioned,
  now: Date,
  summary: Summary,
): Conditions {
  const { succeeded, state } = summary;
  const reason = summary.reason;
  const detail = summary.detail ?? reason;
  const message = oneLine(summary.message, 1000);
  const at = { now, observedGeneration: metadata.generation ?? 0 };
  let list: Conditions = status?.conditions ?? [];
  list = setCondition(list, { type: "Succeeded", status: succeeded, reason, message }, at);
  // Reconciling and Stalled are there only while they hold: that is how kstatus reads them.
  for (const [type, holds] of [
    ["Reconciling", state === "moving"],
    ["Stalled", state === "stuck"],
  ] as const) {
    list = holds
      ? setCondition(list, { type, status: "True", reason: detail, message }, at)
      : removeCondition(list, type);
  }
  return list;
}

/** What a change leaves as it is. */
export function base(run: BuildRun): Omit<BuildRunStatus, "conditions" | "phase"> {
  const {
    conditions: _,
    phase: __,
    queue: ___,
    ...rest
  } = run.status ?? ({} as Partial<BuildRunStatus>);
  return { ...rest, observedGeneration: run.metadata.generation ?? 0 };
}
