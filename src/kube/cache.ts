// A live copy of one kind of object: lists it in pages, watches it from there, and survives
// everything a watch can do wrong (list → watch → closed: watch again | gone: list | failed: wait).

import type { Logger } from "pino";
import { backoffMs, watchBackoff } from "../runtime/backoff.ts";
import type { BackoffPolicy } from "../runtime/backoff.ts";
import { asError, sleep, systemClock } from "../runtime/clock.ts";
import type { Clock } from "../runtime/clock.ts";
import type { ListQuery, ListWatcher } from "./client.ts";
import { keyOf } from "./object.ts";
import type { KubeObject } from "./object.ts";
import { listAll } from "./paging.ts";
import type { ResourceType } from "./types.ts";
import type { CacheMetrics } from "./watch/metrics.ts";
import { ObjectStore } from "./watch/store.ts";
import { endOf, lines, parseEvent, Watchdog } from "./watch/stream.ts";
import type { WatchEnd, WatchEvent } from "./watch/stream.ts";

/** What changed. `object` is the new state, or the last known one of `Deleted`. */
export interface CacheEvent<T extends KubeObject> {
  readonly type: "Added" | "Modified" | "Deleted";
  readonly key: string;
  readonly object: T;
  /** Known before the listener was, or part of the first list: hand it on with low priority. */
  readonly initial?: boolean;
}

/** Told of changes, in order. Must return soon; what it throws is logged and goes no further. */
export type CacheListener<T extends KubeObject> = (event: CacheEvent<T>) => void;

/** What a `ResourceCache` is made of. */
export interface CacheOptions<T extends KubeObject> {
  readonly client: ListWatcher;
  readonly type: ResourceType<T>;
  /** Default: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly log: Logger;
  /** Drops what nobody reads before an object is kept; managedFields and kubectl's copy are dropped anyway. */
  readonly transform?: (object: T) => T;
  /** Name → the values under which `byIndex` finds an object. "namespace" is there already. */
  readonly indexers?: Readonly<Record<string, (object: T) => readonly string[]>>;
  readonly metrics?: CacheMetrics;
  readonly clock?: Clock;
  /** In [0, 1); for jitter and watch lengths. */
  readonly random?: () => number;
  readonly backoff?: BackoffPolicy;
  /** A watch that is silent for longer is dead. Bookmarks come about once a minute. Default 120 000. */
  readonly silenceMs?: number;
}

/** A watch that lived this long was healthy: the next failure begins with a short wait again. */
const healthyMs = 10_000;
/** A watch that the server closed earlier than this counts as failed. */
const shortMs = 1_000;
/** A list is the answer to everything: after so many failed watches in a row one is asked for. */
const failuresBeforeList = 5;
/** The server ends each watch after a random time in this range, so that they do not end together. */
const watchSeconds = { least: 300, most: 600 };

/** The objects of one kind, kept up to date from `start` to `stop`. Objects in it must not be changed. */
export class ResourceCache<T extends KubeObject> {
  readonly #o: CacheOptions<T>;
  readonly #clock: Clock;
  readonly #store: ObjectStore<T>;
  readonly #listeners = new Set<CacheListener<T>>();
  readonly #stopping = new AbortController();
  readonly #synced = Promise.withResolvers<void>();
  readonly #waiters = new Set<() => void>();
  #hasSynced = false;
  #running: Promise<void> | undefined;
  #connection: AbortController | undefined;
  #heardAt: number;
  /** Lists and watches that failed since a watch was last healthy. */
  #failures = 0;

