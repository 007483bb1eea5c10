// The KubeClient that speaks to a real API server: verbs → paths, bodies and content types.

import type { Duplex } from "node:stream";
import { deadline, systemClock } from "../runtime/clock.ts";
import type { Clock } from "../runtime/clock.ts";
import type {
  Applied,
  ApplyOptions,
  DeleteTarget,
  ExecTarget,
  KubeClient,
  ListQuery,
  Page,
  Propagation,
  WatchQuery,
} from "./client.ts";
import { ApiError, apiErrorOf, isApiError, unavailable } from "./errors.ts";
import type { AccessSource } from "./http/credentials.ts";
import { ask, parse, readAll } from "./http/exchange.ts";
import type { Question } from "./http/exchange.ts";
import { execProtocols, podStream } from "./http/pod-stream.ts";
import { socketTransport } from "./http/sockets.ts";
import { SocketRefused } from "./http/transport.ts";
import type { HttpResponse, Transport } from "./http/transport.ts";
import {
  collectionPath,
  objectPath,
  pageOf,
  parentPath,
  search,
  selectors,
  wireOf,
} from "./http/wire.ts";
import type { Params } from "./http/wire.ts";
import { keyOf } from "./object.ts";
import type { KubeObject, ObjectPlace } from "./object.ts";
import { listAll } from "./paging.ts";
import { pods } from "./types.ts";
import type { ResourceType } from "./types.ts";

/** Options of `kubeClient`. */
export interface ClientOptions {
  /** In place of sockets; tests put faults here. */
  readonly transport?: Transport;
  /** Default of every apply. Default "kiln-controller". */
  readonly fieldManager?: string;
  readonly userAgent?: string;
  /** One request with its retries takes no longer than this. Default 30 000 ms. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
  /** In [0, 1); for jitter. */
  readonly random?: () => number;
}

/** A client whose connections can be ended. */
export interface OwnedClient extends KubeClient {
  /** Ends idle connections; nothing may be asked afterwards. */
  close(): void;
}

/** A client of the cluster that `source` (a KubeConfig, see `loadKubeConfig`) names. */
export function kubeClient(source: AccessSource, o: ClientOptions = {}): OwnedClient {
  const clock = o.clock ?? systemClock;
  const transport =
    o.transport ??
    socketTransport(source, {
      clock,
      ...(o.userAgent === undefined ? {} : { userAgent: o.userAgent }),
    });
  return new RestClient({
    transport,
    clock,
    random: o.random ?? Math.random,
    timeoutMs: o.timeoutMs ?? 30_000,
    fieldManager: o.fieldManager ?? "kiln-controller",
    headers: {},
  });
}

interface Shared {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: () => number;
  readonly timeoutMs: number;
  readonly fieldManager: string;
  /** Of every request: impersonation. */
  readonly headers: Readonly<Record<string, string>>;
}

interface ObjectRequest {
  readonly method: Question["method"];
  /** For error messages; default the method. */
  readonly verb?: string;
  readonly params?: Params;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly subresource?: string;
}

/** Writes of a status that others may overtake before the conflict is the caller's. */
const statusTries = 5;

function namesake(type: ResourceType, object: KubeObject): ApiError {
  const place = keyOf(object.metadata);
  const message = `${type.kind} ${place} was deleted, and another one has its name`;
  return new ApiError({ kind: "Conflict", status: 409, reason: "Conflict", message });
}

class RestClient implements OwnedClient {
  readonly #o: Shared;

  constructor(o: Shared) {
    this.#o = o;
  }

  close(): void {
    this.#o.transport.close();
  }

