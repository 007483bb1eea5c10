// One look at one Builder: gather the world, decide, act, say how it is. Everything that has memory
// (probes, certificates, what was last written) is handed in.

import type { Logger } from "pino";
import { findCondition } from "../../api/condition.ts";
import type { BuilderStatus } from "../../api/v1alpha1/index.ts";
import type { KubeClient } from "../../kube/client.ts";
import type { EventSink } from "../../kube/events.ts";
import { keyOf, type KubeObject } from "../../kube/object.ts";
import { after, done, type Outcome } from "../../runtime/outcome.ts";
import { act } from "./act.ts";
import { cacheOf, type BuilderCaches } from "../caches.ts";
import { keepContainers, removeContainers } from "./containers.ts";
import { isMarked } from "../docker/forget.ts";
import type { ContainerKeeper } from "../docker/keeper.ts";
import { readContents } from "./contents.ts";
import { decide, render, type DecideInput, type Decision, type Written } from "./decide.ts";
import type { InstanceLoads } from "../fleet.ts";
import { externals } from "./externals.ts";
import { type BuilderRef, builderRefOf } from "../instance.ts";
import type { BuildkitImages } from "../kubernetes/input.ts";
import { references } from "../kubernetes/references.ts";
import { templateHashOf } from "../kubernetes/workload.ts";
import { carryOut, cutLate } from "../lifecycle/carry-out.ts";
import { holdWhileBusy } from "../lifecycle/farewell.ts";
import { type FleetInput, fleetState, idleTimeoutOf, isOverdue } from "../lifecycle/fleet-state.ts";
import type { FleetState } from "../lifecycle/plan.ts";
import type { Identities } from "../pki/identities.ts";
import type { Prober } from "../health/probe.ts";
import { report } from "../status/report.ts";
import { builderStatus } from "../status/builder.ts";
import { probeTargets, type TargetDeps } from "../health/targets.ts";
import type { Uses } from "../uses.ts";
import { gather, tlsOwners, type BuilderWorld } from "./world.ts";

/** What a reconcile of a Builder works with. */
export interface ReconcileDeps {
  readonly client: KubeClient;
  readonly caches: BuilderCaches;
  readonly prober: Prober;
  readonly keeper: ContainerKeeper;
  readonly identities: Identities;
  readonly loads: InstanceLoads;
  readonly uses: Uses;
  readonly events: EventSink;
  /** Carries `builder`. */
  readonly log: Logger;
  readonly images: BuildkitImages;
  readonly defaultConfig: string | undefined;
  readonly kilnNamespace: string;
  readonly namespacedSockets: boolean;
  readonly now: () => Date;
  /** The time is over of runs on daemons that are no pods: their slice is to cut them. */
  readonly onOverdue: (ref: BuilderRef) => void;
  /** By uid of a live object; shared by all reconciles of the process. */
  readonly written: Map<string, Written>;
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
  const targets: TargetDeps = deps;
  const daemons = probeTargets(world, targets);
  deps.prober.watch(key, daemons);
  deps.uses.keep(
    ref,
    world.owned.pods.map(({ metadata }) => metadata.name),
  );
  deps.uses.recall(ref, startsIn(world));
  const isBusy = world.instances.some(({ id }) => deps.loads.running(ref, id) > 0);
  await hold(world, isBusy, deps, signal);
  if (world.object.metadata.deletionTimestamp !== undefined) {
    if (isBusy) return await leave(world, deps, signal);
    if (!isMarked(world.object)) return done;
    return (await removeContainers(world, deps, signal)) ? done : after(busyMs);
  }

