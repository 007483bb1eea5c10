// What does Kiln say about a Builder? The only writer of its conditions. Pure: the same world at the same
// second gives the same status, so that nothing is written when nothing changed.

import { removeCondition, setCondition, timestamp, type ConditionState } from "../api/condition.ts";
import {
  statusLimits,
  type BuilderInstanceStatus,
  type BuilderSpec,
  type BuilderStatus,
  type Condition,
  type GcRule,
} from "../api/v1alpha1/index.ts";
import type { GcRule as DaemonGcRule } from "../buildkit/client-types.ts";
import { oldest } from "./health/answers.ts";
import type { DiskFacts } from "./health/disk.ts";
import type { InstanceFacts } from "./health/facts.ts";
import { needsPerson, oneLine, worst, type Problem } from "./health/problem.ts";

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

function textOf(problem: { readonly reason: string; readonly message: string }) {
  return { reason: problem.reason, message: cut(problem.message) };
}

function instanceStatus(facts: InstanceFacts, input: StatusInput): BuilderInstanceStatus {
  const { daemon, problem } = facts;
  const running = input.running(facts.id);
  const before = input.previous?.instances?.find(({ name }) => name === facts.id);
  return withoutUndefined<BuilderInstanceStatus>({
    name: facts.id,
    address: facts.address,
    ready: facts.ready,
    state: stateOf(facts),
    reason: problem?.reason,
    message: problem === undefined ? undefined : cut(problem.message),
    version: daemon?.version === "" ? undefined : daemon?.version.slice(0, 128),
    platforms: daemon?.platforms.slice(0, statusLimits.platforms),
    labels: daemon === undefined ? undefined : boundedLabels(daemon.labels),
    gcPolicy: daemon?.gcPolicy.slice(0, 16).map(gcRule),
    slots: input.spec?.maxConcurrentRuns,
    running,
    idleSince: running > 0 ? undefined : (before?.idleSince ?? timestamp(input.now)),
    outdated: facts.outdated === true ? true : undefined,
    disk: diskOf(daemon?.disk),
    lastError: lastError(problem, before, input.now),
  });
}

type InstanceState = NonNullable<BuilderInstanceStatus["state"]>;

function stateOf({ ready, terminating, problem }: InstanceFacts): InstanceState {
  if (terminating) return "Terminating";
  if (ready) return "Ready";
  const { reason } = problem ?? {};
  return reason === "Starting" || reason === "Draining" || reason === "DiskPressure"
    ? reason
    : "NotReady";
}

function diskOf(disk: DiskFacts | undefined): BuilderInstanceStatus["disk"] {
  if (disk === undefined) return undefined;
  const { cacheBytes, volumeBytes, volumeFreeBytes: freeBytes } = disk;
  return withoutUndefined({ cacheBytes, volumeBytes, freeBytes });
}

/** What belongs to the life of every instance is no error. */
const noErrors: ReadonlySet<string> = new Set(["Starting", "Draining", "Terminating"]);

function lastError(
  problem: Problem | undefined,
  before: BuilderInstanceStatus | undefined,
  now: Date,
): BuilderInstanceStatus["lastError"] {
  const last = before?.lastError;
  if (problem === undefined || noErrors.has(problem.reason)) return last;
  // The numbers in a message may move while it is the same trouble.
  const time = last?.reason === problem.reason ? last.time : timestamp(now);
  return { ...textOf(problem), time };
}

/** Of a daemon that somebody else runs: as many and as long as the schema takes. */
function boundedLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    entries.slice(0, 64).map(([name, value]) => [name, value.slice(0, 1024)]),
  );
}

function gcRule(rule: DaemonGcRule): GcRule {
  return withoutUndefined<GcRule>({
    all: rule.all ? true : undefined,
    filters:
      rule.filters.length === 0
        ? undefined
        : rule.filters.slice(0, 32).map((one) => one.slice(0, 1024)),
    keepDuration:
      rule.keepDurationSeconds === undefined ? undefined : durationText(rule.keepDurationSeconds),
    reservedSpace: rule.reservedSpace,
    maxUsedSpace: rule.maxUsedSpace,
    minFreeSpace: rule.minFreeSpace,
  });
}

/** 172800 → `48h`, 90 → `1m30s`: as `docker buildx inspect` shows it. */
function durationText(seconds: number): string {
  const parts: [number, string][] = [
    [Math.floor(seconds / 3600), "h"],
    [Math.floor((seconds % 3600) / 60), "m"],
    [Math.floor(seconds % 60), "s"],
  ];
  const text = parts.map(([count, unit]) => (count === 0 ? "" : `${count}${unit}`)).join("");
  return text === "" ? "0s" : text;
}

function cut(message: string): string {
  return oneLine(message, 2000);
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(
    Object.entries(value).filter(([, member]) => member !== undefined),
  ) as T;
}
