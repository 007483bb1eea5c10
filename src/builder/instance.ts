// What the rest of Kiln may know of a Builder: its instances, how to reach them, and why not. The
// slice that drives runs codes against these types; `fleet.ts` fills them in.

import type { BuilderSpec } from "../api/v1alpha1/index.ts";
import type { Place } from "../agent/agent.ts";

/** Which Builder. A ClusterBuilder has no namespace. */
export interface BuilderRef {
  readonly kind: "Builder" | "ClusterBuilder";
  readonly namespace?: string;
  readonly name: string;
}

/** One buildkitd of a Builder. */
export interface Instance {
  /** Stable for the daemon's life: the pod's name, or `remote-0`. */
  readonly id: string;
  /** BuildKit answered lately, over the connection that runs take. */
  readonly ready: boolean;
  /** Why not ready: CamelCase, as in the Builder's status. */
  readonly reason?: string;
  readonly message?: string;
  /** As BuildKit's workers report them, e.g. `linux/amd64`; empty while unknown. */
  readonly platforms: readonly string[];
  /** Set for the BuildKit inside a Docker engine, which is asked in its own way. */
  readonly engine?: EngineFeatures;
  /** A Docker engine is behind it: images can be loaded there. */
  readonly loads?: true;
  /** e.g. `v0.34.2`. */
  readonly version?: string;
  /** Runs it takes at once. */
  readonly capacity: number;
  /** On its way out: takes no new run. */
  readonly terminating: boolean;
}

/** What the BuildKit inside a Docker engine can do. */
export interface EngineFeatures {
  /** Whether images are in containerd's store: without it there are no several platforms, cache exports and pushes. */
  readonly containerdStore: boolean;
  /** Address that `host-gateway` stands for. */
  readonly hostGateway?: string;
}

/** Why a Builder takes no run now. */
export interface NotReady {
  /** CamelCase: the reason of its Ready condition. */
  readonly reason: string;
  /** A sentence that says what to do. */
  readonly message: string;
}

/** What a Builder says of registries, as others may know it: no key and no login is in it. */
export interface RegistryFacts {
  /** PEM texts of certificates by registry. */
  readonly authorities: ReadonlyMap<string, string>;
  /** Those that speak plain HTTP, or whose certificate is overlooked. */
  readonly insecureRegistries: ReadonlySet<string>;
}

/** How many runs are on an instance. */
export interface InstanceLoad {
  readonly running: number;
}

/** All Builders and their instances, from caches: nothing here waits but `place` and `registries`. */
export interface Fleet {
  /**
   * The Builder that a run in `namespace` means; undefined when there is none. A ref without a kind
   * means a Builder of the namespace. No ref: the namespace's Builder `default`, then ClusterBuilder `default`.
   */
  find(
    ref: { readonly kind?: BuilderRef["kind"]; readonly name?: string } | undefined,
    namespace: string,
  ): BuilderRef | undefined;
  /** Its spec with defaults filled in; undefined when it is gone or cannot be read. */
  spec(ref: BuilderRef): BuilderSpec | undefined;
  /** Undefined when at least one instance is ready. */
  notReadyReason(ref: BuilderRef): NotReady | undefined;
  /** Those of a Builder that is gone or being deleted: none, or terminating ones. */
  instances(ref: BuilderRef): Instance[];
  /**
   * Where solves on an instance run, with TLS material read anew. Throws a `KilnError` of class `Builder`:
   * `InstanceGone` when it will not come back, `InstanceNotRunning`, `TLSSecretUnreadable`, ….
   */
  place(ref: BuilderRef, instanceId: string, signal: AbortSignal): Promise<Place>;
  /**
   * What `spec.buildkitd.registries` says of these hosts, with authorities read anew; nothing of a Builder that is gone.
   * Throws a `KilnError` of class `Builder`: `SecretNotFound`, `SecretForbidden` or `SecretInvalid`.
   */
  registries(
    ref: BuilderRef,
    hosts: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<RegistryFacts>;
  /** A run waits for this Builder: it may have to start an instance. */
  demand(ref: BuilderRef): void;
  /** Whether it is being deleted, and its running builds are to be cancelled. */
  cancelsRuns(ref: BuilderRef): boolean;
  /** Whether its time to let builds end is over: what runs there is to be cut. Pods' agents are told by the Builder itself. */
  isOverdue(ref: BuilderRef, instanceId: string): boolean;
  /** Rings when an instance comes, goes or changes, or when its time is over. Returns the function that ends it. */
  onChange(listener: (ref: BuilderRef) => void): () => void;
  /**
   * The driver of runs says once how to count. `waiting`: the platforms of each run that waits. `queuedAt`: how many of
   * them would go to an instance first, by its id.
   */
  reportLoad(
    running: (ref: BuilderRef, instanceId: string) => InstanceLoad,
    waiting: (ref: BuilderRef) => readonly (readonly string[])[],
    queuedAt?: (ref: BuilderRef) => ReadonlyMap<string, number>,
  ): void;
}

/** A key that tells Builders and ClusterBuilders apart: `Builder/shop/main`, `ClusterBuilder/main`. */
export function builderKey(ref: BuilderRef): string {
  return ref.namespace === undefined
    ? `${ref.kind}/${ref.name}`
    : `${ref.kind}/${ref.namespace}/${ref.name}`;
}

/** The ref that `builderKey` made `key` of. */
export function builderRefOf(key: string): BuilderRef {
  const [kind, second = "", third] = key.split("/");
  if (kind === "ClusterBuilder") return { kind, name: second };
  return { kind: "Builder", namespace: second, name: third ?? "" };
}
