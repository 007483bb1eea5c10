// The objects of one kind as last seen, and what each list or watch event changed about them. Pure
// state, no waiting. An object is who its uid says it is, not its name.

import type { CacheEvent } from "../cache.ts";
import { keyOf } from "../object.ts";
import type { KubeObject } from "../object.ts";

/** Name → the values under which an object is found. */
export type Indexers<T> = Readonly<Record<string, (object: T) => readonly string[]>>;

/**
 * Whether version `a` is `b` or later. Versions of one kind are comparable decimal numbers (KEP-5504);
 * anything else (an aggregated API's own scheme) is only known to be equal or not.
 */
export function atLeast(a: string, b: string): boolean {
  if (a === b) return true;
  if (!/^\d+$/.test(a) || !/^\d+$/.test(b)) return false;
  return a.length === b.length ? a > b : a.length > b.length;
}

/** Objects by key, with indexes. Remembers the version up to which it is complete. */
export class ObjectStore<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #indexers: Indexers<T>;
  readonly #indexes = new Map<string, Map<string, Set<string>>>();
  readonly #writes = new Map<string, string>();
  #version = "";

  constructor(indexers: Indexers<T>) {
    this.#indexers = {
      ...indexers,
      namespace: (object) => [object.metadata.namespace ?? ""],
    };
    for (const name of Object.keys(this.#indexers)) this.#indexes.set(name, new Map());
  }

  get size(): number {
    return this.#objects.size;
  }

  /** All changes up to this version are in. Empty before the first list. */
  get version(): string {
    return this.#version;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  all(): T[] {
    return [...this.#objects.values()];
  }

  /** Objects whose indexer `index` gave `value`. Throws for an index that was not declared. */
  byIndex(index: string, value: string): T[] {
    const keys = this.#indexes.get(index);
    if (keys === undefined) throw new Error(`the cache has no index named ${index}`);
    const found: T[] = [];
    for (const key of keys.get(value) ?? []) {
      const object = this.#objects.get(key);
      if (object !== undefined) found.push(object);
    }
    return found;
  }

  /** A whole list: what is not in it is gone, also when nobody said so. */
  replace(items: readonly T[], version: string): CacheEvent<T>[] {
    const changes: CacheEvent<T>[] = [];
    const present = new Set(items.map((item) => keyOf(item.metadata)));
    for (const [key, object] of this.#objects) {
      if (!present.has(key)) changes.push(this.#drop(key, object));
    }
    for (const item of items) {
      const known = this.#objects.get(keyOf(item.metadata));
      const same =
        known !== undefined &&
        known.metadata.uid === item.metadata.uid &&
        known.metadata.resourceVersion === item.metadata.resourceVersion;
      if (!same) changes.push(...this.#put(item));
    }
    this.#reach(version);
    return changes;
  }

  /** One watch event. Nothing happens for one that was seen before: the same events in any replay. */
  apply(type: "ADDED" | "MODIFIED" | "DELETED", object: T): CacheEvent<T>[] {
    const version = object.metadata.resourceVersion ?? "";
    if (this.#version !== "" && version !== "" && atLeast(this.#version, version)) return [];
    const changes = type === "DELETED" ? this.#remove(object) : this.#put(object);
    if (version !== "") this.#reach(version);
    return changes;
  }

  /** A bookmark: everything up to `version` was sent. */
  bookmark(version: string): void {
    if (version !== "" && !atLeast(this.#version, version)) this.#reach(version);
  }

  /** Remembers a write of ours, so that `isFresh` is false until its echo is in. */
  wrote(object: T): void {
    const version = object.metadata.resourceVersion;
    if (version === undefined || this.hasSeen(version)) return;
    this.#writes.set(keyOf(object.metadata), version);
  }

  /** Whether all our remembered writes to `key` are in. */
  isFresh(key: string): boolean {
    return !this.#writes.has(key);
  }

  /** Whether everything up to `version` is in. */
  hasSeen(version: string): boolean {
    return this.#version !== "" && atLeast(this.#version, version);
  }

  #reach(version: string): void {
    this.#version = version;
    for (const [key, written] of this.#writes) {
      if (atLeast(version, written)) this.#writes.delete(key);
    }
  }

  #put(object: T): CacheEvent<T>[] {
    const key = keyOf(object.metadata);
    const known = this.#objects.get(key);
    if (known !== undefined && known.metadata.uid === object.metadata.uid) {
      this.#unindex(key, known);
      this.#objects.set(key, object);
      this.#index(key, object);
      return [{ type: "Modified", key, object }];
    }
    // Another object took the name while its deletion went unseen.
    const changes: CacheEvent<T>[] = known === undefined ? [] : [this.#drop(key, known)];
    this.#objects.set(key, object);
    this.#index(key, object);
    changes.push({ type: "Added", key, object });
    return changes;
  }

  #remove(object: T): CacheEvent<T>[] {
    const key = keyOf(object.metadata);
    const known = this.#objects.get(key);
    if (known === undefined) return [];
    // The event's object is the newest state; a namesake's deletion means that ours went earlier.
    const sameOne = known.metadata.uid === object.metadata.uid;
    return [this.#drop(key, sameOne ? object : known)];
  }

  #drop(key: string, object: T): CacheEvent<T> {
    const known = this.#objects.get(key);
    if (known !== undefined) this.#unindex(key, known);
    this.#objects.delete(key);
    return { type: "Deleted", key, object };
  }

  #index(key: string, object: T): void {
    for (const [name, index] of this.#indexes) {
      for (const value of this.#indexers[name]?.(object) ?? []) {
        const keys = index.get(value) ?? new Set();
        keys.add(key);
        index.set(value, keys);
      }
    }
  }

  #unindex(key: string, object: T): void {
    for (const [name, index] of this.#indexes) {
      for (const value of this.#indexers[name]?.(object) ?? []) {
        const keys = index.get(value);
        keys?.delete(key);
        if (keys?.size === 0) index.delete(value);
      }
    }
  }
}
