// Conditions as kstatus, kubectl wait, Flux and Argo CD read them.

import type { Condition } from "./v1alpha1/index.ts";

/** What a caller says about a condition; the times are filled in here. */
export interface ConditionState {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  /** CamelCase, never empty. */
  readonly reason: string;
  readonly message: string;
}

/** The condition of that type, if there is one. */
export function findCondition(
  list: readonly Condition[] | undefined,
  type: string,
): Condition | undefined {
  return list?.find((condition) => condition.type === type);
}

/**
 * A new list in which the condition says `state`. `lastTransitionTime` moves only when `status`
 * does; order is kept, and a new type comes last. Nothing but what differs is a change, so equal
 * input gives an equal list.
 */
export function setCondition(
  list: readonly Condition[] | undefined,
  state: ConditionState,
  at: { readonly now: Date; readonly observedGeneration: number | undefined },
): Condition[] {
  const before = findCondition(list, state.type);
  const condition: Condition = {
    type: state.type,
    status: state.status,
    reason: state.reason,
    message: state.message,
    lastTransitionTime:
      before?.status === state.status ? before.lastTransitionTime : timestamp(at.now),
    ...(at.observedGeneration === undefined ? {} : { observedGeneration: at.observedGeneration }),
  };
  if (before === undefined) return [...(list ?? []), condition];
  return (list ?? []).map((other) => (other.type === state.type ? condition : other));
}

/** The list without the condition of that type: how Reconciling and Stalled end. */
export function removeCondition(list: readonly Condition[] | undefined, type: string): Condition[] {
  return (list ?? []).filter((condition) => condition.type !== type);
}

/** A point in time as Kubernetes writes it: RFC 3339, whole seconds, UTC. */
export function timestamp(at: Date): string {
  return `${at.toISOString().slice(0, 19)}Z`;
}