  const left = await keepContainers(world, deps, signal);
  await serverTls(world, deps, signal);
  const contents = await contentsOf(world, deps, signal);
  // A controller that has just started knows nothing yet: that is no news about the Builder, and nothing to act on.
  const isUnasked = daemons.some(({ id }) => deps.prober.result(key, id) === undefined);
  const fleet = isUnasked ? undefined : fleetOf(world, { ...deps, ...contents, isBusy });
  const replicas = fleet && (await carryOut(world, fleet, deps, signal));
  const decision = decide(world, { ...deps, ...contents, isBusy, replicas });
  const refused = await act(
    world.object,
    decision,
    {
      client: deps.client,
      log: deps.log,
      written: deps.written,
      known: (object) => isKnown(object, deps.caches),
    },
    signal,
  );
  if (isUnasked && wasReady(world)) return after(movingMs);
  const problem = refused ?? decision.problem ?? world.problem ?? left;
  const status = statusOf(world, { decision, problem, fleet }, deps);
  const isWritten = await report(world, status, deps, signal);
  return next(world, { decision, status, isWritten, fleet, starts: deps.uses.starts(ref) });
}

/** Keeps a busy Builder from vanishing, and ends the wait for its runs when their time is over. */
async function hold(
  world: BuilderWorld,
  isBusy: boolean,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<void> {
  await holdWhileBusy(world, isBusy, deps, signal);
  if (isBusy && isOverdue(world, deps.now())) deps.onOverdue(world.ref);
}

/** Of a Builder that is being deleted and still has runs: they end, are cancelled by their own slice, or are cut. */
async function leave(
  world: BuilderWorld,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<Outcome> {
  const fleet = fleetState(world, fleetInput(world, "", deps));
  if (fleet !== undefined) await cutLate(world, fleet, deps, signal);
  const status = statusOf(world, { decision: leaving, problem: undefined, fleet }, deps);
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

/** The fleet, with instances judged by what the pods should be; undefined without pods, or while that is not known. */
function fleetOf(
  world: BuilderWorld,
  deps: ReconcileDeps & Pick<DecideInput, "contentFingerprint" | "contentProblem" | "isBusy">,
): FleetState | undefined {
  const driver = world.spec?.kubernetes;
  if (driver === undefined || deps.contentProblem !== undefined) return undefined;
  const rendered = render(world, driver, deps);
  const hash = "problem" in rendered ? undefined : templateHashOf(rendered.desired);
  return hash === undefined ? undefined : fleetState(world, fleetInput(world, hash, deps));
}

function fleetInput({ ref }: BuilderWorld, templateHash: string, deps: ReconcileDeps): FleetInput {
  return {
    templateHash,
    running: (id) => deps.loads.running(ref, id),
    queued: deps.loads.queued(ref),
    spent: deps.uses.spent(ref),
    starts: deps.uses.starts(ref),
    now: deps.now(),
  };
}

/** Agents read a renewed certificate by themselves: the pods do not roll. */
async function serverTls(
  world: BuilderWorld,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<void> {
  if (world.spec?.kubernetes === undefined) return;
  const owners = tlsOwners(world.namespace, deps.caches, deps.kilnNamespace);
  await deps.identities.server(world.namespace, owners, signal);
}

/** Hash of the Secrets and ConfigMaps that the pods use, or why they cannot be read. */
async function contentsOf(
  world: BuilderWorld,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<Pick<DecideInput, "contentFingerprint" | "contentProblem">> {
  const { spec, namespace } = world;
  if (spec?.kubernetes === undefined) return {};
  const rendered = render(world, spec.kubernetes, deps);
  if ("problem" in rendered) return {};
  const pod = rendered.desired.spec?.template?.spec;
  const { serviceAccountName } = spec;
  const reader = { client: deps.client, namespace, serviceAccountName };
  const contents = await readContents(pod === undefined ? [] : references(pod), reader, signal);
  return "problem" in contents
    ? { contentProblem: contents.problem }
    : { contentFingerprint: contents.fingerprint };
}

interface Judged {
  readonly decision: Decision;
  readonly problem: BuilderWorld["problem"];
  readonly fleet: FleetState | undefined;
}

function statusOf(
  world: BuilderWorld,
  { decision, problem, fleet }: Judged,
  deps: ReconcileDeps,
): BuilderStatus {
  const { templateHash } = decision;
  const stale = new Set(
    world.owned.pods
      .filter((pod) => templateHashOf(pod) !== templateHash)
      .map(({ metadata }) => metadata.name),
  );
  return builderStatus({
    generation: world.object.metadata.generation,
    previous: world.object.status as BuilderStatus | undefined,
    spec: world.spec,
    instances: world.instances.map((facts) => ({
      ...facts,
      outdated: templateHash !== undefined && stale.has(facts.id),
    })),
    problem,
    isRolledOut: decision.settled && (templateHash === undefined || stale.size === 0),
    templateHash,
    wanted: instancesOf(world, fleet),
    isLeaving: world.object.metadata.deletionTimestamp !== undefined,
    running: (id) => deps.loads.running(world.ref, id),
    queued: deps.loads.queued(world.ref),
    starts: deps.uses.starts(world.ref),
    now: deps.now(),
  });
}

/** What status has of when runs started. */
function startsIn({ object }: BuilderWorld): number[] {
  const status = object.status as BuilderStatus | undefined;
  return (status?.recentStarts ?? []).map((text) => Date.parse(text));
}

/** Instances that there should be; of a fleet that cannot be judged: as many as it was told last. */
function instancesOf({ ref, owned, spec }: BuilderWorld, fleet: FleetState | undefined): number {
  if (spec === undefined) return 0;
  const { kubernetes } = spec;
  const { replicas, scaling } = kubernetes ?? {};
  const told = owned.workloads[0]?.spec?.replicas ?? replicas ?? scaling?.min ?? 1;
  const pods = kubernetes === undefined ? 0 : (fleet?.wanted ?? told);
  return pods + externals(ref, spec).length;
}

function wasReady(world: BuilderWorld): boolean {
  const status = world.object.status as BuilderStatus | undefined;
  return findCondition(status?.conditions, "Ready")?.status === "True";
}

interface Looked {
  readonly decision: Decision;
  readonly status: BuilderStatus;
  readonly isWritten: boolean;
  readonly fleet: FleetState | undefined;
  /** Of runs, in milliseconds since the epoch. */
  readonly starts: readonly number[];
}

function next(
  world: BuilderWorld,
  { decision, status, isWritten, fleet, starts }: Looked,
): Outcome {
  const has = (wanted: string): boolean =>
    status.conditions?.some(({ type }) => type === wanted) === true;
  const isDraining = has("Draining");
  if (!decision.settled || !isWritten || has("Reconciling") || isDraining) return after(movingMs);
  const isBusy = (status.runningRuns ?? 0) + (status.queuedRuns ?? 0) > 0;
  if (isBusy || (has("Stalled") && world.spec !== undefined)) return after(busyMs);
  return after(
    Math.min(idleLeftMs(world, fleet, starts), decision.usesContents ? contentMs : idleMs),
  );
}

/** Until the first idle instance has been idle for long enough. */
function idleLeftMs(
  { spec }: BuilderWorld,
  fleet: FleetState | undefined,
  starts: readonly number[],
): number {
  const { scaling } = spec?.kubernetes ?? {};
  if (scaling === undefined || fleet === undefined) return Number.POSITIVE_INFINITY;
  const left = fleet.members
    .map(({ idleMs: is }) => idleTimeoutOf(scaling, starts) - is)
    .filter((ms) => ms > 0);
  return Math.min(...left);
}

function isKnown(object: KubeObject, caches: BuilderCaches): boolean {
  const key = keyOf(object.metadata);
  switch (object.kind) {
    case "ReplicaSet":
      return caches.replicaSets.get(key) !== undefined;
    case "StatefulSet":
      return caches.statefulSets.get(key) !== undefined;
    case "Service":
      return caches.services.get(key) !== undefined;
    case "PodDisruptionBudget":
      return caches.disruptionBudgets.get(key) !== undefined;
    default:
      return caches.networkPolicies.get(key) !== undefined;
  }
}