  asServiceAccount(namespace: string, name: string): KubeClient {
    const user = `system:serviceaccount:${namespace}:${name}`;
    return new RestClient({ ...this.#o, headers: { "impersonate-user": user } });
  }

  async get<T extends KubeObject>(
    type: ResourceType<T>,
    at: ObjectPlace,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    try {
      return await this.#object<T>(type, at, { method: "GET" }, signal);
    } catch (error) {
      if (isApiError(error, "NotFound")) return undefined;
      throw error;
    }
  }

  async list<T extends KubeObject>(
    type: ResourceType<T>,
    query: ListQuery,
    signal: AbortSignal,
  ): Promise<T[]> {
    const { items } = await listAll(this, type, query, { signal });
    return items;
  }

  async listPage<T extends KubeObject>(
    type: ResourceType<T>,
    query: ListQuery & { readonly limit: number; readonly next?: string | undefined },
    signal: AbortSignal,
  ): Promise<Page<T>> {
    const params = { ...selectors(query), limit: query.limit || undefined, continue: query.next };
    const where = query.namespace === undefined ? "" : ` in ${query.namespace}`;
    const body = await this.#ask(
      {
        method: "GET",
        path: collectionPath(type, query.namespace) + search(params),
        what: `list ${type.plural}${where}`,
      },
      signal,
    );
    return pageOf(type, body);
  }

  async openWatch(
    type: ResourceType,
    query: WatchQuery,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    const what = `watch ${type.plural}`;
    const params = {
      ...selectors(query),
      watch: true,
      allowWatchBookmarks: true,
      resourceVersion: query.resourceVersion,
      timeoutSeconds: query.timeoutSeconds,
    };
    // The signal must go on to end the stream, so only the wait for its head has a deadline.
    const opening = new AbortController();
    const limit = deadline(this.#o.clock, this.#o.timeoutMs, signal, () =>
      unavailable(what, new Error(`no answer within ${this.#o.timeoutMs} ms`)),
    );
    limit.signal.addEventListener("abort", () => opening.abort(limit.signal.reason), {
      once: true,
    });
    try {
      const response = await this.#o.transport.send({
        method: "GET",
        path: collectionPath(type, query.namespace) + search(params),
        headers: this.#o.headers,
        pool: "watch",
        signal: AbortSignal.any([signal, opening.signal]),
      });
      if (response.status === 200) return response;
      const body = parse(await readAll(response));
      throw apiErrorOf(response.status, body, what, response.headers["retry-after"]);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw isApiError(error) ? error : unavailable(what, error);
    } finally {
      limit.clear();
    }
  }

  async create<T extends KubeObject>(
    type: ResourceType<T>,
    object: Applied<T>,
    signal: AbortSignal,
  ): Promise<T> {
    return this.#ask(
      {
        method: "POST",
        path: parentPath(type, object.metadata) + search(this.#strict()),
        what: `create ${type.kind} ${keyOf(object.metadata)}`,
        body: wireOf(type, object),
      },
      signal,
    ) as Promise<T>;
  }

  replace<T extends KubeObject>(
    type: ResourceType<T>,
    object: Applied<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const params = this.#strict();
    const request = { method: "PUT" as const, params, body: wireOf(type, object) };
    return this.#object<T>(type, object.metadata, request, signal);
  }

  apply<T extends KubeObject>(
    type: ResourceType<T>,
    object: Applied<T>,
    o: ApplyOptions,
    signal: AbortSignal,
  ): Promise<T> {
    // Strict: a field that an older API server would drop in silence (a security setting, say) is an error.
    return this.#apply(type, object, { ...o, validation: "Strict" }, signal);
  }

  async applyStatus<T extends KubeObject>(
    type: ResourceType<T>,
    object: Applied<T>,
    o: ApplyOptions,
    signal: AbortSignal,
  ): Promise<T> {
    // Warn: Helm does not upgrade CRDs; a status field that the installed one lacks must not stop the status.
    const status = { ...o, subresource: "status", validation: "Warn" };
    const { uid, resourceVersion } = object.metadata;
    if (uid === undefined || resourceVersion !== undefined) {
      return this.#apply(type, object, status, signal);
    }
    // The API server heeds a uid when it writes an object, but not when it writes a status: it takes
    // a version there, so the uid is checked at a version and the status is written at that one.
    for (let tries = 1; ; tries += 1) {
      const now = await this.#object<T>(type, object.metadata, { method: "GET" }, signal);
      if (now.metadata.uid !== uid) throw namesake(type, now);
      const metadata = { ...object.metadata, resourceVersion: now.metadata.resourceVersion };
      try {
        return await this.#apply(type, { ...object, metadata }, status, signal);
      } catch (error) {
        if (!isApiError(error, "Conflict") || tries >= statusTries) throw error;
      }
    }
  }

  async delete(
    type: ResourceType,
    at: DeleteTarget,
    signal: AbortSignal,
    propagation?: Propagation,
  ): Promise<void> {
    const preconditions =
      at.uid === undefined && at.resourceVersion === undefined
        ? undefined
        : { uid: at.uid, resourceVersion: at.resourceVersion };
    const body = {
      apiVersion: "v1",
      kind: "DeleteOptions",
      preconditions,
      propagationPolicy: propagation,
    };
    try {
      await this.#object(type, at, { method: "DELETE", body }, signal);
    } catch (error) {
      if (!isApiError(error, "NotFound")) throw error;
    }
  }

  async setFinalizers<T extends KubeObject>(
    type: ResourceType<T>,
    object: T,
    finalizers: readonly string[],
    signal: AbortSignal,
  ): Promise<T | undefined> {
    const { uid, resourceVersion } = object.metadata;
    if (resourceVersion === undefined) {
      throw new Error(`${type.kind} ${keyOf(object.metadata)} has no resourceVersion to lock on`);
    }
    const request = {
      method: "PATCH" as const,
      contentType: "application/merge-patch+json",
      body: { metadata: { uid, resourceVersion, finalizers } },
    };
    try {
      return await this.#object<T>(type, object.metadata, request, signal);
    } catch (error) {
      if (isApiError(error, "NotFound")) return undefined;
      throw error;
    }
  }

  async exec(at: ExecTarget, command: readonly string[], signal: AbortSignal): Promise<Duplex> {
    const what = `exec in Pod ${keyOf(at)}`;
    const query = new URLSearchParams({ stdin: "true", stdout: "true", stderr: "true" });
    if (at.container !== undefined) query.set("container", at.container);
    for (const word of command) query.append("command", word);
    const opened = this.#o.transport.openSocket?.({
      path: `${objectPath(pods, at)}/exec?${query.toString()}`,
      headers: this.#o.headers,
      protocols: execProtocols,
      signal,
    });
    try {
      if (opened === undefined) throw new Error("this connection has no streams");
      return podStream(await opened, command[0] ?? "");
    } catch (error) {
      if (error instanceof SocketRefused)
        throw apiErrorOf(error.status, parse(error.body), what, undefined);
      throw signal.aborted ? signal.reason : unavailable(what, error);
    }
  }

  #apply<T extends KubeObject>(
    type: ResourceType<T>,
    object: Applied<T>,
    o: ApplyOptions & { readonly validation: string; readonly subresource?: string },
    signal: AbortSignal,
  ): Promise<T> {
    const params = {
      fieldManager: o.fieldManager ?? this.#o.fieldManager,
      force: o.force ?? true,
      fieldValidation: o.validation,
    };
    const request = {
      method: "PATCH" as const,
      verb: "apply",
      params,
      // JSON is YAML; the API server only knows the YAML name of the type.
      contentType: "application/apply-patch+yaml",
      body: wireOf(type, object),
      ...(o.subresource === undefined ? {} : { subresource: o.subresource }),
    };
    return this.#object<T>(type, object.metadata, request, signal);
  }

  /** Async, so that a missing name or namespace rejects like everything else. */
  async #object<T>(
    type: ResourceType,
    at: ObjectPlace,
    r: ObjectRequest,
    signal: AbortSignal,
  ): Promise<T> {
    const sub = r.subresource === undefined ? "" : `/${r.subresource}`;
    return this.#ask(
      {
        method: r.method,
        path: objectPath(type, at) + sub + search(r.params ?? {}),
        what: `${r.verb ?? r.method.toLowerCase()} ${type.kind}${sub} ${keyOf(at)}`,
        ...(r.body === undefined ? {} : { body: r.body }),
        ...(r.contentType === undefined ? {} : { contentType: r.contentType }),
      },
      signal,
    ) as Promise<T>;
  }

  #strict(): Params {
    return { fieldManager: this.#o.fieldManager, fieldValidation: "Strict" };
  }

  #ask(question: Question, signal: AbortSignal): Promise<unknown> {
    return ask({ ...question, headers: this.#o.headers }, this.#o, signal);
  }
}
