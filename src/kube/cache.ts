// A live copy of one kind of object: lists it in pages, watches it from there, and survives
// everything a watch can do wrong.

import type { Logger } from "pino";
import type { KubeClient } from "./client.ts";
import type { KubeObject } from "./object.ts";
import type { ResourceType } from "./types.ts";

/** What changed. `object` is the new state, or the last known one of `Deleted`. */
export interface CacheEvent<T extends KubeObject> {
  readonly type: "Added" | "Modified" | "Deleted";
  readonly key: string;
  readonly object: T;
  /** Part of the first list: hand it on with low priority. */
  readonly initial?: boolean;
}

/** What a `ResourceCache` is made of. */
export interface CacheOptions<T extends KubeObject> {
  readonly client: KubeClient;
  readonly type: ResourceType<T>;
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly log: Logger;
  /** Drops what nobody reads before an object is kept. */
  readonly transform?: (object: T) => T;
  /** Name → the values under which `byIndex` finds an object. */
  readonly indexers?: Readonly<Record<string, (object: T) => readonly string[]>>;
}
