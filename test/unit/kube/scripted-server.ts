// An API server that fails as a script says: the transport under the real client, for faults that a
// real server does not show on demand. Serves list and watch of one namespaced kind, with versions,
// pages, bookmarks and compaction. Does not honour: writes over HTTP, selectors, any other kind.

import type { HttpRequest, HttpResponse, Transport } from "../../../src/kube/http/transport.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import { resourceType } from "../../../src/kube/types.ts";
import type { Clock } from "../../../src/runtime/clock.ts";

export interface Thing extends KubeObject {
  readonly spec: { readonly value: number };
}

export const things = resourceType<Thing>({
  apiVersion: "test.kiln.build/v1",
  kind: "Thing",
  plural: "things",
  namespaced: true,
});

/** One change in the server's history; `version` is the object's after it. */
export interface Change {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly version: number;
  readonly object: Thing;
}

/** What may go wrong with one list or watch request, or with one event of a watch. */
export type RequestFault = "reset" | "unavailable" | "gone" | "hang";
export type StreamFault =
  | "silence"
  | "delay"
  | "gone"
  | "error"
  | "truncate"
  | "reset"
  | "duplicate"
  | "replay"
  | "close";

/** Decides what goes wrong; undefined lets things go well. */
export interface Script {
  request(kind: "list" | "page" | "watch"): RequestFault | undefined;
  event(): StreamFault | undefined;
}

interface Stream {
  readonly from: number;
  sent: number;
  silent: boolean;
  readonly push: (text: string) => void;
  readonly end: (error?: Error) => void;
}

const wellBehaved: Script = { request: () => undefined, event: () => undefined };

