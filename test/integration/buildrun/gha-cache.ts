// GitHub's cache service, first version, as far as BuildKit asks it (go-actions-cache/api.md): caches are reserved,
// filled in pieces and committed; a key is found by its beginning, the latest first. It does not honour scopes, sizes,
// or the age of entries.

import type http from "node:http";
import { serve } from "../../cluster/index.ts";

/** A running cache service. */
export interface GhaCache {
  readonly url: string;
  /** A token as a workflow has it; its last part is no signature, since nobody checks it. */
  readonly token: string;
  /** Keys that were committed. */
  keys(): string[];
  stop(): Promise<void>;
}

interface Entry {
  readonly key: string;
  readonly version: string;
  readonly parts: Map<number, Buffer>;
  committed: boolean;
}

const api = "/_apis/artifactcache/";

/** A token as a workflow has it. */
export function tokenOf(): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const ac = JSON.stringify([{ Scope: "refs/heads/main", Permission: 3 }]);
  return `${part({ alg: "HS256", typ: "JWT" })}.${part({ ac, nbf: now - 60, exp: now + 3600 })}.c2lnbmVk`;
}

/** All of a request. */
export async function bodyOf(request: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function bytesOf({ parts }: Entry): Buffer {
  return Buffer.concat([...parts].toSorted(([a], [b]) => a - b).map(([, data]) => data));
}

/** Starts it on a free port. */
export async function ghaCache(): Promise<GhaCache> {
  const token = tokenOf();
  const entries: Entry[] = [];
  let base = "";
  const find = (url: URL): Entry | undefined => {
    const version = url.searchParams.get("version");
    const wanted = (url.searchParams.get("keys") ?? "").split(",");
    const there = entries.filter((entry) => entry.committed && entry.version === version);
    return wanted.map((key) => there.findLast((entry) => entry.key.startsWith(key))).find(Boolean);
  };
  const answer = async (request: http.IncomingMessage): Promise<unknown> => {
    const url = new URL(request.url ?? "", "http://cache");
    const id = Number(/caches\/(\d+)$/.exec(url.pathname)?.[1] ?? 0);
    const entry = entries[id - 1];
    if (request.method === "GET" && url.pathname === `${api}cache`) {
      const found = find(url);
      if (found === undefined) return undefined;
      const archiveLocation = `${base}/blobs/${entries.indexOf(found) + 1}`;
      return { cacheKey: found.key, scope: "refs/heads/main", archiveLocation };
    }
    const body = await bodyOf(request);
    if (request.method === "POST" && url.pathname === `${api}caches`) {
      const { key, version } = JSON.parse(body.toString()) as Pick<Entry, "key" | "version">;
      return { cacheId: entries.push({ key, version, parts: new Map(), committed: false }) };
    }
    if (entry === undefined) throw new Error(`${request.method} ${url.pathname}`);
    if (request.method === "PATCH")
      entry.parts.set(Number(/\d+/.exec(request.headers["content-range"] ?? "")?.[0] ?? 0), body);
    else entry.committed = true;
    return {};
  };
  const served = await serve((request, response) => {
    const blob = /^\/blobs\/(\d+)$/.exec(request.url ?? "")?.[1];
    if (blob !== undefined) {
      const bytes = bytesOf(entries[Number(blob) - 1] as Entry);
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      const range = { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
      response.writeHead(from === 0 ? 200 : 206, from === 0 ? {} : range);
      response.end(bytes.subarray(from));
      return;
    }
    if (request.headers.authorization !== `Bearer ${token}`) {
      response.writeHead(401).end("{}");
      return;
    }
    answer(request).then(
      (value) => response.writeHead(value === undefined ? 204 : 200).end(JSON.stringify(value)),
      () => response.writeHead(404).end("{}"),
    );
  });
  base = served.url;
  const keys = (): string[] => entries.filter((e) => e.committed).map(({ key }) => key);
  return { url: base, token, keys, stop: served.stop };
}
