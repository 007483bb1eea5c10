// What the tests of outputs and caches share: a solve with all its parts, the same build by buildctl, and what
// stands in a directory.
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import {
  filesync,
  inMemoryTree,
  type Attachable,
  type BuildkitClient,
  type SolveEvent,
  type SolveRequest,
  type SolveResult,
} from "../../../src/buildkit/index.ts";
import type { Buildkitd, Registry } from "../../cluster/index.ts";
import { deadline } from "./solving.ts";

/** A build by us; `request` holds whatever differs from a plain one. */
export interface Outputs {
  readonly dockerfile: string;
  readonly request?: Partial<SolveRequest>;
  readonly attachables?: readonly Attachable[];
  readonly onEvent?: (event: SolveEvent) => void;
}

/** Solves it. */
export function build(client: BuildkitClient, asked: Outputs): Promise<SolveResult> {
  const tree = inMemoryTree(new Map([["Dockerfile", { data: asked.dockerfile }]]));
  const request: SolveRequest = {
    ref: randomUUID(),
    frontend: "dockerfile.v0",
    frontendAttrs: {},
    exporters: [],
    cacheImports: [],
    cacheExports: [],
    ...asked.request,
  };
  return client.solve(request, {
    attachables: [filesync({ dockerfile: tree, context: tree }), ...(asked.attachables ?? [])],
    onEvent: asked.onEvent ?? (() => undefined),
    signal: deadline(),
  });
}

/** The same by buildctl, with further flags. */
export async function buildByBuildctl(
  daemon: Buildkitd,
  folder: string,
  dockerfile: string,
  flags: readonly string[],
): Promise<void> {
  const context = path.join(folder, `context-${randomUUID()}`);
  mkdirSync(context);
  writeFileSync(path.join(context, "Dockerfile"), dockerfile);
  const local = ["context", "dockerfile"].flatMap((name) => ["--local", `${name}=${context}`]);
  await daemon.buildctl(["build", "--frontend", "dockerfile.v0", ...local, ...flags]);
}

interface Found {
  /** Path, kind and mode, owner, number of names, target or hash. */
  readonly line: string;
  readonly mtimeNs: bigint;
}

function entriesOf(root: string): Found[] {
  const names = readdirSync(root, { recursive: true, encoding: "utf8" }).sort();
  return names.map((name) => {
    const full = path.join(root, name);
    const stat = lstatSync(full, { bigint: true });
    let content = "";
    if (stat.isSymbolicLink()) content = readlinkSync(full);
    if (stat.isFile()) content = createHash("sha256").update(readFileSync(full)).digest("hex");
    const links = stat.isDirectory() ? 0n : stat.nlink;
    const line = [name, stat.mode.toString(8), stat.uid, stat.gid, links, stat.rdev, content];
    return { line: line.join(" "), mtimeNs: stat.mtimeNs };
  });
}

/** Fails unless two trees are the same; times may differ by what Node cannot set, a quarter of a microsecond. */
export function assertSameTree(ours: string, theirs: string): void {
  const [a, b] = [entriesOf(ours), entriesOf(theirs)];
  const missing = (from: Found[], of: Found[]): string[] => {
    const there = new Set(from.map(({ line }) => line));
    return of.map(({ line }) => line).filter((line) => !there.has(line));
  };
  assert.deepEqual([missing(a, b), missing(b, a)], [[], []]);
  const late = a.filter(({ mtimeNs }, index) => {
    const off = mtimeNs - (b[index]?.mtimeNs ?? 0n);
    return off < -250n || off > 250n;
  });
  assert.deepEqual(late, []);
}

/** Names of steps that ended, by whether they came from the cache. */
export class Steps {
  readonly #cached = new Map<string, boolean>();

  readonly onEvent = (event: SolveEvent): void => {
    if (event.kind !== "vertex" || event.completed === undefined) return;
    this.#cached.set(event.name, event.cached || this.#cached.get(event.name) === true);
  };

  /** Whether the step whose name holds this text came from the cache; undefined when there was none. */
  cached(text: string): boolean | undefined {
    for (const [name, cached] of this.#cached) if (name.includes(text)) return cached;
    return undefined;
  }
}

/** A manifest or an index, with what tests look at. */
export interface RegistryManifest {
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly config?: { readonly digest: string };
  readonly layers?: readonly Described[];
  readonly manifests?: readonly Described[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A descriptor in one. */
export interface Described {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly architecture: string };
}

const manifestTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/** The manifest of a tag or digest. */
export async function manifestOf(
  { url }: Registry,
  repository: string,
  reference: string,
): Promise<RegistryManifest> {
  const response = await fetch(`${url}/v2/${repository}/manifests/${reference}`, {
    headers: { accept: manifestTypes },
  });
  if (!response.ok) throw new Error(`${repository}:${reference}: ${response.status}`);
  return (await response.json()) as RegistryManifest;
}

/** A blob that is JSON, such as an image's config. */
export async function jsonBlobOf(
  { url }: Registry,
  repository: string,
  digest: string,
): Promise<Record<string, unknown>> {
  const response = await fetch(`${url}/v2/${repository}/blobs/${digest}`);
  return (await response.json()) as Record<string, unknown>;
}