  constructor(o: CacheOptions<T>) {
    this.#o = o;
    this.#clock = o.clock ?? systemClock;
    this.#store = new ObjectStore(o.indexers ?? {});
    this.#heardAt = this.#clock.now();
    o.metrics?.numbers(o.type.kind, () => ({
      size: this.size,
      lastEventAgeSeconds: (this.#clock.now() - this.#heardAt) / 1000,
      synced: this.#hasSynced,
    }));
  }

  /** Starts to list and watch; a second call does nothing. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the watch. The objects stay readable. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the cache is stopped"));
    this.#connection?.abort(this.#stopping.signal.reason);
    await this.#running;
  }

  /** Resolves when the first list is in and every listener was told; stays pending when stopped before. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  get size(): number {
    return this.#store.size;
  }

  /** `key` as of `keyOf`. */
  get(key: string): T | undefined {
    return this.#store.get(key);
  }

  /** All objects, or those of one namespace. */
  list(namespace?: string): T[] {
    return namespace === undefined
      ? this.#store.all()
      : this.#store.byIndex("namespace", namespace);
  }

  /** Objects whose indexer `index` gave `value`. Throws for an index that was not declared. */
  byIndex(index: string, value: string): T[] {
    return this.#store.byIndex(index, value);
  }

  /** Tells `listener` of every change from now on, and first of what is there; returns how to end that. */
  onChange(listener: CacheListener<T>): () => void {
    if (this.#hasSynced) {
      for (const object of this.#store.all()) {
        const change = {
          type: "Added" as const,
          key: keyOf(object.metadata),
          object,
          initial: true,
        };
        this.#tell(listener, change);
      }
    }
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Remembers the answer to a write of ours. Until the watch has brought it, `isFresh` of its key is
   * false: the cache shows the past, and a reconcile would decide on it a second time (KEP-5647).
   */
  wrote(object: T): void {
    this.#store.wrote(object);
  }

  /** Whether the cache has caught up with all our writes to `key`. */
  isFresh(key: string): boolean {
    return this.#store.isFresh(key);
  }

  /** Whether everything up to `resourceVersion` (of an object of this kind) is in. */
  seen(resourceVersion: string): boolean {
    return this.#store.hasSeen(resourceVersion);
  }

  /** Resolves when everything up to `resourceVersion` is in; rejects when `signal` aborts first. */
  waitFor(resourceVersion: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (!this.seen(resourceVersion)) return;
        leave();
        resolve();
      };
      const abort = (): void => {
        leave();
        reject(asError(signal.reason));
      };
      const leave = (): void => {
        this.#waiters.delete(check);
        signal.removeEventListener("abort", abort);
      };
      if (signal.aborted) return abort();
      signal.addEventListener("abort", abort, { once: true });
      this.#waiters.add(check);
      check();
    });
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#list();
        await this.#watchOn();
      } catch (error) {
        await this.#failed("list failed", endOf(error));
      }
    }
  }

  async #list(): Promise<void> {
    this.#o.metrics?.listed(this.#o.type.kind);
    const { items, resourceVersion } = await listAll(this.#o.client, this.#o.type, this.#query, {
      signal: this.#stopping.signal,
      keep: (object) => this.#slim(object),
    });
    this.#heardAt = this.#clock.now();
    const initial = !this.#hasSynced;
    const changes = this.#store.replace(items, resourceVersion);
    this.#o.log.debug(
      { kind: this.#o.type.kind, objects: items.length, resourceVersion },
      "listed",
    );
    for (const change of changes) this.#emit(initial ? { ...change, initial } : change);
    this.#hasSynced = true;
    this.#synced.resolve();
    this.#advanced();
  }

  /** Watches, one connection after the other, until a new list is needed. Never rejects. */
  async #watchOn(): Promise<void> {
    const stopping = this.#stopping.signal;
    // Each await below may have ended because of a stop, which ends the connection of that moment only.
    for (let failures = 0; failures < failuresBeforeList && !stopping.aborted; ) {
      const startedAt = this.#clock.now();
      const end = await this.#watch();
      if (stopping.aborted) return;
      this.#o.metrics?.watchEnded(this.#o.type.kind, end.kind);
      const livedMs = this.#clock.now() - startedAt;
      if (livedMs >= healthyMs) {
        this.#failures = 0;
        failures = 0;
      }
      // A server that closes every watch at once is in trouble: do not hammer it.
      if (end.kind === "closed" && livedMs >= shortMs) continue;
      await this.#failed(`watch ${end.kind}`, end);
      if (end.kind === "gone") return;
      failures += 1;
    }
  }

  /** One connection, from the version that the store has. */
  async #watch(): Promise<WatchEnd> {
    const connection = new AbortController();
    this.#connection = connection;
    const silenceMs = this.#o.silenceMs ?? 120_000;
    const dog = new Watchdog(this.#clock, silenceMs, (reason) => connection.abort(reason));
    const { least, most } = watchSeconds;
    const query = {
      ...this.#query,
      resourceVersion: this.#store.version,
      timeoutSeconds: Math.round(least + (most - least) * this.#random()),
    };
    try {
      const response = await this.#o.client.openWatch(this.#o.type, query, connection.signal);
      for await (const line of lines(response.body)) {
        dog.touch();
        this.#heardAt = this.#clock.now();
        this.#take(parseEvent<T>(line, `watch ${this.#o.type.plural}`));
      }
      return { kind: "closed" };
    } catch (error) {
      return endOf(connection.signal.aborted ? connection.signal.reason : error);
    } finally {
      dog.stop();
      connection.abort();
    }
  }

  #take(event: WatchEvent<T>): void {
    if (event.type === "BOOKMARK") this.#store.bookmark(event.resourceVersion);
    else {
      for (const change of this.#store.apply(event.type, this.#slim(event.object))) {
        this.#emit(change);
      }
    }
    this.#advanced();
  }

  /** Waits as long as the server asked for, and at least the backoff. */
  async #failed(what: string, end: WatchEnd): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const { kind } = this.#o.type;
    // A version that became too old while all was well is normal, and the list is asked for at once.
    const waits = end.kind !== "gone" || this.#failures > 0;
    const backoff = backoffMs(this.#o.backoff ?? watchBackoff, this.#failures, this.#random());
    const asked = end.kind === "failed" ? (end.retryAfterMs ?? 0) : 0;
    const waitMs = waits ? Math.max(asked, backoff) : 0;
    this.#failures += 1;
    if (end.kind === "failed") this.#o.log.warn({ kind, err: end.cause, waitMs }, what);
    else this.#o.log.info({ kind, waitMs }, what);
    await sleep(this.#clock, waitMs, this.#stopping.signal).catch(() => undefined);
  }

  /** The object is freshly parsed and nobody else's, so it is changed in place. */
  #slim(object: T): T {
    const metadata: { managedFields?: unknown; annotations?: Record<string, string> } =
      object.metadata as object;
    delete metadata.managedFields;
    delete metadata.annotations?.["kubectl.kubernetes.io/last-applied-configuration"];
    return this.#o.transform === undefined ? object : this.#o.transform(object);
  }

  #emit(change: CacheEvent<T>): void {
    for (const listener of this.#listeners) this.#tell(listener, change);
  }

  #tell(listener: CacheListener<T>, change: CacheEvent<T>): void {
    try {
      listener(change);
    } catch (error) {
      const err = asError(error);
      this.#o.log.error({ kind: this.#o.type.kind, key: change.key, err }, "cache listener failed");
    }
  }

  #advanced(): void {
    for (const check of this.#waiters) check();
  }

  get #query(): ListQuery {
    const { namespace, labelSelector, fieldSelector } = this.#o;
    return { namespace, labelSelector, fieldSelector };
  }

  #random(): number {
    return (this.#o.random ?? Math.random)();
  }
}
