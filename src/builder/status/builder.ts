// What does Kiln say about a Builder? The only writer of its conditions. Pure: the same world at the same
// second gives the same status, so that nothing is written when nothing changed.

import {
  removeCondition,
  setCondition,
  timestamp,
  type ConditionState,
} from "../../api/condition.ts";
import {
  statusLimits,
  type BuilderSpec,
  type BuilderStatus,
  type Condition,
} from "../../api/v1alpha1/index.ts";
import { oldest } from "../health/answers.ts";
import { platformsOf, type InstanceFacts } from "../health/facts.ts";
import { needsPerson, worst, type Problem } from "../health/problem.ts";
import { cut, instanceStatus, textOf, withoutUndefined } from "./instance.ts";

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
  /** Instances that there should be now. */
  readonly wanted: number;
  readonly running: (instanceId: string) => number;
  readonly queued: number;
  /** When the last runs started, in milliseconds since the epoch, oldest first. */
  readonly starts?: readonly number[];
  /** How many of them would go to an instance first, by its id. */
  readonly queuedAt: ReadonlyMap<string, number>;
  /** The Builder is being deleted, and has runs. */
  readonly isLeaving?: boolean;
  readonly now: Date;
}

/** The whole status. */
export function builderStatus(input: StatusInput): BuilderStatus {
  const { spec } = input;
  const ready = input.instances.filter((instance) => instance.ready);
  const total = spec === undefined ? 0 : input.wanted;
  const version = oldest(ready.flatMap(({ daemon }) => (daemon?.version ? [daemon.version] : [])));
  const platforms = [...new Set(ready.flatMap(platformsOf))];
  const instances = input.instances
    .slice(0, statusLimits.instances)
    .map((facts) => instanceStatus(facts, input));
  const status: BuilderStatus = {
    observedGeneration: input.generation,
    conditions: conditions(input, ready.length, total),
    driver: spec && driverOf(spec),
    version: version?.slice(0, 128),
    platforms: platforms.slice(0, statusLimits.platforms),
    podPlatforms: podPlatforms(input),
    recentStarts: recentStarts(input),
    readyInstances: ready.length,
    totalInstances: total,
    runningRuns: input.instances.reduce((sum, { id }) => sum + input.running(id), 0),
    queuedRuns: input.queued,
    instances,
    templateHash: input.templateHash,
  };
  return withoutUndefined(status);
}

/** What pods say that they build for, and when there are none: what they said last. */
function podPlatforms({ spec, instances, previous }: StatusInput): string[] | undefined {
  if (spec?.kubernetes?.scaling === undefined) return undefined;
  const said = instances.flatMap(({ driver, daemon }) =>
    driver === undefined && daemon !== undefined ? daemon.platforms : [],
  );
  if (said.length === 0) return previous?.podPlatforms;
  return [...new Set(said)].slice(0, statusLimits.platforms);
}

function recentStarts({ spec, starts = [] }: StatusInput): string[] | undefined {
  if (spec?.kubernetes?.scaling?.keepWarm === undefined || starts.length === 0) return undefined;
  return starts.slice(-statusLimits.recentStarts).map((ms) => timestamp(new Date(ms)));
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

function driverOf(spec: BuilderSpec): BuilderStatus["driver"] {
  const kinds = [spec, ...spec.nodes].flatMap((one) => [
    ...(one.kubernetes === undefined ? [] : (["Kubernetes"] as const)),
    ...(one.remote === undefined ? [] : (["Remote"] as const)),
    ...(one.docker === undefined ? [] : (["Docker"] as const)),
    ...(one.dockerContainer === undefined ? [] : (["DockerContainer"] as const)),
  ]);
  return new Set(kinds).size > 1 ? "Mixed" : kinds[0];
}

function conditions(input: StatusInput, ready: number, total: number): Condition[] {
  const problem = mainProblem(input);
  const drain = drainState(input);
  const isMoving = drain?.ready === undefined && (ready < total || !input.isRolledOut);
  const passing: Record<string, Said | undefined> = {
    DiskPressure: pressure(input),
    Draining: drain?.draining,
    Stalled: undefined,
    Reconciling: undefined,
  };
  if (problem !== undefined && needsPerson(problem.reason)) passing["Stalled"] = textOf(problem);
  else if (isMoving) passing["Reconciling"] = movingText(input, problem);
  const at = { now: input.now, observedGeneration: input.generation };
  const readiness = drain?.ready ?? readyState(ready, total, problem);
  let list = setCondition(input.previous?.conditions, readiness, at);
  for (const [type, said] of Object.entries(passing)) {
    list =
      said === undefined
        ? removeCondition(list, type)
        : setCondition(list, { type, status: "True", ...said }, at);
  }
  return list;
}

function pressure({ instances }: StatusInput): Said | undefined {
  const full = instances.find((one) => one.problem?.reason === "DiskPressure")?.problem;
  return full && textOf(full);
}

interface Said {
  readonly reason: string;
  readonly message: string;
}

/** Whether the Builder as a whole, or some of its instances, takes no new run. */
function drainState(
  input: StatusInput,
): { readonly draining: Said; readonly ready?: ConditionState } | undefined {
  const running = input.instances.reduce((sum, { id }) => sum + input.running(id), 0);
  const rest = `${running} ${running === 1 ? "run is" : "runs are"} left to end.`;
  if (input.isLeaving === true || input.spec?.drain === true) {
    const reason = input.isLeaving === true ? "Terminating" : "DrainRequested";
    const why = input.isLeaving === true ? "It is being deleted" : "spec.drain is set";
    const message = `${why}: no new run is taken, and ${rest}`;
    const ready: ConditionState = { type: "Ready", status: "False", reason: "Draining", message };
    return { draining: { reason, message }, ready };
  }
  const drained = input.instances.filter((one) => one.draining !== undefined && !one.terminating);
  if (drained.length === 0) return undefined;
  const message = `${drained.length} of ${input.instances.length} instances take no new run: they go once theirs end.`;
  return { draining: { reason: "InstancesDraining", message } };
}

function readyState(ready: number, total: number, problem: Problem | undefined): ConditionState {
  if (total === 0 && problem === undefined) {
    const message = "No instance runs now: the next run starts one.";
    return { type: "Ready", status: "True", reason: "ScaledToZero", message };
  }
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
