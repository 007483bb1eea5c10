// An image, an index or an OCI layout in a registry as a store that is lent to the daemon: bytes are fetched when they
// are asked for, and nothing is kept on a disk.

import { type ContentStore, type LentBytes, lentStore } from "../../buildkit/index.ts";
import { KilnError } from "../../errors/index.ts";
import { type BlobReader, blobReader } from "../../registry/blobs.ts";
import { readManifestBytes } from "../../registry/manifest.ts";
import type { ReadOptions } from "../../registry/reading.ts";
import { type ImageReference, parseReference, withDefaultTag } from "../../registry/reference.ts";
import { type LayoutArchive, layoutArchive } from "./layout-archive.ts";

/** What a reference means, and the store behind it. */
export interface RegistryContent {
  /** Of the image or index: `sha256:<hex>`. */
  readonly digest: string;
  readonly store: ContentStore;
}

interface ManifestBody {
  readonly artifactType?: string;
  readonly manifests?: readonly { readonly digest?: string }[];
  readonly layers?: readonly { readonly digest: string; readonly mediaType?: string }[];
}

const layoutType = "application/vnd.kiln.output.oci.v1";

/**
 * Opens what a reference means. Throws KilnError Registry/…, and User `ArtifactNotAnImage` for an artifact that is neither
 * an image nor an OCI layout in one tar archive.
 */
export async function registryContent(ref: string, options: ReadOptions): Promise<RegistryContent> {
  const reference = withDefaultTag(parseReference(ref));
  const root = await readManifestBytes(reference, options);
  const body = JSON.parse(root.body.toString("utf8")) as ManifestBody;
  const blobs = blobReader(reference, options);
  const archive = await archiveOf(body, blobs);
  if (archive !== undefined) return { digest: archive.digest, store: lentStore(archive) };
  if (body.artifactType !== undefined && !/image/.test(body.artifactType)) throw notAnImage(ref);
  const bytes = manifestsFirst(reference, blobs, options);
  bytes.known(root.digest, root.body);
  return { digest: root.digest, store: lentStore(bytes) };
}

/** A layout in a tar archive, which is what an output of kind oci leaves. */
async function archiveOf(
  { artifactType, layers = [] }: ManifestBody,
  blobs: BlobReader,
): Promise<LayoutArchive | undefined> {
  const [layer] = layers;
  const isArchive =
    artifactType === layoutType ||
    (layers.length === 1 && layer?.mediaType === "application/x-tar");
  if (!isArchive || layer === undefined) return undefined;
  return await layoutArchive((from, length) => blobs.read(layer.digest, from, length));
}

/** Manifests have an address of their own in a registry. */
function manifestsFirst(
  reference: ImageReference,
  blobs: BlobReader,
  options: ReadOptions,
): LentBytes & { known(digest: string, body: Buffer): void } {
  const manifests = new Map<string, Buffer | undefined>();
  const known = (digest: string, body: Buffer): void => {
    manifests.set(digest, body);
    const { manifests: children = [] } = JSON.parse(body.toString("utf8")) as ManifestBody;
    for (const child of children)
      if (child.digest !== undefined && !manifests.has(child.digest))
        manifests.set(child.digest, undefined);
  };
  const manifest = async (digest: string): Promise<Buffer | undefined> => {
    if (!manifests.has(digest)) return undefined;
    const there = manifests.get(digest);
    if (there !== undefined) return there;
    const { tag: _, ...rest } = reference;
    const { body } = await readManifestBytes({ ...rest, digest }, options);
    known(digest, body);
    return body;
  };
  return {
    known,
    size: async (digest: string) => (await manifest(digest))?.length ?? (await blobs.size(digest)),
    read: async (digest: string, from: number, length: number) =>
      (await manifest(digest))?.subarray(from, from + length) ??
      (await blobs.read(digest, from, length)),
  };
}

function notAnImage(ref: string): KilnError {
  return new KilnError({
    class: "User",
    reason: "ArtifactNotAnImage",
    message: `${ref} is neither an image nor an OCI layout in one tar archive: name one that is, such as an output of kind oci, in a new run.`,
  });
}
