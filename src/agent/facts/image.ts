// What image came out of a solve: its digest, its platforms, its size. Read from the blobs the daemon still holds, so it
// works the same for a pushed image, one that stays in the daemon, and one that another process exported.

import type { AttestationFact, ImageFacts } from "../agent.ts";

/** Reads a blob of the daemon's content store by digest; undefined when the daemon does not have it (any more). */
export type ReadBlob = (digest: string) => Promise<Buffer | undefined>;

interface Descriptor {
  readonly digest?: string;
  readonly size?: number;
  readonly mediaType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: PlatformJson;
}

interface PlatformJson {
  readonly os?: string;
  readonly architecture?: string;
  readonly variant?: string;
}

interface ManifestJson {
  readonly manifests?: readonly Descriptor[];
  readonly config?: Descriptor;
  readonly layers?: readonly Descriptor[];
}

type PlatformFact = ImageFacts["platforms"][number];

/** Platforms beyond this many are not read one by one. */
const maxPlatforms = 32;

function parse<T>(blob: Buffer | undefined): T | undefined {
  if (blob === undefined) return undefined;
  try {
    return JSON.parse(blob.toString("utf8")) as T;
  } catch {
    return undefined;
  }
}

function platformName(platform: PlatformJson | undefined): string | undefined {
  if (platform?.os === undefined || platform.architecture === undefined) return undefined;
  if (platform.os === "unknown") return undefined;
  const variant = platform.variant === undefined ? "" : `/${platform.variant}`;
  return `${platform.os}/${platform.architecture}${variant}`;
}

function isAttestation(descriptor: Descriptor): boolean {
  return descriptor.annotations?.["vnd.docker.reference.type"] === "attestation-manifest";
}

async function manifestFact(
  descriptor: { readonly digest: string; readonly platform?: PlatformJson },
  blob: Buffer | undefined,
  read: ReadBlob,
): Promise<PlatformFact | undefined> {
  const manifest = parse<ManifestJson>(blob);
  let platform = platformName(descriptor.platform);
  if (platform === undefined && manifest?.config?.digest !== undefined)
    platform = platformName(parse<PlatformJson>(await read(manifest.config.digest)));
  if (platform === undefined) return undefined;
  if (blob === undefined || manifest === undefined) return { platform, digest: descriptor.digest };
  const parts = [manifest.config, ...(manifest.layers ?? [])];
  const size = parts.reduce((sum, part) => sum + (part?.size ?? 0), blob.byteLength);
  return { platform, digest: descriptor.digest, size };
}

const subject = "vnd.docker.reference.digest";
const predicate = "in-toto.io/predicate-type";

/** The statements of an attestation manifest, about the image that its descriptor names. */
async function statements(
  entry: Descriptor,
  images: readonly PlatformFact[],
  read: ReadBlob,
): Promise<AttestationFact[]> {
  if (entry.digest === undefined) return [];
  const manifest = parse<ManifestJson>(await read(entry.digest));
  const about = images.find(({ digest }) => digest === entry.annotations?.[subject]);
  return (manifest?.layers ?? []).flatMap(({ digest, annotations }) => {
    const predicateType = annotations?.[predicate];
    if (digest === undefined || predicateType === undefined) return [];
    return [{ ...(about && { platform: about.platform }), predicateType, digest }];
  });
}

/** The facts of the image with this digest: an index or a single manifest. Missing blobs leave facts out. */
export async function imageFacts(digest: string, read: ReadBlob): Promise<ImageFacts> {
  const blob = await read(digest);
  const top = parse<ManifestJson>(blob);
  const found: PlatformFact[] = [];
  if (top?.manifests === undefined) {
    const fact = await manifestFact({ digest }, blob, read);
    if (fact !== undefined) found.push(fact);
  } else {
    const images = top.manifests.filter((entry) => !isAttestation(entry)).slice(0, maxPlatforms);
    for (const entry of images) {
      if (entry.digest === undefined) continue;
      const described = {
        digest: entry.digest,
        ...(entry.platform && { platform: entry.platform }),
      };
      const fact = await manifestFact(described, await read(entry.digest), read);
      if (fact !== undefined) found.push(fact);
    }
  }
  const attested = (top?.manifests ?? []).filter(isAttestation).slice(0, maxPlatforms);
  const lists = await Promise.all(attested.map((entry) => statements(entry, found, read)));
  const attestations = lists.flat();
  const complete = found.length > 0 && found.every((fact) => fact.size !== undefined);
  const size = found.reduce((sum, fact) => sum + (fact.size ?? 0), 0);
  return {
    digest,
    platforms: found,
    ...(complete ? { size } : {}),
    ...(attestations.length === 0 ? {} : { attestations }),
  };
}
