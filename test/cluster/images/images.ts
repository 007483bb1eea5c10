// Which images exist on a machine that can pull none, how are they built, and how does FROM find
// them? BuildKit builds them into the data of a registry in the cache; a read-only registry on that
// data is what buildkitd and containerd mirror as docker.io.
import { createHash } from "node:crypto";
import { cpSync, existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { binary, binaryPath, cacheRoot, repositoryRoot, versionOf } from "../base/binaries.ts";
import { emulateArm64 } from "./binfmt.ts";
import { startBuildkitd } from "../servers/buildkitdProcess.ts";
import { withLock } from "../base/lock.ts";
import { step } from "../base/progress.ts";
import { startRegistry } from "../servers/registry.ts";
import { busyboxRoot, debianRoot, nodeProgram, npmProgram, rootfsEdition } from "./rootfs.ts";
import { scratch } from "../base/scratch.ts";

/** A registry that answers for docker.io. */
export interface BaseImages {
  /** address:port, for `mirrors` in buildkitd.toml. */
  readonly host: string;
  stop(): Promise<void>;
}

interface Recipe {
  /** File in images/ without its extension. */
  readonly dockerfile: string;
  readonly target?: string;
  /** References without "docker.io/". */
  readonly tags: readonly string[];
  readonly platforms?: readonly string[];
  /** Puts what the Dockerfile copies into the context folder; gives build arguments. */
  prepare(context: string): Promise<Readonly<Record<string, string>>>;
}

const recipesFolder = import.meta.dirname;

/** Name in the cluster of the image that holds a pod's namespaces. */
export const pauseImage = "docker.io/kiln-test/pause:1";
/** Name in the cluster of the image of CoreDNS. */
export const corednsImage = "docker.io/kiln-test/coredns:1";

/** Names of the BuildKit images that builder pods run. */
export function builderImages(): { rootful: string; rootless: string } {
  const rootful = `docker.io/moby/buildkit:${versionOf("buildkitd")}`;
  return { rootful, rootless: `${rootful}-rootless` };
}

function place(file: string, target: string): void {
  mkdirSync(path.dirname(target), { recursive: true });
  try {
    linkSync(file, target);
  } catch {
    cpSync(file, target, { recursive: true });
  }
}

async function placePrograms(
  context: string,
  programs: Readonly<Record<string, string>>,
): Promise<void> {
  for (const [name, program] of Object.entries(programs)) {
    place(await binary(program), path.join(context, "bin", name));
  }
}

async function prepareBuilder(context: string): Promise<Record<string, string>> {
  const programs = { buildkitd: "buildkitd", buildctl: "buildctl", "buildkit-runc": "runc" };
  await placePrograms(context, { ...programs, rootlesskit: "rootlesskit" });
  return {};
}

function withoutDomain(reference: string): string {
  return reference.replace("docker.io/", "");
}

const baseRecipes: readonly Recipe[] = [
  {
    dockerfile: "busybox",
    tags: ["latest", "stable", "1"]
      .map((tag) => `library/busybox:${tag}`)
      .concat("library/alpine:latest", "library/alpine:3"),
    platforms: ["linux/amd64", "linux/arm64"],
    prepare: async (context) => {
      for (const architecture of ["amd64", "arm64"] as const) {
        place(await busyboxRoot(architecture), path.join(context, `busybox-${architecture}.tar`));
      }
      return {};
    },
  },
  {
    dockerfile: "debian",
    tags: ["bookworm-slim", "bookworm", "12-slim", "stable-slim", "latest"].map(
      (tag) => `library/debian:${tag}`,
    ),
    prepare: async (context) => {
      place(await debianRoot(), path.join(context, "debian-amd64.tar"));
      return {};
    },
  },
  {
    dockerfile: "node",
    tags: ["24-slim", "24-bookworm-slim", "24"].map((tag) => `library/node:${tag}`),
    prepare: async (context) => {
      const node = await nodeProgram();
      place(node.file, path.join(context, "node"));
      cpSync(await npmProgram(), path.join(context, "npm"), { recursive: true });
      return { NODE_VERSION: node.version };
    },
  },
];

function clusterRecipes(): Recipe[] {
  const { rootful, rootless } = builderImages();
  const none = async (): Promise<Record<string, string>> => ({});
  return [
    { dockerfile: "cluster", target: "pause", tags: [withoutDomain(pauseImage)], prepare: none },
    {
      dockerfile: "cluster",
      target: "coredns",
      tags: [withoutDomain(corednsImage)],
      prepare: (context) => placePrograms(context, { coredns: "coredns" }).then(none),
    },
    {
      dockerfile: "buildkit",
      target: "rootful",
      tags: [withoutDomain(rootful)],
      prepare: prepareBuilder,
    },
    {
      dockerfile: "buildkit",
      target: "rootless",
      tags: [withoutDomain(rootless)],
      prepare: prepareBuilder,
    },
  ];
}

/** Folder of the built images; its name changes with everything they are made of. */
function storeFolder(): string {
  const packageFile = path.join(repositoryRoot, "package.json");
  const { devDependencies } = z
    .object({ devDependencies: z.object({ node: z.string() }) })
    .parse(JSON.parse(readFileSync(packageFile, "utf8")));
  const recipes = [...baseRecipes, ...clusterRecipes()];
  const hash = createHash("sha256").update(
    JSON.stringify([rootfsEdition, devDependencies, recipes]),
  );
  const dockerfiles = readdirSync(recipesFolder).filter((name) => name.endsWith(".Dockerfile"));
  for (const name of dockerfiles.toSorted()) {
    hash.update(readFileSync(path.join(recipesFolder, name)));
  }
  for (const name of ["buildkitd", "runc", "rootlesskit", "coredns"]) {
    hash.update(path.basename(path.dirname(binaryPath(name))));
  }
  return path.join(cacheRoot(), "images", hash.digest("hex").slice(0, 12));
}

function outputFlag(host: string, recipe: Recipe): string {
  const names = recipe.tags.map((tag) => `${host}/${tag}`).join(",");
  // Layers of builder images are not compressed: they only travel over loopback, at every start.
  const compression = recipe.tags[0]?.startsWith("library/") === true ? "gzip" : "uncompressed";
  return `type=image,"name=${names}",push=true,registry.insecure=true,compression=${compression}`;
}

async function buildAll(
  store: string,
  recipes: readonly Recipe[],
  done: (r: Recipe) => string,
): Promise<void> {
  await emulateArm64();
  const work = scratch("images");
  const registry = await startRegistry({ folder: work.folder, data: path.join(store, "registry") });
  const daemon = await startBuildkitd({
    folder: work.folder,
    cgroup: work.id,
    mirrorHost: registry.host,
  });
  try {
    for (const recipe of recipes) {
      const context = mkdtempSync(path.join(work.folder, "context-"));
      const args = await recipe.prepare(context);
      const target = recipe.target === undefined ? [] : ["--opt", `target=${recipe.target}`];
      await step(`building the image ${recipe.tags[0] ?? ""}`, () =>
        daemon.buildctl([
          "build",
          "--progress=plain",
          "--frontend=dockerfile.v0",
          "--local",
          `context=${context}`,
          "--local",
          `dockerfile=${recipesFolder}`,
          "--opt",
          `filename=${recipe.dockerfile}.Dockerfile`,
          ...target,
          "--opt",
          `platform=${(recipe.platforms ?? ["linux/amd64"]).join(",")}`,
          ...Object.entries(args).flatMap(([k, v]) => ["--opt", `build-arg:${k}=${v}`]),
          "--output",
          outputFlag(registry.host, recipe),
        ]),
      );
      rmSync(context, { recursive: true, force: true });
      writeFileSync(done(recipe), "");
    }
  } finally {
    await daemon.stop();
    await registry.stop();
    work.remove();
  }
}

async function ensure(recipes: readonly Recipe[]): Promise<string> {
  const store = storeFolder();
  const done = (r: Recipe): string => path.join(store, `${r.dockerfile}${r.target ?? ""}.done`);
  const missing = (): Recipe[] => recipes.filter((recipe) => !existsSync(done(recipe)));
  if (missing().length > 0) {
    await withLock(path.join(cacheRoot(), "locks", "images"), async () => {
      mkdirSync(store, { recursive: true });
      if (missing().length > 0) await buildAll(store, missing(), done);
    });
  }
  return path.join(store, "registry");
}

/** The folder of registry data with debian, node, busybox and alpine; built when absent. */
export function ensureBaseImages(): Promise<string> {
  return ensure(baseRecipes);
}

/** The same folder, with the images that a cluster runs as well. */
export function ensureClusterImages(): Promise<string> {
  return ensure([...baseRecipes, ...clusterRecipes()]);
}

/**
 * A registry for a test that answers for docker.io: debian:bookworm-slim, node:24-slim,
 * busybox and alpine (both for amd64 and arm64). It dies with the test's process.
 */
export async function baseImages(): Promise<BaseImages> {
  const data = await ensureBaseImages();
  const place = scratch("mirror");
  const running = await startRegistry({ folder: place.folder, data, readOnly: true }).catch(
    (error: unknown) => {
      place.remove();
      throw error;
    },
  );
  return { host: running.host, stop: () => running.stop().finally(() => place.remove()) };
}
