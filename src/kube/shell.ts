// The process shell: @dot-i/k8s-operator's Operator, with its watch replaced by our caches. The only
// file that imports that package. docs/adr/0004 says what of it is used, what is not, and why.

import { readFile } from "node:fs/promises";
import { CoreV1Api, loadYaml } from "@kubernetes/client-node";
import type { KubeConfig, V1CustomResourceDefinitionVersion } from "@kubernetes/client-node";
import operatorModule from "@dot-i/k8s-operator";
import type { OperatorLogger, ResourceEvent } from "@dot-i/k8s-operator";
import type { Logger } from "pino";
import { asError } from "../runtime/clock.ts";
import type { Priority } from "../runtime/queue.ts";
import type { CacheEvent, ResourceCache } from "./cache.ts";
import type { KubeClient } from "./client.ts";
import { keyOf } from "./object.ts";
import type { KubeObject } from "./object.ts";
import { customResourceDefinitions } from "./types.ts";
import type { CustomResourceDefinition, ResourceType } from "./types.ts";

// A CommonJS package: its default export is a property of what `import` calls default.
const { default: Operator, ResourceEventType } = operatorModule;

/** Hands a key to whoever works on it; the first list comes with priority "low". */
export type KeySink = (key: string, priority: Priority) => void;

/** What a `KilnOperator` is made of. */
export interface KilnOperatorOptions {
  readonly config: KubeConfig;
  readonly client: KubeClient;
  readonly log: Logger;
  /** Called once by `start`: feed caches to queues, register CRDs. */
  readonly init: (operator: KilnOperator) => Promise<void>;
}

type OnEvent = (event: ResourceEvent) => Promise<void>;

/**
 * The operator as a process: `start` runs `init`, starts every cache that was fed, and resolves when
 * their first lists are in; `stop` ends them. Reconciles run in `Controller`s, not in here.
 */
export class KilnOperator extends Operator {
  readonly #o: KilnOperatorOptions;
  readonly #caches = new Map<string, ResourceCache<KubeObject>>();
  readonly #unsubscribe: (() => void)[] = [];
  #stopped: Promise<unknown> = Promise.resolve();
  /**
   * How urgent the change is that is being handed on: `ResourceEvent` has no place for it. Holds
   * because handlers run up to their first await, so all of `feed`'s, before the next change.
   */
  #priority: Priority = "normal";

  constructor(o: KilnOperatorOptions) {
    super(bridge(o.log));
    this.#o = o;
    // The base class has loaded the default configuration; ours may come from elsewhere.
    this.kubeConfig = o.config;
    this.k8sApi = o.config.makeApiClient(CoreV1Api);
  }

  /** Hands the key of every change in `cache` to `sink`; `keyFor` may choose another key, e.g. the owner's. */
  async feed<T extends KubeObject>(
    cache: ResourceCache<T>,
    type: ResourceType<T>,
    sink: KeySink,
    keyFor: (object: T) => string | undefined = (object) => keyOf(object.metadata),
  ): Promise<void> {
    const [group, version] = splitVersion(type.apiVersion);
    this.#caches.set(
      cacheId(group, version, type.plural),
      cache as unknown as ResourceCache<KubeObject>,
    );
    await this.watchResource(group, version, type.plural, async (event) => {
      const key = keyFor(event.object as unknown as T);
      if (key !== undefined) sink(key, this.#priority);
    });
  }

