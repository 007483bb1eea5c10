// One look at one Builder: gather the world, decide, act, say how it is. Everything that has memory
// (probes, certificates, what was last written) is handed in.

import type { Logger } from "pino";
import { findCondition } from "../../api/condition.ts";
import type { BuilderStatus } from "../../api/v1alpha1/index.ts";
import type { EventSink } from "../../kube/events.ts";
import { keyOf } from "../../kube/object.ts";
import { after, done, type Outcome } from "../../runtime/outcome.ts";
import { cacheOf } from "../caches.ts";
import { keepContainers, removeContainers } from "./containers.ts";
import { isMarked } from "../docker/forget.ts";
import type { ContainerKeeper } from "../docker/keeper.ts";
import type { Decision } from "./decide.ts";
import { externals } from "./externals.ts";
import { builderKey, type BuilderRef, builderRefOf } from "../instance.ts";
import { podGroups } from "../kubernetes/groups.ts";
import { contentHash } from "../kubernetes/hash.ts";
import { templateHashOf } from "../kubernetes/workload.ts";
import { cutLate } from "../lifecycle/carry-out.ts";
import { holdWhileBusy } from "../lifecycle/farewell.ts";
import { fleetState, idleTimeoutOf, isOverdue } from "../lifecycle/fleet-state.ts";
import type { Identities } from "../pki/identities.ts";
import type { InstanceFacts } from "../health/facts.ts";
import type { Prober } from "../health/probe.ts";
import { report } from "../status/report.ts";
import { builderStatus } from "../status/builder.ts";
import { probeTargets } from "../health/targets.ts";
import { demandOf, fleetInput, tend, type Tended, type TendDeps } from "./tend.ts";
import { viewsOf } from "./views.ts";
import { gather, tlsOwners, type BuilderWorld } from "./world.ts";

/** What a reconcile of a Builder works with. */
export interface ReconcileDeps extends TendDeps {
  readonly prober: Prober;
  readonly keeper: ContainerKeeper;
  readonly identities: Identities;
  readonly events: EventSink;
  /** Carries `builder`. */
  readonly log: Logger;
  /** The time is over of runs on daemons that are no pods: their slice is to cut them. */
  readonly onOverdue: (ref: BuilderRef) => void;
  /** By uid of the Builder: when its status was written, in milliseconds since the epoch. */
  readonly reported: Map<string, number>;
}

/** While something is under way that rings no bell: Events, a roll. */
const movingMs = 2_000;
/** While runs come and go: so old may the numbers in status be. */
const busyMs = 5_000;
/** Of pods that use Secrets or ConfigMaps, which are not watched: so late may a change be seen. */
const contentMs = 15_000;
/** Otherwise: damage to what is not watched (the TLS Secret) is found after this long. */
const idleMs = 60_000;

