// One look at one Builder: gather the world, decide, act, say how it is. Everything that has memory
// (probes, certificates, what was last written) is handed in.

import type { Logger } from "pino";
import { findCondition } from "../api/condition.ts";
import type { BuilderStatus } from "../api/v1alpha1/index.ts";
import type { KubeClient } from "../kube/client.ts";
import type { EventSink } from "../kube/events.ts";
import { keyOf, type KubeObject } from "../kube/object.ts";
import { after, done, type Outcome } from "../runtime/outcome.ts";
import { act } from "./act.ts";
import type { BuilderCaches } from "./caches.ts";
import { readContents } from "./contents.ts";
import { decide, render, type DecideInput, type Decision, type Written } from "./decide.ts";
import type { InstanceLoads } from "./fleet.ts";
import { builderRefOf } from "./instance.ts";
import type { BuildkitImages } from "./kubernetes/input.ts";
import { references } from "./kubernetes/references.ts";
import { templateHashOf } from "./kubernetes/workload.ts";
import type { Identities } from "./pki/identities.ts";
import type { Prober } from "./health/probe.ts";
import { cacheOf, report } from "./report.ts";
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
  const isWritten = await report(world, status, deps, signal);
  return next(world, { decision, status, isWritten });
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
    running: (id) => deps.loads.running(world.ref, id),
    queued: deps.loads.queued(world.ref),
    now: deps.now(),
  });
}

function wasReady(world: BuilderWorld): boolean {
  const status = world.object.status as BuilderStatus | undefined;
  return findCondition(status?.conditions, "Ready")?.status === "True";
}

interface Looked {
  readonly decision: Decision;
  readonly status: BuilderStatus;
  readonly isWritten: boolean;
}

function next(world: BuilderWorld, { decision, status, isWritten }: Looked): Outcome {
  const has = (wanted: string): boolean =>
    status.conditions?.some(({ type }) => type === wanted) === true;
  if (!decision.settled || !isWritten || has("Reconciling")) return after(movingMs);
  const isBusy = (status.runningRuns ?? 0) + (status.queuedRuns ?? 0) > 0;
  if (isBusy || (has("Stalled") && world.spec !== undefined)) return after(busyMs);
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
