// Which resources exist and what their objects look like on the wire. The shapes of built-in kinds
// come from client-node's generated types, with its renames and Dates undone: we read plain JSON.

import type {
  V1ConfigMap,
  V1EndpointSlice,
  V1Lease,
  V1Namespace,
  V1NetworkPolicy,
  V1Node,
  V1PersistentVolumeClaim,
  V1Pod,
  V1ReplicaSet,
  V1PodDisruptionBudget,
  V1Secret,
  V1Service,
  V1ServiceAccount,
  V1StatefulSet,
  CoreV1Event,
  EventsV1Event,
  V1CustomResourceDefinition,
} from "@kubernetes/client-node";
import type { KubeObject } from "./object.ts";

/** One kind of resource: how to address it, and (in the type only) what its objects are. */
export interface ResourceType<T extends KubeObject = KubeObject> {
  /** `v1`, or `group/version`. */
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Never set; carries `T`. */
  readonly _type?: T;
}

/** Declares a resource of type `T`. */
export function resourceType<T extends KubeObject>(
  type: Omit<ResourceType<T>, "_type">,
): ResourceType<T> {
  return type;
}

/** client-node prefixes reserved words (`_from`, `_continue`); on the wire they have no underscore. */
type WireKey<K> = K extends `_${infer Name}` ? Name : K;

/** A client-node type as it is in JSON: times are strings, renamed fields have their own names. */
export type Wire<T> = T extends Date
  ? string
  : T extends readonly (infer E)[]
    ? Wire<E>[]
    : T extends object
      ? { [K in keyof T as WireKey<K>]: Wire<T[K]> }
      : T;

/** An object of a built-in kind as the API server sends it. */
export type Builtin<T> = KubeObject & Omit<Wire<T>, "apiVersion" | "kind" | "metadata">;

export type Pod = Builtin<V1Pod>;
export type ReplicaSet = Builtin<V1ReplicaSet>;
export type StatefulSet = Builtin<V1StatefulSet>;
export type Service = Builtin<V1Service>;
export type Secret = Builtin<V1Secret>;
export type ConfigMap = Builtin<V1ConfigMap>;
export type ServiceAccount = Builtin<V1ServiceAccount>;
export type PersistentVolumeClaim = Builtin<V1PersistentVolumeClaim>;
export type NetworkPolicy = Builtin<V1NetworkPolicy>;
export type PodDisruptionBudget = Builtin<V1PodDisruptionBudget>;
export type EndpointSlice = Builtin<V1EndpointSlice>;
export type Namespace = Builtin<V1Namespace>;
export type Node = Builtin<V1Node>;
export type Lease = Builtin<V1Lease>;
export type Event = Builtin<EventsV1Event>;
export type CoreEvent = Builtin<CoreV1Event>;
export type CustomResourceDefinition = Builtin<V1CustomResourceDefinition>;

function builtin<T extends KubeObject>(
  apiVersion: string,
  kind: string,
  plural: string,
  namespaced = true,
): ResourceType<T> {
  return { apiVersion, kind, plural, namespaced };
}

export const pods = builtin<Pod>("v1", "Pod", "pods");
export const services = builtin<Service>("v1", "Service", "services");
export const secrets = builtin<Secret>("v1", "Secret", "secrets");
export const configMaps = builtin<ConfigMap>("v1", "ConfigMap", "configmaps");
export const serviceAccounts = builtin<ServiceAccount>("v1", "ServiceAccount", "serviceaccounts");
export const namespaces = builtin<Namespace>("v1", "Namespace", "namespaces", false);
export const nodes = builtin<Node>("v1", "Node", "nodes", false);
export const coreEvents = builtin<CoreEvent>("v1", "Event", "events");
export const persistentVolumeClaims = builtin<PersistentVolumeClaim>(
  "v1",
  "PersistentVolumeClaim",
  "persistentvolumeclaims",
);
export const replicaSets = builtin<ReplicaSet>("apps/v1", "ReplicaSet", "replicasets");
export const statefulSets = builtin<StatefulSet>("apps/v1", "StatefulSet", "statefulsets");
export const events = builtin<Event>("events.k8s.io/v1", "Event", "events");
export const leases = builtin<Lease>("coordination.k8s.io/v1", "Lease", "leases");
export const networkPolicies = builtin<NetworkPolicy>(
  "networking.k8s.io/v1",
  "NetworkPolicy",
  "networkpolicies",
);
export const podDisruptionBudgets = builtin<PodDisruptionBudget>(
  "policy/v1",
  "PodDisruptionBudget",
  "poddisruptionbudgets",
);
export const endpointSlices = builtin<EndpointSlice>(
  "discovery.k8s.io/v1",
  "EndpointSlice",
  "endpointslices",
);
export const customResourceDefinitions = builtin<CustomResourceDefinition>(
  "apiextensions.k8s.io/v1",
  "CustomResourceDefinition",
  "customresourcedefinitions",
  false,
);
