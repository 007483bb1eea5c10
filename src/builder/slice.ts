// The Builder slice as a whole: wires caches, probes, certificates and the control loop together. Started
// and stopped by the composition root.

import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { KubeClient } from "../kube/client.ts";
import type { EventSink } from "../kube/events.ts";
import { Controller } from "../runtime/controller.ts";
import type { ControllerMetrics } from "../runtime/metrics.ts";
import { systemClock } from "../runtime/clock.ts";
import type { Priority } from "../runtime/queue.ts";
import type { ResourceCache } from "../kube/cache.ts";
import type { KubeObject } from "../kube/object.ts";
import {
  replicaSets,
  networkPolicies,
  podDisruptionBudgets,
  pods,
  services,
  statefulSets,
  type ResourceType,
} from "../kube/types.ts";
import {
  builders,
  cacheList,
  clusterBuilders,
  ownerKeys,
  refOf,
  type BuilderCaches,
} from "./caches.ts";
import type { Written } from "./reconcile/decide.ts";
import { ContainerKeeper } from "./docker/keeper.ts";
import { CachedFleet, FleetBell, InstanceLoads } from "./fleet.ts";
import { builderKey, type BuilderRef, builderRefOf, type Fleet } from "./instance.ts";
import type { BuildkitImages } from "./kubernetes/input.ts";
import { Identities } from "./pki/identities.ts";
import { instanceMetrics } from "./metrics.ts";
import { daemonProbe } from "./health/ask.ts";
import { Prober } from "./health/probe.ts";
import { reconcileBuilder } from "./reconcile/reconcile.ts";
import { Uses } from "./uses.ts";

/** What the slice is made of. */
export interface BuildersOptions {
  readonly client: KubeClient;
  /** Of `builderCaches`; started and stopped by whoever made them. */
  readonly caches: BuilderCaches;
  readonly events: EventSink;
  readonly log: Logger;
  /** Kiln's own. */
  readonly namespace: string;
  readonly images: BuildkitImages;
  /** buildkitd.toml of Builders that bring none. */
  readonly defaultConfig?: string | undefined;
  /** Whether Builders may use sockets in the controller's container too, and not ClusterBuilders only. Default: false. */
  readonly namespacedSockets?: boolean;
  readonly concurrency: number;
  readonly metrics?: ControllerMetrics;
  /** Where the numbers of instances are told, while this process leads. */
  readonly registry?: Registry;
}

/** The running slice. */
export interface Builders {
  readonly fleet: Fleet;
  /** Resolves when all of its caches hold their first list. */
  readonly synced: Promise<void>;
  /** A cache saw the Builder under this key, or something of its, come, change or go. */
  changed(key: string, priority: Priority): void;
  /** Begins to reconcile; only as the leader, after `synced`. */
  start(): void;
  /** Ends reconciles and probes; never rejects. */
  stop(deadlineMs: number): Promise<void>;
}

/** Makes the slice. Nothing is asked or written before `start`; the fleet answers from the caches at once. */
export function createBuilders(o: BuildersOptions): Builders {
  const { client, caches, namespace: kilnNamespace, namespacedSockets = false } = o;
  const now = (): Date => new Date(systemClock.now());
  const identities = new Identities({ client, namespace: kilnNamespace, now });
  const loads = new InstanceLoads();
  const bell = new FleetBell();
  const uses = new Uses();
  const onChange = (key: string): void => {
    controller.add(key);
    bell.ring(builderRefOf(key));
  };
  const health = { clock: systemClock, log: o.log, onChange };
  const prober = new Prober({ ...health, connect: daemonProbe });
  const keeper = new ContainerKeeper(health);
  const shared = { client, caches, prober, keeper, identities, loads, uses };
  const common = { ...shared, kilnNamespace, namespacedSockets };
  const written = new Map<string, Written>();
  const deps = {
    ...common,
    events: o.events,
    images: o.images,
    defaultConfig: o.defaultConfig,
    now,
    onOverdue: (ref: BuilderRef) => bell.ring(ref),
    written,
    reported: new Map<string, number>(),
  };
  const controller = new Controller({
    name: "builder",
    concurrency: o.concurrency,
    log: o.log,
    ...(o.metrics === undefined ? {} : { metrics: o.metrics }),
    reconcile: (key, signal, context) =>
      reconcileBuilder(key, { ...deps, log: context.log.child({ builder: key }) }, signal),
  });
  const forget = forgetting(caches, (uid) => {
    written.delete(uid);
    deps.reported.delete(uid);
  });
  return {
    fleet: new CachedFleet({
      ...common,
      bell,
      now,
      onUse: (ref) => controller.add(builderKey(ref)),
    }),
    synced: Promise.all(cacheList(caches).map((cache) => cache.synced)).then(() => undefined),
    changed: (key, priority) => {
      controller.add(key, { priority });
      bell.ring(builderRefOf(key));
    },
    start: () => begin(controller, o),
    stop: async (deadlineMs) => {
      for (const end of forget) end();
      await controller.stop(deadlineMs);
      prober.stop();
      keeper.stop();
    },
  };
}

/** From now on this process leads. */
function begin(controller: Controller, { registry, caches }: BuildersOptions): void {
  const kinds = [caches.builders, caches.clusterBuilders];
  if (registry !== undefined) instanceMetrics(registry, () => kinds.flatMap((one) => one.list()));
  controller.start();
}

/** Calls `onGone` with the uid of what was deleted. Returns the functions that end it. */
function forgetting(caches: BuilderCaches, onGone: (uid: string) => void): (() => void)[] {
  return cacheList(caches).map((cache) =>
    cache.onChange(({ type, object }) => {
      if (type === "Deleted" && object.metadata.uid !== undefined) onGone(object.metadata.uid);
    }),
  );
}

/** One cache of the slice and the key that a change of its objects rings. */
export interface BuilderFeed {
  readonly cache: ResourceCache<KubeObject>;
  readonly type: ResourceType<KubeObject>;
  readonly keyFor: (object: KubeObject) => string | undefined;
}

/** What has to be fed to `changed`: the Builders, and everything that belongs to one. */
export function builderFeeds(caches: BuilderCaches): readonly BuilderFeed[] {
  const own = (object: KubeObject): string => builderKey(refOf(object));
  const owner = (object: KubeObject): string | undefined => ownerKeys(object)[0];
  const feed = (cache: unknown, type: unknown, keyFor: BuilderFeed["keyFor"]): BuilderFeed => ({
    cache: cache as ResourceCache<KubeObject>,
    type: type as ResourceType<KubeObject>,
    keyFor,
  });
  return [
    feed(caches.builders, builders, own),
    feed(caches.clusterBuilders, clusterBuilders, own),
    feed(caches.replicaSets, replicaSets, owner),
    feed(caches.statefulSets, statefulSets, owner),
    feed(caches.services, services, owner),
    feed(caches.networkPolicies, networkPolicies, owner),
    feed(caches.disruptionBudgets, podDisruptionBudgets, owner),
    feed(caches.pods, pods, owner),
  ];
}
