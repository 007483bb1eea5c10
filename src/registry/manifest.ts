// What a registry holds under a reference: digest, and the digest of each platform. Read back after a push.
import { digestOf } from "./digest.ts";
import { KilnError } from "../errors/index.ts";
import { basicAuthorization } from "./challenge.ts";
import { loginFor, type DockerConfig, type RegistryLogin } from "./docker-config.ts";
import { send, type HttpOptions, type HttpResponse } from "./http.ts";
import { referenceText, registryHost, withDefaultTag, type ImageReference } from "./reference.ts";
import { refused, unreachable } from "./registry-errors.ts";
import { baseUrls, fetchToken, loginWanted } from "./token.ts";

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

/** How a registry is read. `insecure`: plain http and any certificate are fine. */
export interface ReadOptions extends HttpOptions {
  readonly logins: DockerConfig;
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
  const host = registryHost(reference.domain);
  let failure: unknown;
  for (const base of baseUrls(host, options.insecure === true)) {
    const url = `${base}/v2/${reference.repository}/manifests/${reference.digest ?? reference.tag}`;
    let response: HttpResponse;
    try {
      response = await authorized(method, url, reference, options);
    } catch (error) {
      options.signal.throwIfAborted();
      if (error instanceof KilnError) throw error;
      failure = error;
      continue;
    }
    if (response.status === 200) return response;
    throw refused(host, response.status, referenceText(reference));
  }
  throw unreachable(host, failure);
}

/** Asks without a login, and again with what the registry then wants. */
async function authorized(
  method: "GET" | "HEAD",
  url: string,
  reference: ImageReference,
  options: ReadOptions,
): Promise<HttpResponse> {
  const first = await send({ method, url, headers: { accept } }, options);
  if (first.status !== 401) return first;
  const login = loginFor(options.logins, reference.domain, reference.repository);
  const authorization = await authorizationFor(first.challenge, login, reference, options);
  if (authorization === undefined) return first;
  return send({ method, url, headers: { accept, authorization } }, options);
}

/** The header for a repository that is read, after what the registry asked for; undefined: there is no login for it. */
export async function authorizationFor(
  challenge: string,
  login: RegistryLogin | undefined,
  reference: ImageReference,
  options: ReadOptions,
): Promise<string | undefined> {
  const wanted = loginWanted(challenge);
  if (wanted.kind === "bearer") {
    const scopes = [`repository:${reference.repository}:pull`];
    const host = registryHost(reference.domain);
    return `Bearer ${(await fetchToken(host, { ...wanted, scopes }, login, options)).token}`;
  }
  if (wanted.kind === "basic" && login?.kind === "basic") {
    return basicAuthorization(login.username, login.password);
  }
  return undefined;
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
