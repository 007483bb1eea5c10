// What is a Builder's fleet like, for the plan of who goes? Puts together pods, answers, runs and the spec. Pure.

import { durationMs } from "../../api/schema.ts";
import type { BuilderSpec, BuilderStatus } from "../../api/v1alpha1/index.ts";
import { keptIdleMs, prewarmed, wantedInstances } from "../../placement/scale.ts";
import type { InstanceFacts } from "../health/facts.ts";
import { templateHashOf } from "../kubernetes/workload.ts";
import { prewarmAnnotation } from "../names.ts";
import type { BuilderWorld } from "../reconcile/world.ts";
import type { FleetState, Member } from "./plan.ts";

/** What the fleet is judged by besides the world. */
export interface FleetInput {
  /** Of the pods as they should be. */
  readonly templateHash: string;
  readonly running: (instanceId: string) => number;
  readonly queued: number;
  /** Instances that were given the one run that they are for. */
  readonly spent: ReadonlySet<string>;
  /** When the last runs started, in milliseconds since the epoch, oldest first. */
  readonly starts: readonly number[];
  readonly now: Date;
}

type Driver = NonNullable<BuilderSpec["kubernetes"]>;

/** Runs that an instance takes at once. */
export function capacityOf(spec: Pick<BuilderSpec, "kubernetes" | "maxConcurrentRuns">): number {
  return spec.kubernetes?.isolation === "PerRun" ? 1 : spec.maxConcurrentRuns;
}

/** The fleet; undefined for a Builder without pods of Kiln's. */
export function fleetState(world: BuilderWorld, input: FleetInput): FleetState | undefined {
  const { spec } = world;
  const driver = spec?.kubernetes;
  if (spec === undefined || driver === undefined) return undefined;
  const members = membersOf(world, driver, input);
  const wanted = wantedOf(world, spec, { ...input, members });
  return {
    ordered: driver.storage !== undefined,
    replicas: world.owned.workloads[0]?.spec?.replicas ?? wanted,
    wanted,
    surge: driver.scaling === undefined && !isCramped(world.instances),
    members,
    drainTimeoutMs: durationMs(driver.drainTimeout),
    allSinceMs: drainedSinceMs(world),
    nowMs: input.now.getTime(),
  };
}

function membersOf(world: BuilderWorld, driver: Driver, input: FleetInput): Member[] {
  const previous = world.object.status as BuilderStatus | undefined;
  const facts = new Map(world.instances.map((one) => [one.id, one]));
  return world.owned.pods.flatMap((pod) => {
    const id = pod.metadata.name;
    const about = facts.get(id);
    if (about === undefined) return [];
    const running = input.running(id);
    const since =
      previous?.instances?.find(({ name }) => name === id)?.idleSince ??
      pod.metadata.creationTimestamp;
    const isPerRun = driver.isolation === "PerRun";
    const { draining } = about;
    return [
      {
        id,
        ordinal: driver.storage === undefined ? undefined : ordinalOf(id),
        up: about.answers,
        usable: about.ready,
        terminating: about.terminating,
        outdated: templateHashOf(pod) !== input.templateHash,
        spent: isPerRun && (running > 0 || input.spent.has(id) || draining?.why === "Used"),
        fenced: about.fenced,
        running,
        idleMs: Math.max(0, input.now.getTime() - (Date.parse(since ?? "") || 0)),
        draining,
      },
    ];
  });
}

function ordinalOf(pod: string): number {
  return Number(/-(\d+)$/.exec(pod)?.[1] ?? 0);
}

function wantedOf(
  world: BuilderWorld,
  spec: BuilderSpec,
  { members, queued, starts, now }: FleetInput & { readonly members: readonly Member[] },
): number {
  const { scaling, replicas = 1 } = spec.kubernetes ?? {};
  if (scaling === undefined) return replicas;
  const { min, max, maxStarting } = scaling;
  const asked = world.object.metadata.annotations?.[prewarmAnnotation];
  return wantedInstances({
    scaling: { min, max, idleTimeoutMs: idleTimeoutOf(scaling, starts), maxStarting },
    capacity: capacityOf(spec),
    queued: spec.drain ? 0 : queued,
    prewarm: prewarmed(asked, now),
    instances: members
      .filter(({ terminating }) => !terminating)
      .map((member) => ({ ...member, leaving: isLeaving(member) })),
  });
}

/** How long an idle instance is kept, in milliseconds. */
export function idleTimeoutOf(
  { idleTimeout, keepWarm }: NonNullable<Driver["scaling"]>,
  starts: readonly number[],
): number {
  const idleTimeoutMs = durationMs(idleTimeout);
  if (keepWarm === undefined) return idleTimeoutMs;
  return keptIdleMs(starts, { idleTimeoutMs, longestMs: durationMs(keepWarm) });
}

/** An old instance without runs is not worth its place: the next run gets one of the newest template. */
function isLeaving({ outdated, spent, fenced }: Member): boolean {
  return outdated || spent || fenced;
}

/** There is no room for one instance more, so a roll has to do without. */
function isCramped(instances: readonly InstanceFacts[]): boolean {
  return instances.some(
    ({ problem }) => problem?.reason === "Unschedulable" || problem?.reason === "VolumeNotBound",
  );
}

/**
 * Whether the time is over that a daemon which is no pod has to let its builds end. `aloneSinceMs`: since when it drains
 * by itself, whatever its Builder does, in milliseconds since the epoch.
 */
export function isOverdue(
  of: Pick<BuilderWorld, "object" | "spec">,
  now: Date,
  aloneSinceMs = Number.POSITIVE_INFINITY,
): boolean {
  if (of.spec === undefined) return false;
  const sinceMs = Math.min(aloneSinceMs, drainedSinceMs(of) ?? Number.POSITIVE_INFINITY);
  return now.getTime() - sinceMs >= durationMs(of.spec.drainTimeout);
}

/** When everything began to drain: by `spec.drain` as the status tells it, or by the deletion. */
export function drainedSinceMs({
  object,
  spec,
}: Pick<BuilderWorld, "object" | "spec">): number | undefined {
  const deleted = object.metadata.deletionTimestamp;
  if (deleted !== undefined) return Date.parse(deleted);
  if (spec?.drain !== true) return undefined;
  const status = object.status as BuilderStatus | undefined;
  const draining = status?.conditions?.find(
    ({ type, reason }) => type === "Draining" && reason === "DrainRequested",
  );
  return draining === undefined ? undefined : Date.parse(draining.lastTransitionTime);
}
