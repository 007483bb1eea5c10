// Which blobs of a layout does no manifest of its index need? They are what a cache export leaves of earlier ones.
import { asDescriptor, readIndex, type LayoutDescriptor } from "./layout-index.ts";
import type { ContentStore } from "./store.ts";

const maxManifestBytes = 16 * 1024 * 1024;

/** Removes them. A manifest that cannot be read keeps everything: nothing may be lost by mistake. */
export async function removeUnreferenced(directory: string, store: ContentStore): Promise<void> {
  const manifests = await readIndex(directory);
  if (manifests === undefined) return;
  const needed = new Set<string>();
  const open = [...manifests];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (needed.has(next.digest)) continue;
    needed.add(next.digest);
    if (next.mediaType.includes("manifest") || next.mediaType.includes("index"))
      open.push(...(await childrenOf(store, next)));
  }
  for (const { digest } of await store.list()) {
    if (!needed.has(digest)) await store.remove(digest);
  }
}

async function childrenOf(
  store: ContentStore,
  { digest, size }: LayoutDescriptor,
): Promise<LayoutDescriptor[]> {
  if (size > maxManifestBytes) throw new RangeError("a manifest is too large");
  const chunks: Uint8Array[] = [];
  for await (const chunk of store.read(digest, 0, size)) chunks.push(chunk);
  const value = JSON.parse(Buffer.concat(chunks).toString("utf8")) as Record<string, unknown>;
  const lists = [value["manifests"], value["layers"], value["blobs"]];
  const found = lists.flatMap((list): unknown[] => (Array.isArray(list) ? list : []));
  return [...found, value["config"]].map(asDescriptor).filter((child) => child !== undefined);
}
