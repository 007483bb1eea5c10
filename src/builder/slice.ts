// The Builder slice as a whole: wires caches, probes, certificates and the control loop together. Started
// and stopped by the composition root.

import type { Logger } from "pino";
import { connect } from "../buildkit/index.ts";
import type { KubeClient } from "../kube/client.ts";
import type { EventSink } from "../kube/events.ts";
import { Controller } from "../runtime/controller.ts";
import type { ControllerMetrics } from "../runtime/metrics.ts";
import { systemClock } from "../runtime/clock.ts";
import type { CacheEvent } from "../kube/cache.ts";
import type { KubeObject } from "../kube/object.ts";
import { cacheList, ownerKeys, refOf, type BuilderCaches } from "./caches.ts";
import type { Written } from "./decide.ts";
import { CachedFleet, FleetBell, InstanceLoads } from "./fleet.ts";
import { builderKey, builderRefOf, type Fleet } from "./instance.ts";
import type { BuildkitImages } from "./kubernetes/input.ts";
import { Identities } from "./pki/identities.ts";
import { Prober } from "./probe.ts";
import { reconcileBuilder } from "./reconcile.ts";

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
  readonly concurrency: number;
  readonly metrics?: ControllerMetrics;
}

/** The running slice. */
export interface Builders {
  readonly fleet: Fleet;
  /** Resolves when all of its caches hold their first list. */
  readonly synced: Promise<void>;
  /** Begins to reconcile; only as the leader, after `synced`. */
  start(): void;
  /** Ends reconciles and probes; never rejects. */
  stop(deadlineMs: number): Promise<void>;
}

/** Makes the slice. Nothing is asked or written before `start`; the fleet answers from the caches at once. */
export function createBuilders(o: BuildersOptions): Builders {
  const { client, caches } = o;
  const now = (): Date => new Date(systemClock.now());
  const identities = new Identities({ client, namespace: o.namespace, now });
  const loads = new InstanceLoads();
  const bell = new FleetBell();
  const prober = new Prober({
    connect,
    clock: systemClock,
    log: o.log,
    onChange: (key) => {
      controller.add(key);
      bell.ring(builderRefOf(key));
    },
  });
  const common = { client, caches, prober, identities, loads, kilnNamespace: o.namespace };
  const written = new Map<string, Written>();
  const deps = {
    ...common,
    events: o.events,
    images: o.images,
    defaultConfig: o.defaultConfig,
    now,
    written,
  };
  const controller = new Controller({
    name: "builder",
    concurrency: o.concurrency,
    log: o.log,
    ...(o.metrics === undefined ? {} : { metrics: o.metrics }),
    reconcile: (key, signal, context) =>
      reconcileBuilder(key, { ...deps, log: context.log.child({ builder: key }) }, signal),
  });
  const unlisten = listen(caches, (key, initial) => {
    controller.add(key, { priority: initial ? "low" : "normal" });
    bell.ring(builderRefOf(key));
  });
  const forget = [caches.deployments, caches.statefulSets, caches.networkPolicies].map((cache) =>
    (cache as unknown as BuilderCaches["deployments"]).onChange(({ type, object }) => {
      if (type === "Deleted" && object.metadata.uid !== undefined)
        written.delete(object.metadata.uid);
    }),
  );
  return {
    fleet: new CachedFleet({ ...common, bell }),
    synced: Promise.all(cacheList(caches).map((cache) => cache.synced)).then(() => undefined),
    start: () => controller.start(),
    stop: async (deadlineMs) => {
      for (const end of [...unlisten, ...forget]) end();
      await controller.stop(deadlineMs);
      prober.stop();
    },
  };
}

/** Every change of a Builder or of what belongs to it rings its key. */
function listen(
  caches: BuilderCaches,
  ring: (key: string, initial: boolean) => void,
): (() => void)[] {
  const tell = ({ initial }: CacheEvent<KubeObject>, keys: readonly string[]): void => {
    for (const key of keys) ring(key, initial === true);
  };
  const { builders, clusterBuilders, ...owned } = caches;
  return [
    builders.onChange((event) => tell(event, [builderKey(refOf(event.object))])),
    clusterBuilders.onChange((event) => tell(event, [builderKey(refOf(event.object))])),
    ...(Object.values(owned) as BuilderCaches["pods"][]).map((cache) =>
      cache.onChange((event) => tell(event, ownerKeys(event.object))),
    ),
  ];
}
