// OCI layouts on disk in a build, as buildctl's and buildx's options mean them: named contexts (oci-layout://),
// local caches in and out (type=local), image layouts out (type=oci,tar=false). Each gives the attributes for the
// request, a store for `contentProvider`, and what is to be done after the solve.
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { KilnError } from "../../../errors/index.ts";
import type { SolveResult, TypedAttrs } from "../../client-types.ts";
import { parseDigest } from "./digest.ts";
import {
  asDescriptor,
  findNamed,
  putManifest,
  readIndex,
  type LayoutName,
} from "./layout-index.ts";
import { layoutStore } from "./store.ts";
import type { StoreUse } from "./service.ts";
import { removeUnreferenced } from "./unreferenced.ts";

/** A named context: attributes of the frontend, and the store behind them. */
export interface LayoutContext {
  readonly frontendAttrs: Readonly<Record<string, string>>;
  readonly use: StoreUse;
}

/** A cache to read. */
export interface CacheImport {
  readonly cacheImport: TypedAttrs;
  readonly use: StoreUse;
}

/** A cache to write. */
export interface CacheExport {
  readonly cacheExport: TypedAttrs;
  readonly use: StoreUse;
  /** Names what was written in index.json; call it after a solve that ended well. */
  afterSolve(result: SolveResult): Promise<void>;
}

/** An image layout to write. */
export interface LayoutExport {
  readonly exporter: TypedAttrs;
  readonly use: StoreUse;
  /** As in CacheExport. */
  afterSolve(result: SolveResult): Promise<void>;
}

/** Which manifest of a layout. Nothing: the tag "latest", or the only one that is there. */
export interface ManifestChoice {
  readonly tag?: string;
  /** `sha256:<hex>`. */
  readonly digest?: string;
}

function invalid(message: string): KilnError {
  return new KilnError({ class: "User", reason: "OciLayoutInvalid", message });
}

async function digestIn(
  directory: string,
  { tag, digest }: ManifestChoice,
): Promise<string | undefined> {
  if (digest !== undefined) {
    if (parseDigest(digest) === undefined)
      throw invalid("The digest is not of the form sha256:<hex>.");
    return digest;
  }
  const manifests = await readIndex(directory);
  const byTag = manifests === undefined ? undefined : findNamed(manifests, tag ?? "latest");
  const only = tag === undefined && manifests?.length === 1 ? manifests[0] : undefined;
  return (byTag ?? only)?.digest;
}

/**
 * An image of a layout as the named context `name` (`--build-context name=oci-layout://directory:tag`). Throws
 * KilnError User/OciLayoutInvalid when the layout has no such image.
 */
export async function ociLayoutContext(
  name: string,
  directory: string,
  choice: ManifestChoice = {},
): Promise<LayoutContext> {
  const digest = await digestIn(directory, choice);
  if (digest === undefined)
    throw invalid(`The OCI layout of the context ${name} has no image of that tag.`);
  // The daemon parses it as the name of a repository; it need not know where the layout stands.
  const store = `layout-${createHash("sha256").update(directory).digest("hex").slice(0, 16)}`;
  const tag = choice.tag === undefined ? "" : `:${choice.tag}`;
  return {
    frontendAttrs: { [`context:${name}`]: `oci-layout://${store}${tag}@${digest}` },
    use: { id: `oci:${store}`, store: layoutStore(directory, { writable: false }) },
  };
}

/**
 * A cache out of a directory (`--cache-from type=local,src=…`). Undefined when there is none yet: the build goes on
 * without, as buildctl does. Throws KilnError User/OciLayoutInvalid.
 */
export async function localCacheImport(
  directory: string,
  choice: ManifestChoice = {},
  attrs: Readonly<Record<string, string>> = {},
): Promise<CacheImport | undefined> {
  const digest = await digestIn(directory, { tag: "latest", ...choice });
  const store = layoutStore(directory, { writable: false });
  if (digest === undefined || (await store.info(digest).catch(() => undefined)) === undefined)
    return undefined;
  return {
    cacheImport: { type: "local", attrs: { ...attrs, src: directory, digest } },
    use: { id: `local:${directory}`, store },
  };
}

/** How a local cache is written. */
export interface CacheExportOptions {
  /** Default: "latest". */
  readonly tag?: string;
  /** Remove blobs that no manifest of index.json refers to any more. */
  readonly reset?: boolean;
  /** `mode`, `compression`, `image-manifest`, `oci-mediatypes`, `ignore-error`… */
  readonly attrs?: Readonly<Record<string, string>>;
}

/** A cache into a directory (`--cache-to type=local,dest=…`), which is made where it is missing. */
export async function localCacheExport(
  directory: string,
  options: CacheExportOptions = {},
): Promise<CacheExport> {
  await mkdir(directory, { recursive: true });
  const store = layoutStore(directory, { writable: true });
  const tag = options.tag ?? "latest";
  return {
    cacheExport: { type: "local", attrs: { ...options.attrs, dest: directory } },
    use: { id: `local:${directory}`, store },
    async afterSolve({ cacheManifest }) {
      const descriptor = descriptorOf(cacheManifest);
      if (descriptor === undefined) return; // ignore-error: there is none
      await putManifest(directory, descriptor, [{ tag }]);
      if (options.reset === true) await removeUnreferenced(directory, store);
    },
  };
}

function descriptorOf(json: string | undefined) {
  if (json === undefined) return undefined;
  try {
    return asDescriptor(JSON.parse(json));
  } catch {
    return undefined;
  }
}

/**
 * An image as a layout in a directory (`--output type=oci,tar=false,dest=…`). One such output a build: the daemon
 * names its store "export", whichever exporter it is.
 */
export async function layoutExport(
  directory: string,
  exporter: TypedAttrs = { type: "oci", attrs: {} },
): Promise<LayoutExport> {
  await mkdir(directory, { recursive: true });
  return {
    exporter: { type: exporter.type, attrs: { ...exporter.attrs, tar: "false" } },
    use: { id: "export", store: layoutStore(directory, { writable: true }) },
    async afterSolve({ descriptor, imageNames }) {
      if (descriptor === undefined) return;
      const names: LayoutName[] = imageNames.map((image) => ({ image }));
      await putManifest(directory, descriptor, names.length === 0 ? [{ tag: "latest" }] : names);
    },
  };
}
