// All Builders as the slice of runs sees them: read from caches and the probes' last answers, at the
// moment of asking.

import type { BuilderSpec, BuilderStatus } from "../api/v1alpha1/index.ts";
import { InvalidResource } from "../api/parse.ts";
import type { Place } from "../agent/agent.ts";
import { KilnError } from "../errors/index.ts";
import { parseStored, storedBuilder, type BuilderCaches, type StoredBuilder } from "./caches.ts";
import {
  externalFacts,
  engineFeatures,
  platformsOf,
  memberInstance,
  runningPod,
  type InstanceFacts,
} from "./health/facts.ts";
import {
  builderKey,
  type BuilderRef,
  type Fleet,
  type Instance,
  type InstanceLoad,
  type NotReady,
  type RegistryFacts,
} from "./instance.ts";
import { externals } from "./reconcile/externals.ts";
import { externalPlace, readerOf } from "./health/external-targets.ts";
import { registryFacts } from "./remote/registries.ts";
import type { Prober } from "./health/probe.ts";
import { groupOf, podGroups } from "./kubernetes/groups.ts";
import { capacityOf, isOverdue } from "./lifecycle/fleet-state.ts";
import { mainProblem } from "./status/builder.ts";
import { podPlace, type TargetDeps } from "./health/targets.ts";
import { workloadName } from "./names.ts";
import type { Uses } from "./uses.ts";
import { ownedBy } from "./reconcile/world.ts";

/** The name that is meant when nobody says which Builder. */
const defaultName = "default";

/** How many runs there are, as the slice of runs counts them. Zero until it says. */
export class InstanceLoads {
  #running: (ref: BuilderRef, instanceId: string) => InstanceLoad = () => ({ running: 0 });
  #waiting: (ref: BuilderRef) => readonly (readonly string[])[] = () => [];
  #queuedAt: (ref: BuilderRef) => ReadonlyMap<string, number> = () => new Map();

  /** See `Fleet.reportLoad`. */
  report(
    running: (ref: BuilderRef, instanceId: string) => InstanceLoad,
    waiting: (ref: BuilderRef) => readonly (readonly string[])[],
    queuedAt: (ref: BuilderRef) => ReadonlyMap<string, number> = () => new Map(),
  ): void {
    this.#running = running;
    this.#waiting = waiting;
    this.#queuedAt = queuedAt;
  }

  running(ref: BuilderRef, instanceId: string): number {
    return this.#running(ref, instanceId).running;
  }

  /** The platforms of each run that waits. */
  waiting(ref: BuilderRef): readonly (readonly string[])[] {
    return this.#waiting(ref);
  }

  /** How many of them would go to an instance first, by its id. */
  queuedAt(ref: BuilderRef): ReadonlyMap<string, number> {
    return this.#queuedAt(ref);
  }

  queued(ref: BuilderRef): number {
    return this.#waiting(ref).length;
  }
}

/** Rings listeners when a Builder or an instance of it changed. */
export class FleetBell {
  readonly #listeners = new Set<(ref: BuilderRef) => void>();