/** Moves the Builder `key` (of `builderKey`) one step. */
export async function reconcileBuilder(
  key: string,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<Outcome> {
  const ref = builderRefOf(key);
  const world = await gather(ref, { ...deps }, signal);
  if (world === undefined) {
    deps.prober.watch(key, []);
    deps.uses.forget(ref);
    deps.keeper.watch(key, []);
    return done;
  }
  // Our own last status has not come back yet: the watch will ring when it has.
  if (!cacheOf(ref, deps.caches).isFresh(keyOf(ref))) return after(movingMs);
  const daemons = probeTargets(world, deps);
  deps.prober.watch(key, daemons);
  deps.uses.keep(
    ref,
    world.owned.pods.map(({ metadata }) => metadata.name),
  );
  deps.uses.recall(ref, startsIn(world));
  const busy = world.instances.filter(({ id }) => deps.loads.running(ref, id) > 0);
  const isBusy = busy.length > 0;
  await hold(world, busy, deps, signal);
  if (world.object.metadata.deletionTimestamp !== undefined) {
    if (isBusy) return await leave(world, deps, signal);
    if (!isMarked(world.object)) return done;
    return (await removeContainers(world, deps, signal)) ? done : after(busyMs);
  }

  const left = await keepContainers(world, deps, signal);
  await serverTls(world, deps, signal);
  // A controller that has just started knows nothing yet: that is no news about the Builder, and nothing to act on.
  const isUnasked = daemons.some(({ id }) => deps.prober.result(key, id) === undefined);
  const views = viewsOf(world);
  const demand = demandOf(views, deps.loads);
  const tended: Tended[] = [];
  for (const [index, view] of views.entries()) {
    const queued = demand[index] ?? 0;
    tended.push(await tend(view, { queued, isUnasked }, deps, signal));
  }
  if (isUnasked && wasReady(world)) return after(movingMs);
  const problem = tended.find((one) => one.problem !== undefined)?.problem ?? world.problem ?? left;
  const status = statusOf(world, { tended, problem }, deps);
  const isWritten = await report(world, status, deps, signal);
  return next(world, { tended, status, isWritten, starts: deps.uses.starts(ref) });
}

/** Keeps a busy Builder from vanishing, and ends the wait for its runs when their time is over. */
async function hold(
  world: BuilderWorld,
  busy: readonly InstanceFacts[],
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<void> {
  await holdWhileBusy(world, busy.length > 0, deps, signal);
  const key = builderKey(world.ref);
  const isLate = busy.some(({ id }) =>
    isOverdue(world, deps.now(), deps.keeper.result(key, id)?.drainingSinceMs),
  );
  if (isLate) deps.onOverdue(world.ref);
}

/** Of a Builder that is being deleted and still has runs: they end, are cancelled by their own slice, or are cut. */
async function leave(
  world: BuilderWorld,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<Outcome> {
  const tended: Tended[] = [];
  for (const view of viewsOf(world)) {
    const fleet = fleetState(view, fleetInput(view, "", { ...deps, queued: 0 }));
    if (fleet !== undefined) await cutLate(view, fleet, deps, signal);
    tended.push({ view, decision: leaving, fleet, problem: undefined });
  }
  const status = statusOf(world, { tended, problem: undefined }, deps);
  await report(world, status, deps, signal);
  return after(movingMs);
}

const leaving: Decision = {
  remove: [],
  apply: [],
  templateHash: undefined,
  settled: true,
  usesContents: false,
};

/** Agents read a renewed certificate by themselves: the pods do not roll. */
async function serverTls(
  world: BuilderWorld,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<void> {
  if (world.spec === undefined || podGroups(world.spec).length === 0) return;
  const owners = tlsOwners(world.namespace, deps.caches, deps.kilnNamespace);
  await deps.identities.server(world.namespace, owners, signal);
}

interface Judged {
  /** Of each kind of pods. */
  readonly tended: readonly Tended[];
  readonly problem: BuilderWorld["problem"];
}

function statusOf(
  world: BuilderWorld,
  { tended, problem }: Judged,
  deps: ReconcileDeps,
): BuilderStatus {
  const stale = new Set(tended.flatMap(outdatedOf));
  const hashes = tended.flatMap(({ decision }) => decision.templateHash ?? []);
  const templateHash = hashes.length > 1 ? contentHash(hashes) : hashes[0];
  return builderStatus({
    generation: world.object.metadata.generation,
    previous: world.object.status as BuilderStatus | undefined,
    spec: world.spec,
    instances: world.instances.map((facts) => ({
      ...facts,
      outdated: stale.has(facts.id),
    })),
    problem,
    isRolledOut: tended.every(({ decision }) => decision.settled) && stale.size === 0,
    templateHash,
    wanted: instancesOf(world, tended),
    isLeaving: world.object.metadata.deletionTimestamp !== undefined,
    running: (id) => deps.loads.running(world.ref, id),
    queued: deps.loads.queued(world.ref),
    starts: deps.uses.starts(world.ref),
    queuedAt: deps.loads.queuedAt(world.ref),
    now: deps.now(),
  });
}

/** What status has of when runs started. */
function startsIn({ object }: BuilderWorld): number[] {
  const status = object.status as BuilderStatus | undefined;
  return (status?.recentStarts ?? []).map((text) => Date.parse(text));
}

/** Names of pods that are not of the newest template. */
function outdatedOf({ view, decision: { templateHash } }: Tended): string[] {
  if (templateHash === undefined) return [];
  const old = view.owned.pods.filter((pod) => templateHashOf(pod) !== templateHash);
  return old.map(({ metadata }) => metadata.name);
}

function instancesOf({ ref, spec }: BuilderWorld, tended: readonly Tended[]): number {
  if (spec === undefined) return 0;
  return tended.reduce((sum, one) => sum + podsOf(one), externals(ref, spec).length);
}

/** Pods that there should be; of a fleet that cannot be judged: as many as it was told last. */
function podsOf({ view: { spec, owned }, fleet }: Tended): number {
  if (spec?.kubernetes === undefined) return 0;
  const { replicas, scaling } = spec.kubernetes;
  return fleet?.wanted ?? owned.workloads[0]?.spec?.replicas ?? replicas ?? scaling?.min ?? 1;
}

function wasReady(world: BuilderWorld): boolean {
  const status = world.object.status as BuilderStatus | undefined;
  return findCondition(status?.conditions, "Ready")?.status === "True";
}

interface Looked {
  readonly tended: readonly Tended[];
  readonly status: BuilderStatus;
  readonly isWritten: boolean;
  /** Of runs, in milliseconds since the epoch. */
  readonly starts: readonly number[];
}

function next(world: BuilderWorld, { tended, status, isWritten, starts }: Looked): Outcome {
  const has = (wanted: string): boolean =>
    status.conditions?.some(({ type }) => type === wanted) === true;
  const isDraining = has("Draining");
  const isSettled = tended.every(({ decision }) => decision.settled);
  if (!isSettled || !isWritten || has("Reconciling") || isDraining) return after(movingMs);
  const isBusy = (status.runningRuns ?? 0) + (status.queuedRuns ?? 0) > 0;
  if (isBusy || (has("Stalled") && world.spec !== undefined)) return after(busyMs);
  const lefts = tended.map((one) => idleLeftMs(one, starts));
  const usesContents = tended.some(({ decision }) => decision.usesContents);
  return after(Math.min(...lefts, usesContents ? contentMs : idleMs));
}

/** Until the first idle instance has been idle for long enough. */
function idleLeftMs({ view, fleet }: Tended, starts: readonly number[]): number {
  const { scaling } = view.spec?.kubernetes ?? {};
  if (scaling === undefined || fleet === undefined) return Number.POSITIVE_INFINITY;
  const left = fleet.members
    .map(({ idleMs: is }) => idleTimeoutOf(scaling, starts) - is)
    .filter((ms) => ms > 0);
  return Math.min(...left);
}
