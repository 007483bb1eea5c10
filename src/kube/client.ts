// Kubernetes as Kiln asks it: typed verbs over the API server's REST interface, each with a deadline
// and an AbortSignal. Server-side apply is the normal way to write.

import type { Duplex } from "node:stream";
import type { HttpResponse } from "./http/transport.ts";
import type { KubeObject, ObjectPlace } from "./object.ts";
import type { ResourceType } from "./types.ts";

/** What to list or watch. An absent namespace means all of them. */
export interface ListQuery {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Version of the whole list: where a watch goes on. */
  readonly resourceVersion: string;
  /** Token of the next page; undefined on the last. */
  readonly next?: string | undefined;
}

/**
 * What to send with server-side apply: only the fields that Kiln owns. apiVersion and kind are filled
 * in. With `metadata.uid` the API server answers `Conflict` rather than write a namesake that took the
 * object's place; with `metadata.resourceVersion` also when anybody else wrote meanwhile.
 */
export type Applied<T extends KubeObject> = {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: KubeObject["metadata"];
} & { readonly [K in Exclude<keyof T, keyof KubeObject>]?: T[K] | undefined };

/** Options of server-side apply. */
export interface ApplyOptions {
  /** Default "kiln-controller". */
  readonly fieldManager?: string;
  /** Take fields over that another manager set. Default true. */
  readonly force?: boolean;
}

/** Which object to delete; `uid` and `resourceVersion` are preconditions (409 `Conflict` if not met). */
export interface DeleteTarget extends ObjectPlace {
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

/** Where a program is run. Default container: the one that the pod names as default, or its first. */
export interface ExecTarget extends ObjectPlace {
  readonly container?: string | undefined;
}

/** What happens to dependents. Kubernetes' default for our kinds is Background. */
export type Propagation = "Background" | "Foreground" | "Orphan";

/** Where a watch starts. */
export interface WatchQuery extends ListQuery {
  /** Events after this version. */
  readonly resourceVersion: string;
  /** The server ends the watch after this long. */
  readonly timeoutSeconds: number;
}

/** What a cache needs of a client. */
export interface ListWatcher {
  /** At most `limit` objects after `next`. Rejects with `Gone` when `next` is too old. */
  listPage<T extends KubeObject>(
    type: ResourceType<T>,
    query: ListQuery & { readonly limit: number; readonly next?: string | undefined },
    signal: AbortSignal,
  ): Promise<Page<T>>;
  /** An open stream of watch events, bookmarks included, one JSON object a line. */
  openWatch(type: ResourceType, query: WatchQuery, signal: AbortSignal): Promise<HttpResponse>;
}

/** The API server as one identity. Every method rejects with `ApiError`, or the signal's reason. */
export interface KubeClient extends ListWatcher {
  /** Undefined when there is none. */
  get<T extends KubeObject>(
    type: ResourceType<T>,
    at: ObjectPlace,
    signal: AbortSignal,
  ): Promise<T | undefined>;
  /** All pages. */
  list<T extends KubeObject>(
    type: ResourceType<T>,
    query: ListQuery,
    signal: AbortSignal,
  ): Promise<T[]>;
  /** Rejects with `AlreadyExists` when the name is taken. Not retried after a lost answer. */
  create<T extends KubeObject>(
    type: ResourceType<T>,
    object: Applied<T>,
    signal: AbortSignal,
  ): Promise<T>;
  /** Replaces the object; the `resourceVersion` in it is the optimistic lock. */
  replace<T extends KubeObject>(
    type: ResourceType<T>,
    object: Applied<T>,
    signal: AbortSignal,
  ): Promise<T>;
  apply<T extends KubeObject>(
    type: ResourceType<T>,
    object: Applied<T>,
    o: ApplyOptions,
    signal: AbortSignal,
  ): Promise<T>;
  /**
   * Server-side apply of `status` alone. With a `uid` and no `resourceVersion` the object is read
   * first, since the API server itself does not heed a uid here; with the version it is one request.
   */
  applyStatus<T extends KubeObject>(
    type: ResourceType<T>,
    object: Applied<T>,
    o: ApplyOptions,
    signal: AbortSignal,
  ): Promise<T>;
  /** An object that is already gone is fine. */
  delete(
    type: ResourceType,
    at: DeleteTarget,
    signal: AbortSignal,
    propagation?: Propagation,
  ): Promise<void>;
  /**
   * Replaces the whole list of finalizers, if the object is still the version given (else
   * `Conflict`): so no other owner's finalizer is dropped unseen. Undefined when it is gone.
   */
  setFinalizers<T extends KubeObject>(
    type: ResourceType<T>,
    object: T,
    finalizers: readonly string[],
    signal: AbortSignal,
  ): Promise<T | undefined>;
  /**
   * Runs a program in a container of a pod: a stream of its standard input and output, which ends with an error when the
   * program fails. Rejects with `ApiError`: `NotFound` for the pod, `Forbidden`, `BadRequest` for the container or a pod
   * that does not run.
   */
  exec(at: ExecTarget, command: readonly string[], signal: AbortSignal): Promise<Duplex>;
  /** The same API server with the rights of a service account and nothing more. */
  asServiceAccount(namespace: string, name: string): KubeClient;
}