export class ScriptedServer implements Transport {
  readonly clock: Clock;
  script: Script = wellBehaved;
  readonly history: Change[] = [];
  readonly objects = new Map<string, Thing>();
  /** Versions that watches asked for, in order. */
  readonly watchedFrom: number[] = [];
  /** The last version sent whole on each watch, at the time of the next request. */
  readonly deliveredTo: number[] = [];
  lists = 0;
  version = 1;
  #compacted = 0;
  #uids = 0;
  #delivered = 0;
  readonly #streams = new Set<Stream>();
  readonly #snapshots = new Map<string, Thing[]>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  get openWatches(): number {
    return this.#streams.size;
  }

  /** Creates, or changes if it exists. */
  put(name: string): Thing {
    const known = this.objects.get(name);
    this.version += 1;
    const uid = known?.metadata.uid ?? `uid-${(this.#uids += 1)}`;
    const object: Thing = {
      apiVersion: things.apiVersion,
      kind: things.kind,
      metadata: { name, namespace: "ns", uid, resourceVersion: String(this.version) },
      spec: { value: this.version },
    };
    this.objects.set(name, object);
    this.#record({ type: known ? "MODIFIED" : "ADDED", version: this.version, object });
    return object;
  }

  remove(name: string): void {
    const known = this.objects.get(name);
    if (known === undefined) return;
    this.version += 1;
    this.objects.delete(name);
    const metadata = { ...known.metadata, resourceVersion: String(this.version) };
    this.#record({ type: "DELETED", version: this.version, object: { ...known, metadata } });
  }

  /** Watches from before now, and continue tokens given out before now, are Gone. */
  compact(): void {
    this.#compacted = this.version;
    this.#snapshots.clear();
  }

  bookmark(): void {
    // Another kind's write moves the version of the whole store.
    this.version += 1;
    for (const stream of this.#streams) {
      if (stream.silent) continue;
      const metadata = { resourceVersion: String(this.version) };
      stream.push(line({ type: "BOOKMARK", object: { kind: things.kind, metadata } }));
      stream.sent = this.version;
      this.#delivered = this.version;
    }
  }

  /** Sets the store back, as a restore from a backup does: versions go on from an earlier one. */
  restore(version: number): void {
    this.version = version;
    this.history.length = 0;
    for (const stream of this.#streams) stream.end();
  }

  async send(request: HttpRequest): Promise<HttpResponse> {
    request.signal.throwIfAborted();
    const url = new URL(request.path, "http://server");
    const watch = url.searchParams.get("watch") === "true";
    const token = url.searchParams.get("continue");
    if (!watch && token === null) this.lists += 1;
    if (watch) {
      this.watchedFrom.push(Number(url.searchParams.get("resourceVersion")));
      this.deliveredTo.push(this.#delivered);
    }
    const fault = this.script.request(watch ? "watch" : token === null ? "list" : "page");
    switch (fault) {
      case "reset":
        throw Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
      case "hang":
        return new Promise((_, reject) => {
          request.signal.addEventListener("abort", () => reject(request.signal.reason as Error));
        });
      case "unavailable":
        return answer(503, status(503, "ServiceUnavailable"));
      case "gone":
        return answer(410, status(410, "Expired"));
      case undefined:
        return watch ? this.#watch(url, request.signal) : this.#list(url, token);
    }
  }

  close(): void {
    for (const stream of this.#streams) stream.end();
  }

  #list(url: URL, token: string | null): HttpResponse {
    const limit = Number(url.searchParams.get("limit") ?? Number.POSITIVE_INFINITY);
    const [version = String(this.version), offset = "0"] = token?.split(":") ?? [];
    const snapshot = token === null ? [...this.objects.values()] : this.#snapshots.get(version);
    if (snapshot === undefined) return answer(410, status(410, "Expired"));
    const end = Number(offset) + limit;
    const items = snapshot.slice(Number(offset), end);
    const more = end < snapshot.length;
    if (more) this.#snapshots.set(version, snapshot);
    else this.#delivered = Number(version);
    const metadata = {
      resourceVersion: version,
      ...(more ? { continue: `${version}:${end}` } : {}),
    };
    return answer(200, { kind: "ThingList", metadata, items });
  }

  #watch(url: URL, signal: AbortSignal): HttpResponse {
    const from = Number(url.searchParams.get("resourceVersion"));
    if (from < this.#compacted) return answer(410, status(410, "Expired"));
    if (from > this.version) {
      const message = "Timeout: Too large resource version";
      return answer(504, { ...status(504, "Timeout"), message });
    }
    const chunks = new Chunks(signal);
    const stream: Stream = {
      from,
      sent: from,
      silent: false,
      push: (text) => chunks.push(text),
      end: (error) => {
        this.#streams.delete(stream);
        chunks.end(error);
      },
    };
    signal.addEventListener("abort", () => stream.end(signal.reason as Error));
    const seconds = Number(url.searchParams.get("timeoutSeconds"));
    const cancel = this.clock.after(seconds * 1000, () => stream.end());
    chunks.onEnd = cancel;
    this.#streams.add(stream);
    for (const change of this.history) if (change.version > from) this.#deliver(stream, change);
    return { status: 200, headers: {}, body: chunks, cancel: () => stream.end() };
  }

  #record(change: Change): void {
    this.history.push(change);
    for (const stream of this.#streams) this.#deliver(stream, change);
  }

  #deliver(stream: Stream, change: Change): void {
    if (stream.silent || !this.#streams.has(stream)) return;
    const text = line({ type: change.type, object: change.object });
    const fault = this.script.event();
    const send = (): void => {
      stream.push(text);
      stream.sent = change.version;
      this.#delivered = change.version;
    };
    switch (fault) {
      case "silence":
        stream.silent = true;
        return;
      case "delay": {
        // Everything after it waits behind it, as in one TCP connection.
        stream.silent = true;
        this.clock.after(1500, () => {
          stream.silent = false;
          for (const late of this.history) {
            if (late.version > stream.sent) this.#deliver(stream, late);
          }
        });
        return;
      }
      case "gone":
        stream.push(line({ type: "ERROR", object: status(410, "Expired") }));
        return stream.end();
      case "error":
        stream.push(line({ type: "ERROR", object: status(500, "InternalError") }));
        return stream.end();
      case "truncate":
        stream.push(text.slice(0, Math.floor(text.length / 2)));
        return stream.end();
      case "reset":
        return stream.end(Object.assign(new Error("aborted"), { code: "ECONNRESET" }));
      case "duplicate":
        send();
        return stream.push(text);
      case "replay":
        send();
        for (const old of this.history.slice(-4)) {
          if (old.version <= change.version) {
            stream.push(line({ type: old.type, object: old.object }));
          }
        }
        return;
      case "close":
        send();
        return stream.end();
      case undefined:
        return send();
    }
  }
}

/** A body that is written while it is read; each text arrives in two chunks. */
class Chunks implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[] = [];
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;
  onEnd: () => void = () => undefined;

  constructor(signal: AbortSignal) {
    signal.throwIfAborted();
  }

  push(text: string): void {
    if (this.#ended) return;
    const bytes = Buffer.from(text);
    const middle = Math.floor(bytes.length / 3);
    this.#chunks.push(bytes.subarray(0, middle), bytes.subarray(middle));
    this.#wake?.();
  }

  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.onEnd();
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) yield chunk;
      else if (this.#error !== undefined) throw this.#error;
      else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

function line(event: unknown): string {
  return `${JSON.stringify(event)}\n`;
}

function status(code: number, reason: string): object {
  return { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message: reason };
}

function answer(code: number, body: unknown): HttpResponse {
  return {
    status: code,
    headers: {},
    body: (async function* () {
      yield Buffer.from(JSON.stringify(body));
    })(),
    cancel: () => undefined,
  };
}
