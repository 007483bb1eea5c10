// What does Kiln say about one instance of a Builder: what `docker buildx inspect` prints of it, and its state, load and
// disk. Pure.

import { timestamp } from "../../api/condition.ts";
import {
  statusLimits,
  type BuilderInstanceStatus,
  type BuilderSpec,
  type BuilderStatus,
  type GcRule,
} from "../../api/v1alpha1/index.ts";
import type { GcRule as DaemonGcRule } from "../../buildkit/client-types.ts";
import type { DiskFacts } from "../health/disk.ts";
import type { DaemonFacts } from "../health/probe.ts";
import type { InstanceFacts } from "../health/facts.ts";
import { oneLine, type Problem } from "../health/problem.ts";

/** What an instance's status is made of besides its facts. */
export interface InstanceStatusInput {
  readonly spec: BuilderSpec | undefined;
  readonly previous: BuilderStatus | undefined;
  readonly running: (instanceId: string) => number;
  /** Runs that wait and would go there first, by its id. */
  readonly queuedAt: ReadonlyMap<string, number>;
  readonly now: Date;
}

/** One entry of `status.instances`. Times go on from the previous status. */
export function instanceStatus(
  facts: InstanceFacts,
  input: InstanceStatusInput,
): BuilderInstanceStatus {
  const { problem } = facts;
  const running = input.running(facts.id);
  const before = input.previous?.instances?.find(({ name }) => name === facts.id);
  return withoutUndefined<BuilderInstanceStatus>({
    name: facts.id,
    driver: facts.driver ?? "Kubernetes",
    address: facts.address,
    ready: facts.ready,
    state: stateOf(facts),
    ...(problem === undefined ? {} : textOf(problem)),
    ...(facts.daemon === undefined ? {} : daemonStatus(facts.daemon)),
    ...(facts.fixedPlatforms === undefined
      ? {}
      : { platforms: [...facts.fixedPlatforms], fixedPlatforms: true }),
    slots: facts.slots ?? input.spec?.maxConcurrentRuns,
    running,
    queued: input.queuedAt.get(facts.id) ?? 0,
    idleSince: running > 0 ? undefined : (before?.idleSince ?? timestamp(input.now)),
    outdated: facts.outdated === true ? true : undefined,
    lastError: lastError(problem, before, input.now),
  });
}

function daemonStatus(daemon: DaemonFacts): Partial<BuilderInstanceStatus> {
  return {
    version: daemon.version === "" ? undefined : daemon.version.slice(0, 128),
    platforms: daemon.platforms.slice(0, statusLimits.platforms),
    labels: boundedLabels(daemon.labels),
    gcPolicy: daemon.gcPolicy.slice(0, 16).map(gcRule),
    disk: diskOf(daemon.disk),
  };
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

/** A problem as conditions and instances say it. */
export function textOf(problem: { readonly reason: string; readonly message: string }) {
  return { reason: problem.reason, message: cut(problem.message) };
}

/** Cut to what a condition takes. */
export function cut(message: string): string {
  return oneLine(message, 2000);
}

/** JSON has no `undefined`. */
export function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(
    Object.entries(value).filter(([, member]) => member !== undefined),
  ) as T;
}
