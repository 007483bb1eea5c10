// Which objects does the Builder slice keep a copy of? Its two kinds, and what Kiln made for them.

import type { Logger } from "pino";
import { parseBuilder, parseClusterBuilder } from "../api/parse.ts";
import { builderKind, clusterBuilderKind } from "../api/kinds.ts";
import type { Builder, ClusterBuilder } from "../api/v1alpha1/index.ts";
import { ResourceCache, type CacheOptions } from "../kube/cache.ts";
import type { ListWatcher } from "../kube/client.ts";
import { keyOf, type KubeObject } from "../kube/object.ts";
import {
  replicaSets,
  networkPolicies,
  podDisruptionBudgets,
  pods,
  resourceType,
  type ResourceType,
  services,
  statefulSets,
  type ReplicaSet,
  type NetworkPolicy,
  type PodDisruptionBudget,
  type Pod,
  type Service,
  type StatefulSet,
} from "../kube/types.ts";
import type { BuilderRef } from "./instance.ts";
import { builderKey } from "./instance.ts";
import { builderKindLabel, builderLabel, configAnnotation, ownedSelector } from "./names.ts";

/** A Builder or ClusterBuilder as the API server sends it: not yet checked, defaults not filled in. */
export type StoredBuilder = KubeObject & { readonly spec?: unknown; readonly status?: unknown };

/** `builders.kiln.build`. */
export const builders = resourceType<StoredBuilder>({ ...builderKind });
/** `clusterbuilders.kiln.build`. */
export const clusterBuilders = resourceType<StoredBuilder>({ ...clusterBuilderKind });

/** Live copies of everything that the slice decides on. */
export interface BuilderCaches {
  readonly builders: ResourceCache<StoredBuilder>;
  readonly clusterBuilders: ResourceCache<StoredBuilder>;
  readonly replicaSets: ResourceCache<ReplicaSet>;
  readonly statefulSets: ResourceCache<StatefulSet>;
  readonly services: ResourceCache<Service>;
  readonly networkPolicies: ResourceCache<NetworkPolicy>;
  readonly disruptionBudgets: ResourceCache<PodDisruptionBudget>;
  readonly pods: ResourceCache<Pod>;
}

/** Name of the index that finds owned objects by `builderKey`. */
export const byBuilder = "builder";

/** Makes the caches; start them. All but the two kinds hold only what carries Kiln's labels. */
export function builderCaches(
  client: ListWatcher,
  o: { readonly log: Logger; readonly metrics?: NonNullable<CacheOptions<Pod>["metrics"]> },
): BuilderCaches {
  const common = { client, log: o.log, ...(o.metrics === undefined ? {} : { metrics: o.metrics }) };
  const owned = {
    ...common,
    labelSelector: ownedSelector,
    indexers: { [byBuilder]: (object: KubeObject) => ownerKeys(object) },
  };
  return {
    builders: new ResourceCache({ ...common, type: builders }),
    clusterBuilders: new ResourceCache({ ...common, type: clusterBuilders }),
    replicaSets: new ResourceCache({ ...owned, type: replicaSets }),
    statefulSets: new ResourceCache({ ...owned, type: statefulSets }),
    services: new ResourceCache({ ...owned, type: services }),
    networkPolicies: new ResourceCache({ ...owned, type: networkPolicies }),
    disruptionBudgets: new ResourceCache({ ...owned, type: podDisruptionBudgets }),
    pods: new ResourceCache({ ...owned, type: pods, transform: withoutConfig }),
  };
}

/** All of them. */
export function cacheList(caches: BuilderCaches): ResourceCache<KubeObject>[] {
  return Object.values(caches) as ResourceCache<KubeObject>[];
}

/** The resource that a Builder is of. */
export function builderTypeOf({ kind }: { readonly kind: string }): ResourceType<StoredBuilder> {
  return kind === "ClusterBuilder" ? clusterBuilders : builders;
}

/** The cache that holds the Builder. */
export function cacheOf(
  { kind }: Pick<BuilderRef, "kind">,
  caches: BuilderCaches,
): ResourceCache<StoredBuilder> {
  return kind === "ClusterBuilder" ? caches.clusterBuilders : caches.builders;
}

/** The stored Builder that `ref` names. */
export function storedBuilder(caches: BuilderCaches, ref: BuilderRef): StoredBuilder | undefined {
  return cacheOf(ref, caches).get(keyOf(ref));
}

/** Which Builder this is. */
export function refOf(object: KubeObject): BuilderRef {
  const { name, namespace } = object.metadata;
  return object.kind === "ClusterBuilder" || namespace === undefined
    ? { kind: "ClusterBuilder", name }
    : { kind: "Builder", namespace, name };
}

/** Checks it and fills in defaults. Throws `InvalidResource`. */
export function parseStored(object: StoredBuilder): Builder | ClusterBuilder {
  return object.kind === "ClusterBuilder" ? parseClusterBuilder(object) : parseBuilder(object);
}

/** The Builder that an object was made for, by its labels: `builderKey`, or none. */
export function ownerKeys(object: KubeObject): string[] {
  const { labels, namespace } = object.metadata;
  const name = labels?.[builderLabel];
  if (name === undefined) return [];
  if (labels?.[builderKindLabel] === "ClusterBuilder") {
    return [builderKey({ kind: "ClusterBuilder", name })];
  }
  return namespace === undefined ? [] : [builderKey({ kind: "Builder", namespace, name })];
}

/** A pod's copy of buildkitd.toml may be 64 KiB and nobody reads it here. */
function withoutConfig(pod: Pod): Pod {
  const annotations = pod.metadata.annotations;
  if (annotations?.[configAnnotation] === undefined) return pod;
  const { [configAnnotation]: _, ...rest } = annotations;
  return { ...pod, metadata: { ...pod.metadata, annotations: rest } };
}
