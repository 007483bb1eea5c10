// What does Kiln say about a Builder? The only writer of its conditions. Pure: the same world at the same
// second gives the same status, so that nothing is written when nothing changed.

import { removeCondition, setCondition, type ConditionState } from "../api/condition.ts";
import {
  statusLimits,
  type BuilderSpec,
  type BuilderStatus,
  type Condition,
} from "../api/v1alpha1/index.ts";
import { oldest } from "./health/answers.ts";
import type { InstanceFacts } from "./health/facts.ts";
import { needsPerson, worst, type Problem } from "./health/problem.ts";
import { cut, instanceStatus, textOf, withoutUndefined } from "./instance-status.ts";

/** What the status is made of. */
export interface StatusInput {
  /** Of the Builder, as of `metadata.generation`. */
  readonly generation: number | undefined;
  readonly previous: BuilderStatus | undefined;
  /** Undefined when the spec cannot be understood. */
  readonly spec: BuilderSpec | undefined;
  readonly instances: readonly InstanceFacts[];
  /** What is wrong with the Builder as a whole. */
  readonly problem: Problem | undefined;
  /** Whether all objects are as wanted and all pods are of the newest template. */
  readonly isRolledOut: boolean;
  readonly templateHash: string | undefined;
  readonly running: (instanceId: string) => number;
  readonly queued: number;
  readonly now: Date;
}

/** The whole status. */
export function builderStatus(input: StatusInput): BuilderStatus {
  const { spec } = input;
  const ready = input.instances.filter((instance) => instance.ready);
  const total = totalOf(spec);
  const version = oldest(ready.flatMap(({ daemon }) => (daemon?.version ? [daemon.version] : [])));
  const platforms = [...new Set(ready.flatMap(({ daemon }) => daemon?.platforms ?? []))];
  const instances = input.instances
    .slice(0, statusLimits.instances)
    .map((facts) => instanceStatus(facts, input));
  const status: BuilderStatus = {
    observedGeneration: input.generation,
    conditions: conditions(input, ready.length, total),
    driver: spec === undefined ? undefined : spec.remote === undefined ? "Kubernetes" : "Remote",
    version: version?.slice(0, 128),
    platforms: platforms.slice(0, statusLimits.platforms),
    readyInstances: ready.length,
    totalInstances: total,
    runningRuns: input.instances.reduce((sum, { id }) => sum + input.running(id), 0),
    queuedRuns: input.queued,
    instances,
    templateHash: input.templateHash,
  };
  return withoutUndefined(status);
}

/** What keeps the Builder from working best, whether or not it works. */
export function mainProblem(
  input: Pick<StatusInput, "problem" | "instances">,
): Problem | undefined {
  const ofInstances = input.instances
    .filter(({ terminating }) => !terminating)
    .flatMap(({ problem }) => problem ?? []);
  return (
    input.problem ??
    worst(ofInstances) ??
    worst(input.instances.flatMap(({ problem }) => problem ?? []))
  );
}

function totalOf(spec: BuilderSpec | undefined): number {
  if (spec === undefined) return 0;
  return spec.kubernetes?.replicas ?? 1;
}

function conditions(input: StatusInput, ready: number, total: number): Condition[] {
  const problem = mainProblem(input);
  const at = { now: input.now, observedGeneration: input.generation };
  let list = setCondition(input.previous?.conditions, readyState(ready, total, problem), at);
  const full = input.instances.filter((one) => one.problem?.reason === "DiskPressure");
  list =
    full[0]?.problem === undefined
      ? removeCondition(list, "DiskPressure")
      : setCondition(
          list,
          { type: "DiskPressure", status: "True", ...textOf(full[0].problem) },
          at,
        );
  const isStalled = problem !== undefined && needsPerson(problem.reason);
  const isMoving = !isStalled && (ready < total || !input.isRolledOut);
  list = isStalled
    ? setCondition(list, { type: "Stalled", status: "True", ...textOf(problem) }, at)
    : removeCondition(list, "Stalled");
  return isMoving
    ? setCondition(list, { type: "Reconciling", status: "True", ...movingText(input, problem) }, at)
    : removeCondition(list, "Reconciling");
}

function readyState(ready: number, total: number, problem: Problem | undefined): ConditionState {
  if (ready === 0) {
    const starting = { reason: "Starting" as const, message: "The instances are being created." };
    return { type: "Ready", status: "False", ...textOf(problem ?? starting) };
  }
  const answers =
    total === 1 && ready === 1 ? "BuildKit answers." : `${ready} of ${total} instances answer.`;
  const message = problem === undefined ? answers : `${answers} ${problem.message}`;
  return { type: "Ready", status: "True", reason: "InstancesReady", message: cut(message) };
}

function movingText(input: StatusInput, problem: Problem | undefined) {
  if (problem !== undefined) return textOf(problem);
  if (!input.isRolledOut) {
    return {
      reason: "RollingOut",
      message: "Instances of the newest template are replacing older ones.",
    };
  }
  return { reason: "Starting", message: "Instances are starting." };
}
