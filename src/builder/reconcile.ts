// One look at one Builder: gather the world, decide, act, say how it is. Everything that has memory
// (probes, certificates, what was last written) is handed in.

import type { Logger } from "pino";
import { findCondition } from "../api/condition.ts";
import type { BuilderStatus } from "../api/v1alpha1/index.ts";
import type { KubeClient } from "../kube/client.ts";
import { isApiError } from "../kube/errors.ts";
import type { EventSink } from "../kube/events.ts";
import { keyOf, type KubeObject } from "../kube/object.ts";
import { after, done, type Outcome } from "../runtime/outcome.ts";
import { act } from "./act.ts";
import { builders, clusterBuilders, type BuilderCaches } from "./caches.ts";
import { readContents } from "./contents.ts";
import { decide, render, type DecideInput, type Decision, type Written } from "./decide.ts";
import type { InstanceLoads } from "./fleet.ts";
import { builderRefOf } from "./instance.ts";
import { contentHash } from "./kubernetes/hash.ts";
import type { BuildkitImages } from "./kubernetes/input.ts";
import { references } from "./kubernetes/references.ts";
import { templateHashOf } from "./kubernetes/workload.ts";
import type { Identities } from "./pki/identities.ts";
import type { Prober } from "./health/probe.ts";
import { builderStatus } from "./status.ts";
import { probeTargets, type TargetDeps } from "./health/targets.ts";
import { gather, tlsOwners, type BuilderWorld } from "./world.ts";

/** What a reconcile of a Builder works with. */
export interface ReconcileDeps {
  readonly client: KubeClient;
  readonly caches: BuilderCaches;
  readonly prober: Prober;
  readonly identities: Identities;
  readonly loads: InstanceLoads;
  readonly events: EventSink;
  /** Carries `builder`. */
  readonly log: Logger;
  readonly images: BuildkitImages;
  readonly defaultConfig: string | undefined;
  readonly kilnNamespace: string;
  readonly now: () => Date;
  /** By uid of a live object; shared by all reconciles of the process. */
  readonly written: Map<string, Written>;
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
    return done;
  }
  // Our own last status has not come back yet: the watch will ring when it has.
  if (!cacheOf(world, deps.caches).isFresh(keyOf(ref))) return after(movingMs);
  const targets: TargetDeps = deps;
  const daemons = probeTargets(world, targets);
  deps.prober.watch(key, daemons);
  if (world.object.metadata.deletionTimestamp !== undefined) return done;

  await serverTls(world, deps, signal);
  const contents = await contentsOf(world, deps, signal);
  const isBusy = world.instances.some(({ id }) => deps.loads.running(ref, id) > 0);
  const decision = decide(world, { ...deps, ...contents, isBusy });
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
  // A controller that has just started knows nothing yet: that is no news about the Builder.
  const isUnasked = daemons.some(({ id }) => deps.prober.result(key, id) === undefined);
  if (isUnasked && wasReady(world)) return after(movingMs);
  const status = statusOf(world, decision, refused ?? decision.problem ?? world.problem, deps);
  await report(world, status, deps, signal);
  return next(world, decision, status);
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
  const pod = rendered.desired.spec?.template.spec;
  const { serviceAccountName } = spec;
  const reader = { client: deps.client, namespace, serviceAccountName };
  const contents = await readContents(pod === undefined ? [] : references(pod), reader, signal);
  return "problem" in contents
    ? { contentProblem: contents.problem }
    : { contentFingerprint: contents.fingerprint };
}

function statusOf(
  world: BuilderWorld,
  decision: Decision,
  problem: BuilderWorld["problem"],
  deps: ReconcileDeps,
): BuilderStatus {
  const { templateHash } = decision;
  const isNewest = world.owned.pods.every((pod) => templateHashOf(pod) === templateHash);
  return builderStatus({
    generation: world.object.metadata.generation,
    previous: world.object.status as BuilderStatus | undefined,
    spec: world.spec,
    instances: world.instances,
    problem,
    isRolledOut: decision.settled && (templateHash === undefined || isNewest),
    templateHash,
    running: (id) => deps.loads.running(world.ref, id),
    queued: deps.loads.queued(world.ref),
    now: deps.now(),
  });
}

function wasReady(world: BuilderWorld): boolean {
  const status = world.object.status as BuilderStatus | undefined;
  return findCondition(status?.conditions, "Ready")?.status === "True";
}

/** Writes the status if it says anything new, and tells if the Builder became ready or ceased to be. */
async function report(
  world: BuilderWorld,
  status: BuilderStatus,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<void> {
  const before = world.object.status as BuilderStatus | undefined;
  if (before !== undefined && contentHash(before) === contentHash(status)) return;
  const { name, namespace, uid } = world.object.metadata;
  const type = world.ref.kind === "ClusterBuilder" ? clusterBuilders : builders;
  try {
    const object = { metadata: { name, namespace, uid }, status };
    const stored = await deps.client.applyStatus(type, object, {}, signal);
    cacheOf(world, deps.caches).wrote(stored);
  } catch (error) {
    // Gone, or another one of the same name: its own reconcile will speak for it.
    if (isApiError(error, "NotFound", "Conflict")) return;
    throw error;
  }
  tell(world, before, status, deps);
}

/** One log line and one Event when the reason of Ready changes. */
function tell(
  world: BuilderWorld,
  before: BuilderStatus | undefined,
  status: BuilderStatus,
  { log, events }: ReconcileDeps,
): void {
  const was = findCondition(before?.conditions, "Ready");
  const is = findCondition(status.conditions, "Ready");
  if (is === undefined || (was?.status === is.status && was.reason === is.reason)) return;
  const { reason, message } = is;
  const isReady = is.status === "True";
  log.info({ ready: isReady, reason, message }, "builder changed");
  if (was === undefined && reason === "Starting") return;
  const isNormal = isReady || reason === "Starting";
  events.event(world.object, {
    type: isNormal ? "Normal" : "Warning",
    reason: isReady ? "Ready" : reason,
    message,
  });
}

function next(world: BuilderWorld, decision: Decision, status: BuilderStatus): Outcome {
  const isMoving =
    !decision.settled || status.conditions?.some(({ type }) => type === "Reconciling") === true;
  if (isMoving) return after(movingMs);
  const isStalled = status.conditions?.some(({ type }) => type === "Stalled") === true;
  const isBusy = (status.runningRuns ?? 0) + (status.queuedRuns ?? 0) > 0;
  if (isBusy || (isStalled && world.spec !== undefined)) return after(busyMs);
  return after(decision.usesContents ? contentMs : idleMs);
}

function isKnown(object: KubeObject, caches: BuilderCaches): boolean {
  const key = keyOf(object.metadata);
  switch (object.kind) {
    case "Deployment":
      return caches.deployments.get(key) !== undefined;
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

function cacheOf(world: BuilderWorld, caches: BuilderCaches) {
  return world.ref.kind === "ClusterBuilder" ? caches.clusterBuilders : caches.builders;
}
