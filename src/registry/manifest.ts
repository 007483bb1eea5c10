// What a registry holds under a reference: digest, and the digest of each platform. Read back after a push.
import { digestOf } from "./digest.ts";
import { KilnError } from "../errors/index.ts";
import { send, type HttpResponse } from "./http.ts";
import { askToRead, type ReadOptions } from "./reading.ts";
import { referenceText, registryHost, withDefaultTag, type ImageReference } from "./reference.ts";
import { refused } from "./registry-errors.ts";

/** One platform of an image. */
export interface PlatformManifest {
  /** "linux/amd64", "linux/arm/v7". */
  readonly platform: string;
  readonly digest: string;
  /** Bytes of the manifest. */
  readonly size: number;
}

/** A manifest or index. `platforms` is empty for a single manifest: it does not say its platform. */
export interface Manifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly size: number;
  readonly platforms: readonly PlatformManifest[];
}

const accept = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/** A manifest or index as the registry keeps it. */
export interface ManifestBytes {
  readonly body: Buffer;
  readonly digest: string;
  /** Media type. */
  readonly type: string;
}

/** Reads a manifest and checks its bytes against its digest. Throws KilnError Registry/…. */
export async function readManifest(
  reference: ImageReference,
  options: ReadOptions,
): Promise<Manifest> {
  const { body, digest, type } = await readManifestBytes(reference, options);
  return parseManifest(body, { digest, type });
}

/** As `readManifest`, but its bytes. */
export async function readManifestBytes(
  reference: ImageReference,
  options: ReadOptions,
): Promise<ManifestBytes> {
  const what = withDefaultTag(reference);
  const response = await request("GET", what, options);
  const digest = digestOf(response.body);
  const claimed = what.digest ?? header(response, "docker-content-digest");
  if (claimed?.startsWith("sha256:") === true && claimed !== digest) throw corrupt(what, digest);
  return { body: response.body, digest, type: header(response, "content-type") ?? "" };
}

/** The digest behind a reference, without its bytes; undefined when the registry does not tell. */
export async function readDigest(
  reference: ImageReference,
  options: ReadOptions,
): Promise<string | undefined> {
  return header(await request("HEAD", withDefaultTag(reference), options), "docker-content-digest");
}

function header(response: HttpResponse, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function corrupt(reference: ImageReference, digest: string): KilnError {
  return new KilnError({
    class: "Registry",
    reason: "RegistryCorrupt",
    message: `The registry's manifest of ${referenceText(reference)} has digest ${digest}, which is not the one it claims: check the registry and what stands before it.`,
    retryable: true,
  });
}

async function request(
  method: "GET" | "HEAD",
  reference: ImageReference,
  options: ReadOptions,
): Promise<HttpResponse> {
  const what = `${reference.repository}/manifests/${reference.digest ?? reference.tag}`;
  const response = await askToRead(reference, options, (base, authorization) => {
    const headers = { accept, ...(authorization !== undefined && { authorization }) };
    return send({ method, url: `${base}/v2/${what}`, headers }, options);
  });
  if (response.status === 200) return response;
  throw refused(registryHost(reference.domain), response.status, referenceText(reference));
}

/** Bytes of a manifest or index → what it says. Throws KilnError Registry/RegistryCorrupt when it is not JSON. */
export function parseManifest(
  body: Buffer,
  known: { readonly digest: string; readonly type: string },
): Manifest {
  let value: Record<string, unknown>;
  try {
    value = asObject(JSON.parse(body.toString("utf8")));
  } catch (cause) {
    throw new KilnError({
      class: "Registry",
      reason: "RegistryCorrupt",
      message: `The registry's manifest ${known.digest} is not JSON: check the registry and what stands before it.`,
      cause,
    });
  }
  const entries = Array.isArray(value["manifests"]) ? value["manifests"] : [];
  return {
    digest: known.digest,
    mediaType: typeof value["mediaType"] === "string" ? value["mediaType"] : known.type,
    size: body.length,
    platforms: entries.map(asObject).flatMap(platformManifest),
  };
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function platformManifest(entry: Record<string, unknown>): PlatformManifest[] {
  const { os, architecture, variant } = asObject(entry["platform"]);
  const [digest, size] = [entry["digest"], entry["size"]];
  // "unknown/unknown" are attestations.
  if (typeof os !== "string" || typeof architecture !== "string" || os === "unknown") return [];
  if (typeof digest !== "string" || typeof size !== "number") return [];
  const suffix =
    typeof variant !== "string" || variant === "" || (architecture === "arm64" && variant === "v8")
      ? ""
      : `/${variant}`;
  return [{ platform: `${os}/${architecture}${suffix}`, digest, size }];
}