  add(listener: (ref: BuilderRef) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  ring(ref: BuilderRef): void {
    for (const listener of this.#listeners) listener(ref);
  }
}

/** What a `CachedFleet` reads from. */
export interface FleetDeps extends TargetDeps {
  readonly caches: BuilderCaches;
  readonly prober: Prober;
  readonly loads: InstanceLoads;
  readonly bell: FleetBell;
  readonly uses: Uses;
  readonly now: () => Date;
  /** Somebody is about to use an instance: its Builder may have become busy. */
  readonly onUse: (ref: BuilderRef) => void;
}

/** The `Fleet` of the running controller. */
export class CachedFleet implements Fleet {
  readonly #deps: FleetDeps;

  constructor(deps: FleetDeps) {
    this.#deps = deps;
  }

  find(
    ref: { readonly kind?: BuilderRef["kind"]; readonly name?: string } | undefined,
    namespace: string,
  ): BuilderRef | undefined {
    const name = ref?.name ?? defaultName;
    const ofNamespace: BuilderRef = { kind: "Builder", namespace, name };
    const ofCluster: BuilderRef = { kind: "ClusterBuilder", name };
    const candidates =
      ref === undefined
        ? [ofNamespace, ofCluster]
        : [ref.kind === "ClusterBuilder" ? ofCluster : ofNamespace];
    return candidates.find((one) => storedBuilder(this.#deps.caches, one) !== undefined);
  }

  spec(ref: BuilderRef): BuilderSpec | undefined {
    const object = storedBuilder(this.#deps.caches, ref);
    if (object === undefined) return undefined;
    try {
      return parseStored(object).spec;
    } catch (error) {
      if (error instanceof InvalidResource) return undefined;
      throw error;
    }
  }

  notReadyReason(ref: BuilderRef): NotReady | undefined {
    const object = storedBuilder(this.#deps.caches, ref);
    const name = `${ref.kind} "${ref.name}"`;
    if (object === undefined)
      return { reason: "BuilderNotFound", message: `${name} does not exist.` };
    if (object.metadata.deletionTimestamp !== undefined) {
      return { reason: "Terminating", message: `${name} is being deleted.` };
    }
    const spec = this.spec(ref);
    if (spec?.drain === true) {
      const message = `spec.drain of ${name} is set: it takes no new run.`;
      return { reason: "Draining", message };
    }
    const instances = this.#facts(ref);
    const grows = spec !== undefined && podGroups(spec).some(({ driver }) => driver.scaling);
    if (instances.length === 0 && grows) {
      return { reason: "ScalingUp", message: `${name} has no instance now: one is being started.` };
    }
    if (instances.some((instance) => instance.ready && !instance.terminating)) return undefined;
    return (
      mainProblem({ instances, problem: undefined }) ??
      statedReason(object) ?? {
        reason: "Starting",
        message: `${name} has no instance yet.`,
      }
    );
  }

  instances(ref: BuilderRef): Instance[] {
    const object = storedBuilder(this.#deps.caches, ref);
    const spec = this.spec(ref);
    if (object === undefined || spec === undefined) return [];
    const spent = this.#deps.uses.spent(ref);
    const isLeaving = object.metadata.deletionTimestamp !== undefined;
    const facts = this.#facts(ref);
    const ofPods = podPlatforms(object);
    const there = facts.map((one) => instanceOf(spec, one, { isLeaving, spent, ofPods }));
    return [...there, ...comingOf({ ref, spec, isLeaving, ofPods }, facts)];
  }

  async place(ref: BuilderRef, instanceId: string, signal: AbortSignal): Promise<Place> {
    const spec = this.spec(ref);
    this.#use(ref, instanceId, spec);
    const outside =
      spec === undefined ? undefined : externals(ref, spec).find(({ id }) => id === instanceId);
    if (spec !== undefined && outside !== undefined)
      return await externalPlace({ ref, spec }, outside, this.#deps, signal);
    const pod = this.#pod(ref, instanceId);
    const running = pod === undefined ? undefined : runningPod(pod);
    if (running !== undefined) return await podPlace(ref, running.host, this.#deps, signal);
    // A StatefulSet makes a pod of the same name on the same volume: its daemon may still know what it did.
    const comesBack = pod !== undefined || isOrdinal(ref, instanceId, spec);
    throw new KilnError({
      class: "Builder",
      reason: comesBack ? "InstanceNotRunning" : "InstanceGone",
      message: `Instance ${instanceId} of ${ref.kind} "${ref.name}" is not running${comesBack ? " now" : " any more"}.`,
      retryable: true,
    });
  }

  async registries(
    ref: BuilderRef,
    hosts: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<RegistryFacts> {
    const spec = this.spec(ref);
    if (spec === undefined) return { authorities: new Map(), insecureRegistries: new Set() };
    return await registryFacts(spec, hosts, readerOf({ ref, spec }, this.#deps), signal);
  }

  demand(ref: BuilderRef): void {
    this.#deps.prober.want(builderKey(ref));
    this.#deps.onUse(ref);
  }

  isOverdue(ref: BuilderRef, instanceId: string): boolean {
    const object = storedBuilder(this.#deps.caches, ref);
    const spec = this.spec(ref);
    if (object === undefined || spec === undefined) return false;
    const isOutside = externals(ref, spec).some(({ id }) => id === instanceId);
    if (!isOutside) return false;
    const since = this.#deps.keeper.result(builderKey(ref), instanceId)?.drainingSinceMs;
    return isOverdue({ object, spec }, this.#deps.now(), since);
  }

  cancelsRuns(ref: BuilderRef): boolean {
    const object = storedBuilder(this.#deps.caches, ref);
    const isLeaving = object?.metadata.deletionTimestamp !== undefined;
    return isLeaving && this.spec(ref)?.deletionPolicy === "CancelRuns";
  }

  onChange(listener: (ref: BuilderRef) => void): () => void {
    return this.#deps.bell.add(listener);
  }

  reportLoad(
    running: (ref: BuilderRef, instanceId: string) => InstanceLoad,
    waiting: (ref: BuilderRef) => readonly (readonly string[])[],
    queuedAt: (ref: BuilderRef) => ReadonlyMap<string, number> = () => new Map(),
  ): void {
    this.#deps.loads.report(running, waiting, queuedAt);
  }

  #pod(ref: BuilderRef, id: string) {
    const object = storedBuilder(this.#deps.caches, ref);
    const pods = object === undefined ? [] : ownedBy(object, this.#deps.caches).pods;
    return pods.find(({ metadata }) => metadata.name === id);
  }

  #use(ref: BuilderRef, instanceId: string, spec: BuilderSpec | undefined): void {
    const spends = groupOf(this.#pod(ref, instanceId), spec)?.driver.isolation === "PerRun";
    this.#deps.uses.start(ref, instanceId, { nowMs: this.#deps.now().getTime(), spends });
    this.#deps.onUse(ref);
  }

  #facts(ref: BuilderRef): InstanceFacts[] {
    const { caches, prober, keeper } = this.#deps;
    const object = storedBuilder(caches, ref);
    const spec = this.spec(ref);
    if (object === undefined || spec === undefined) return [];
    const key = builderKey(ref);
    const pods = ownedBy(object, caches).pods.map((pod) =>
      memberInstance(spec, pod, prober.result(key, pod.metadata.name)),
    );
    const outside = externals(ref, spec).map((one) =>
      externalFacts(one, prober.result(key, one.id), keeper.result(key, one.id)),
    );
    return [...pods, ...outside];
  }
}

/** What pods of spec.kubernetes build for, that neither say it nor are told to: what those before them said. */
function podPlatforms({ status }: StoredBuilder): readonly string[] {
  return (status as BuilderStatus | undefined)?.podPlatforms ?? [];
}

interface Coming {
  readonly ref: BuilderRef;
  readonly spec: BuilderSpec;
  readonly isLeaving: boolean;
  /** See `podPlatforms`. */
  readonly ofPods: readonly string[];
}

function instanceOf(
  spec: BuilderSpec,
  facts: InstanceFacts,
  {
    isLeaving,
    spent,
    ofPods,
  }: Pick<Coming, "isLeaving" | "ofPods"> & { readonly spent: ReadonlySet<string> },
): Instance {
  const said = platformsOf(facts);
  const isOfPods = facts.driver === undefined && facts.node === undefined;
  return {
    id: facts.id,
    ready: facts.ready && !isLeaving && !spec.drain && !spent.has(facts.id),
    ...(facts.problem === undefined ? {} : facts.problem),
    platforms: said.length === 0 && isOfPods ? ofPods : said,
    ...engineOf(facts),
    ...((facts.driver === "Docker" || facts.driver === "DockerContainer") && { loads: true }),
    ...(facts.daemon === undefined ? {} : { version: facts.daemon.version }),
    capacity: facts.slots ?? spec.maxConcurrentRuns,
    terminating: facts.terminating || isLeaving,
  };
}

/** Whether a StatefulSet of the spec makes a pod of that name. */
function isOrdinal(ref: BuilderRef, id: string, spec: BuilderSpec | undefined): boolean {
  const kept = spec === undefined ? [] : podGroups(spec).filter(({ driver }) => driver.storage);
  return kept.some(({ node }) => id.replace(/-\d+$/, "") === workloadName(ref, node));
}

/**
 * For each kind of pods that come with the runs, and of which there is none now: one that can be waited for. What it builds
 * for is known before it is there.
 */
function comingOf(
  { ref, spec, isLeaving, ofPods }: Coming,
  facts: readonly InstanceFacts[],
): Instance[] {
  const there = facts.filter(({ driver, terminating }) => driver === undefined && !terminating);
  return podGroups(spec).flatMap(
    ({ node, driver, platforms = node === undefined ? ofPods : [] }) => {
      if (driver.scaling === undefined || platforms.length === 0) return [];
      if (there.some((one) => one.node === node)) return [];
      return [
        {
          id: node ?? workloadName(ref),
          ready: false,
          reason: "ScalingUp",
          message: "There is no such instance now: one is being started.",
          platforms,
          capacity: capacityOf({ ...spec, kubernetes: driver }),
          terminating: isLeaving,
        },
      ];
    },
  );
}

/** What the last reconcile found wrong with the Builder as a whole: quota, admission, an invalid spec. */
function statedReason(object: { readonly status?: unknown }): NotReady | undefined {
  const status = object.status as
    | {
        readonly conditions?: readonly {
          type: string;
          status: string;
          reason: string;
          message: string;
        }[];
      }
    | undefined;
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  if (ready === undefined || ready.status === "True") return undefined;
  return { reason: ready.reason, message: ready.message };
}

function engineOf(facts: InstanceFacts): Pick<Instance, "engine"> {
  const engine = engineFeatures(facts);
  return engine === undefined ? {} : { engine };
}