  /** Resolves when every cache has its first list. Rejects when `signal` aborts before that. */
  override async start(signal?: AbortSignal): Promise<void> {
    await super.start();
    for (const cache of this.#caches.values()) cache.start();
    const synced = Promise.all([...this.#caches.values()].map((cache) => cache.synced));
    if (signal === undefined) await synced;
    else await unlessAborted(synced, signal);
    this.#o.log.info({ caches: [...this.#caches.keys()] }, "caches are in sync");
  }

  /** Begins to end the watches; `stopped` tells when they have. What the caches hold stays readable. */
  override stop(): void {
    super.stop();
    for (const unsubscribe of this.#unsubscribe.splice(0)) unsubscribe();
    this.#stopped = Promise.all([...this.#caches.values()].map((cache) => cache.stop()));
  }

  /** Resolves when everything that `stop` ended has ended. */
  get stopped(): Promise<unknown> {
    return this.#stopped;
  }

  /** Names of kinds whose first list is not in yet: the readiness check. */
  get unsynced(): string[] {
    return [...this.#caches].filter(([, cache]) => !cache.hasSynced).map(([id]) => id);
  }

  protected override async init(): Promise<void> {
    await this.#o.init(this);
  }

  /** Fed by a cache, which must have been given to `feed`: the base class's own watch loses deletes. */
  protected override async watchResource(
    ...[group, version, plural, onEvent, namespace]: [string, string, string, OnEvent, string?]
  ): Promise<void> {
    const id = cacheId(group, version, plural);
    const cache = this.#caches.get(id);
    if (cache === undefined) throw new Error(`${id} has no cache; give one to feed()`);
    const unsubscribe = cache.onChange((change) => {
      if (namespace !== undefined && change.object.metadata.namespace !== namespace) return;
      this.#priority = change.initial === true ? "low" : "normal";
      onEvent(resourceEvent(id, change)).catch((error: unknown) => {
        this.#o.log.error({ id, key: change.key, err: asError(error) }, "watch handler failed");
      });
    });
    this.#unsubscribe.push(unsubscribe);
  }

  /**
   * Applies a CRD from a YAML file, so that an upgrade changes it too. The base class's version calls
   * client-node 0.20's API, which no longer exists.
   */
  override async registerCustomResourceDefinition(
    crdFile: string,
    signal: AbortSignal = AbortSignal.timeout(30_000),
  ): Promise<{ group: string; versions: V1CustomResourceDefinitionVersion[]; plural: string }> {
    const crd = loadYaml<CustomResourceDefinition>(await readFile(crdFile, "utf8"));
    if (crd.apiVersion !== customResourceDefinitions.apiVersion) {
      throw new Error(
        `${crdFile} is not a CustomResourceDefinition of ${customResourceDefinitions.apiVersion}`,
      );
    }
    const { metadata, spec } = crd;
    await this.#o.client.apply(customResourceDefinitions, { metadata, spec }, {}, signal);
    this.#o.log.info({ crd: metadata.name }, "custom resource definition applied");
    return {
      group: spec.group,
      versions: spec.versions as unknown as V1CustomResourceDefinitionVersion[],
      plural: spec.names.plural,
    };
  }

  /** The base class reads a field that client-node 2 does not have. */
  protected override getCustomResourceApiUri(
    ...[group, version, plural, namespace]: [string, string, string, string?]
  ): string {
    const server = this.kubeConfig.getCurrentCluster()?.server ?? "";
    const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
    const within = namespace === undefined ? "" : `/namespaces/${namespace}`;
    return `${server.replace(/\/$/, "")}${root}${within}/${plural}`;
  }

  /** Not used: swallows errors. `KubeClient.applyStatus` instead. */
  protected override setResourceStatus(): Promise<never> {
    return notUsed("setResourceStatus", "KubeClient.applyStatus");
  }

  /** Not used: swallows errors. `KubeClient.applyStatus` instead. */
  protected override patchResourceStatus(): Promise<never> {
    return notUsed("patchResourceStatus", "KubeClient.applyStatus");
  }

  /** Not used: drops other owners' finalizers. `KubeClient.setFinalizers` instead. */
  protected override setResourceFinalizers(): Promise<never> {
    return notUsed("setResourceFinalizers", "KubeClient.setFinalizers");
  }

  /** Not used: drops other owners' finalizers. `KubeClient.setFinalizers` instead. */
  protected override handleResourceFinalizer(): Promise<never> {
    return notUsed("handleResourceFinalizer", "KubeClient.setFinalizers");
  }
}

function notUsed(method: string, instead: string): Promise<never> {
  return Promise.reject(new Error(`Operator.${method} is not used in Kiln; use ${instead}`));
}

/** The package logs whole sentences; they become the message of a line of ours. */
function bridge(log: Logger): OperatorLogger {
  const shell = log.child({ component: "operator" });
  return {
    debug: (message) => shell.debug(message),
    info: (message) => shell.info(message),
    warn: (message) => shell.warn(message),
    error: (message) => shell.error(message),
  };
}

const eventTypes = {
  Added: ResourceEventType.Added,
  Modified: ResourceEventType.Modified,
  Deleted: ResourceEventType.Deleted,
};

function resourceEvent(id: string, change: CacheEvent<KubeObject>): ResourceEvent {
  const { apiVersion, kind, metadata } = change.object;
  const { name, namespace, resourceVersion = "" } = metadata;
  return {
    type: eventTypes[change.type],
    object: change.object as unknown as ResourceEvent["object"],
    meta: {
      id,
      name,
      resourceVersion,
      apiVersion,
      kind,
      ...(namespace === undefined ? {} : { namespace }),
    },
  };
}

function cacheId(group: string, version: string, plural: string): string {
  return `${plural}.${group === "" ? version : `${group}/${version}`}`;
}

function splitVersion(apiVersion: string): [group: string, version: string] {
  const slash = apiVersion.indexOf("/");
  return slash < 0 ? ["", apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
}

/** `promise`, unless `signal` aborts first. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(asError(signal.reason));
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
