// index.json of an OCI layout: which manifests have which names. Read and written as BuildKit's own client does
// (client/ociindex, v0.34.2), but replaced in one step. That client's lock is flock(2), which Node lacks: ours
// keeps our own processes apart.
import { randomBytes } from "node:crypto";
import { open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KilnError } from "../../../errors/index.ts";
import { parseDigest } from "./digest.ts";

const indexMediaType = "application/vnd.oci.image.index.v1+json";
const imageNameKey = "io.containerd.image.name";
const refNameKey = "org.opencontainers.image.ref.name";
const lockWaitMs = 10_000;
const lockStaleMs = 30_000;
const lockPollMs = 20;

/** A descriptor as it stands in an index; other fields are kept as they are. */
export interface LayoutDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A tag ("latest") or the whole name of an image ("docker.io/library/app:1"). */
export type LayoutName = { readonly tag: string } | { readonly image: string };

interface LayoutIndex {
  readonly schemaVersion: number;
  readonly mediaType?: string;
  readonly manifests: readonly LayoutDescriptor[];
}

/** A descriptor out of JSON; undefined when it is none. */
export function asDescriptor(value: unknown): LayoutDescriptor | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { mediaType, digest, size } = value as Record<string, unknown>;
  const fits =
    typeof mediaType === "string" && typeof digest === "string" && typeof size === "number";
  return fits && parseDigest(digest) !== undefined ? (value as LayoutDescriptor) : undefined;
}

function unreadable(cause: unknown): KilnError {
  return new KilnError({
    class: "User",
    reason: "OciLayoutInvalid",
    message: "index.json of the OCI layout is not readable; give a directory that holds one.",
    cause,
  });
}

/** The manifests of a layout; undefined when it has no index.json. Throws KilnError User/OciLayoutInvalid. */
export async function readIndex(
  directory: string,
): Promise<readonly LayoutDescriptor[] | undefined> {
  let text: string;
  try {
    text = await readFile(join(directory, "index.json"), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw unreadable(error);
  }
  if (text === "") return [];
  try {
    const value = JSON.parse(text) as { manifests?: unknown };
    const manifests = Array.isArray(value.manifests) ? value.manifests : [];
    return manifests.map(asDescriptor).filter((descriptor) => descriptor !== undefined);
  } catch (error) {
    throw unreadable(error);
  }
}

/** The manifest of that whole image name, else of that tag. */
export function findNamed(
  manifests: readonly LayoutDescriptor[],
  name: string,
): LayoutDescriptor | undefined {
  const by = (key: string) => manifests.find(({ annotations }) => annotations?.[key] === name);
  return by(imageNameKey) ?? by(refNameKey);
}

/** What comes after the repository, as containerd's reference.Parse cuts it: "1" of "host:5000/app:1", or "". */
function objectOf(image: string): string {
  const slash = image.indexOf("/");
  const at = slash === -1 ? -1 : image.slice(slash).search(/[:@]/);
  if (at === -1) return slash === -1 ? image : "";
  return image.slice(slash + at + (image[slash + at] === ":" ? 1 : 0));
}

function named(descriptor: LayoutDescriptor, name: LayoutName): LayoutDescriptor {
  const annotations = {
    ...descriptor.annotations,
    ...("tag" in name
      ? { [refNameKey]: name.tag }
      : { [imageNameKey]: name.image, [refNameKey]: objectOf(name.image) }),
  };
  return { ...descriptor, annotations };
}

function sameName(a: LayoutDescriptor, b: LayoutDescriptor): boolean {
  const value = (descriptor: LayoutDescriptor, key: string): string =>
    descriptor.annotations?.[key] ?? "";
  return [refNameKey, imageNameKey].every((key) => value(a, key) === value(b, key));
}

/**
 * Gives a manifest its names; what had them before loses them. Makes `oci-layout`, too. Throws KilnError
 * User/OciLayoutInvalid, Infra/OciLayoutLocked.
 */
export async function putManifest(
  directory: string,
  descriptor: LayoutDescriptor,
  names: readonly LayoutName[],
): Promise<void> {
  await locked(directory, async () => {
    let manifests = (await readIndex(directory)) ?? [];
    for (const name of names) {
      const entry = named(descriptor, name);
      manifests = [...manifests.filter((other) => !sameName(other, entry)), entry];
    }
    const index: LayoutIndex = { schemaVersion: 2, mediaType: indexMediaType, manifests };
    await replace(directory, "oci-layout", JSON.stringify({ imageLayoutVersion: "1.0.0" }));
    await replace(directory, "index.json", JSON.stringify(index));
  });
}

async function replace(directory: string, name: string, text: string): Promise<void> {
  const temporary = join(directory, `.${name}.${randomBytes(8).toString("hex")}`);
  try {
    await writeFile(temporary, text, { flag: "wx", mode: 0o644, flush: true });
    await rename(temporary, join(directory, name));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Runs one change of a layout at a time. A lock that its owner left behind is taken over after a while. */
async function locked(directory: string, work: () => Promise<void>): Promise<void> {
  const lock = join(directory, ".kiln-index-lock");
  const until = performance.now() + lockWaitMs;
  while (!(await taken(lock))) {
    if (performance.now() > until) {
      throw new KilnError({
        class: "Infra",
        reason: "OciLayoutLocked",
        message: "Another process keeps the OCI layout locked; try again when it is done.",
        retryable: true,
      });
    }
    await delay(lockPollMs);
  }
  try {
    await work();
  } finally {
    await rm(lock, { force: true });
  }
}

async function taken(lock: string): Promise<boolean> {
  try {
    await (await open(lock, "wx")).close();
    return true;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  const age = await stat(lock).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  );
  if (age > lockStaleMs) await rm(lock, { force: true });
  return false;
}
