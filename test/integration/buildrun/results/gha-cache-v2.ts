// GitHub's cache service, second version, as far as BuildKit asks it (go-actions-cache, cache_v2.go): Twirp calls in JSON
// that reserve, finish and find entries, whose bytes go to and come from a real blob server by signed addresses. It does not
// honour scopes or the age of entries.

import { createHmac } from "node:crypto";
import { type BlobStore, serve } from "../../../cluster/index.ts";
import { bodyOf, type GhaCache, tokenOf } from "../gha-cache.ts";

interface Entry {
  readonly key: string;
  readonly version: string;
  readonly blob: string;
  size?: number;
}

/** What a call says; each method has some of it. */
interface Asked {
  readonly key: string;
  readonly version: string;
  readonly restore_keys?: readonly string[];
  readonly size_bytes?: number;
}

const service = "/twirp/github.actions.results.api.v1.CacheService/";
const container = "actions-cache";
/** Version of the signature, the last one of its form. */
const signed = "2018-11-09";

function query(fields: Readonly<Record<string, string>>, store: BlobStore, text: string): string {
  const sig = createHmac("sha256", Buffer.from(store.key, "base64")).update(text).digest("base64");
  return new URLSearchParams({ ...fields, sv: signed, sig }).toString();
}

/** When addresses end, in whole seconds. */
function soon(): string {
  return new Date(Date.now() + 10 * 60_000).toISOString().replace(/\.\d+Z$/, "Z");
}

/** An address by which whoever has it may do these things with one blob: a service SAS. */
function addressOf(store: BlobStore, blob: string, permissions: string): string {
  const se = soon();
  const resource = `/blob/${store.account}/${container}/${blob}`;
  const text = [permissions, "", se, resource, "", "", "", signed, "b", ...Array(6).fill("")];
  const fields = { sp: permissions, se, sr: "b" };
  return `${store.accountUrl}/${container}/${blob}?${query(fields, store, text.join("\n"))}`;
}

/** Makes the container of all blobs, by an account SAS. */
async function makeContainer(store: BlobStore): Promise<void> {
  const [sp, ss, srt, se] = ["c", "b", "c", soon()];
  const text = [store.account, sp, ss, srt, "", se, "", "", signed, ""].join("\n");
  const sas = query({ sp, ss, srt, se }, store, text);
  const url = `${store.accountUrl}/${container}?restype=container&${sas}`;
  const { status } = await fetch(url, { method: "PUT", headers: { "x-ms-version": signed } });
  if (status !== 201) throw new Error(`the container could not be made: ${status}`);
}

/** Starts it on a free port, over a blob server. */
export async function ghaCacheV2(store: BlobStore): Promise<GhaCache> {
  const token = tokenOf();
  const entries: Entry[] = [];
  await makeContainer(store);
  const methods: Readonly<Record<string, (asked: Asked) => object>> = {
    CreateCacheEntry({ key, version }) {
      const blob = `${entries.length}`;
      entries.push({ key, version, blob });
      return { ok: true, signed_upload_url: addressOf(store, blob, "cw") };
    },
    FinalizeCacheEntryUpload({ key, version, size_bytes: size = 0 }) {
      const index = entries.findLastIndex((one) => one.key === key && one.version === version);
      const entry = entries[index];
      if (entry === undefined) return { ok: false, message: "no such entry" };
      entry.size = size;
      return { ok: true, entry_id: `${index}` };
    },
    GetCacheEntryDownloadURL({ key, restore_keys: others = [], version }) {
      const there = entries.filter((one) => one.size !== undefined && one.version === version);
      const found = [key, ...others]
        .map((wanted) => there.findLast((one) => one.key.startsWith(wanted)))
        .find(Boolean);
      if (found === undefined) return { ok: false };
      const url = addressOf(store, found.blob, "r");
      return { ok: true, matched_key: found.key, signed_download_url: url };
    },
  };
  const { url, stop } = await serve((request, response) => {
    const method = methods[(request.url ?? "").replace(service, "")];
    const isAllowed = request.headers.authorization === `Bearer ${token}`;
    if (method === undefined || !isAllowed) {
      response.writeHead(isAllowed ? 404 : 401).end("{}");
      return;
    }
    bodyOf(request).then(
      (body) => response.end(JSON.stringify(method(JSON.parse(body.toString()) as Asked))),
      () => response.destroy(),
    );
  });
  const keys = (): string[] => entries.filter((e) => e.size !== undefined).map(({ key }) => key);
  return { url: `${url}/`, token, keys, stop };
}
