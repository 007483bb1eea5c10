// Images of single platforms → one index of all. Attestation manifests stay beside the images that they are about. Pure but
// for `mergeImages`, which reads the parts and writes the index.
// As buildx does it: util/imagetools/create.go, v0.38.2.

import { digestOf } from "./digest.ts";
import { type ManifestBytes, readDigest, readManifestBytes } from "./manifest.ts";
import type { ReadOptions } from "./reading.ts";
import { repository as repositoryAt } from "./push.ts";
import type { ImageReference } from "./reference.ts";
import { pushedTagDiffers } from "./registry-errors.ts";

/** An entry of an index: what the registry has, with all its fields. */
export interface IndexEntry {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: {
    readonly os: string;
    readonly architecture: string;
    readonly variant?: string;
  };
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A part: a manifest of one platform, or an index of some. */
export interface Part extends ManifestBytes {
  /** "linux/arm64": of a manifest, which does not say its own. */
  readonly platform: string;
}

/** Annotations of an index and of the descriptors in it. */
export interface IndexAnnotations {
  readonly index?: Readonly<Record<string, string>>;
  /** Of the entry of a platform. */
  readonly descriptor?: (platform: string) => Readonly<Record<string, string>>;
}

const ociIndex = "application/vnd.oci.image.index.v1+json";
const dockerList = "application/vnd.docker.distribution.manifest.list.v2+json";

function platformOf(text: string): NonNullable<IndexEntry["platform"]> {
  const [os = "", architecture = "", variant] = text.split("/");
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

function platformText({ platform }: IndexEntry): string {
  const { os = "", architecture = "", variant } = platform ?? {};
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join("/");
}

function entriesOf({ body, digest, type, platform }: Part): readonly IndexEntry[] {
  const value = JSON.parse(body.toString("utf8")) as {
    readonly mediaType?: string;
    readonly manifests?: readonly IndexEntry[];
  };
  if (Array.isArray(value.manifests)) return value.manifests;
  const mediaType = value.mediaType ?? type;
  return [{ mediaType, digest, size: body.length, platform: platformOf(platform) }];
}

/** The bytes of an index over all parts. One of Docker's types when all its entries are. */
export function mergedIndex(
  parts: readonly Part[],
  { index, descriptor }: IndexAnnotations = {},
): Pick<ManifestBytes, "body" | "type" | "digest"> & { readonly entries: readonly IndexEntry[] } {
  const unique = new Map(parts.flatMap(entriesOf).map((entry) => [entry.digest, entry]));
  const entries = [...unique.values()].map((entry): IndexEntry => {
    const more = entry.platform?.os === "unknown" ? {} : (descriptor?.(platformText(entry)) ?? {});
    if (Object.keys(more).length === 0) return entry;
    return { ...entry, annotations: { ...entry.annotations, ...more } };
  });
  const isDocker =
    index === undefined && entries.every(({ mediaType }) => mediaType.includes("vnd.docker."));
  const type = isDocker ? dockerList : ociIndex;
  const annotations = index === undefined ? {} : { annotations: index };
  const text = JSON.stringify(
    { schemaVersion: 2, mediaType: type, manifests: entries, ...annotations },
    null,
    2,
  );
  const body = Buffer.from(text);
  return { body, type, digest: digestOf(body), entries };
}

/** What is merged, and where it goes. */
export interface Merge {
  /** Where all parts are, by digest, and the tags to write: each in a repository that has the parts. */
  readonly tags: readonly ImageReference[];
  readonly parts: readonly { readonly digest: string; readonly platform: string }[];
  readonly annotations?: IndexAnnotations;
  /** Write the index under its digest; the tags say only in which repository. */
  readonly byDigest?: boolean;
}

/** Reads the parts, writes the index under every tag, and looks that it is there. Throws KilnError Registry/…. */
export async function mergeImages(
  { tags, parts, annotations, byDigest = false }: Merge,
  options: ReadOptions,
): Promise<{
  readonly digest: string;
  readonly size: number;
  readonly entries: readonly IndexEntry[];
}> {
  const [first] = tags;
  if (first === undefined) throw new RangeError("an index without a tag");
  const { domain, repository } = first;
  const read = await Promise.all(
    parts.map(async ({ digest, platform }) => ({
      ...(await readManifestBytes({ domain, repository, digest }, options)),
      platform,
    })),
  );
  const merged = mergedIndex(read, annotations);
  const to = repositoryAt({ domain, repository }, options);
  if (byDigest) await to.putManifest(merged.body, merged.type);
  for (const tag of byDigest ? [] : tags) {
    await to.putManifest(merged.body, merged.type, tag.tag ?? "latest");
    const found = await readDigest(tag, options);
    if (found !== undefined && found !== merged.digest)
      throw pushedTagDiffers(tagText(tag), merged.digest, found);
  }
  return { digest: merged.digest, size: merged.body.length, entries: merged.entries };
}

function tagText({ domain, repository, tag }: ImageReference): string {
  return `${domain}/${repository}:${tag ?? "latest"}`;
}
