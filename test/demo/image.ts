// Kiln's own image, built from this checkout by BuildKit itself and kept by what went into it.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from "node:fs";
import path from "node:path";
import { cacheRoot, repositoryRoot } from "../cluster/base/binaries.ts";
import { step } from "../cluster/base/progress.ts";
import { buildkitd } from "../cluster/index.ts";

/** An archive that containerd can import. */
export interface KilnImage {
  readonly repository: string;
  /** Changes with the content, so that an upgrade rolls the controller. */
  readonly tag: string;
  readonly archive: string;
}

/** Everything that `Dockerfile` copies, and itself. */
const inputs = [
  "Dockerfile",
  "entrypoint.sh",
  "package.json",
  "package-lock.json",
  "scripts/bundle.ts",
  "tsconfig.base.json",
];
const folders = ["src", "crds"];

function inputHash(): string {
  const files = folders.flatMap((folder) =>
    readdirSync(path.join(repositoryRoot, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(repositoryRoot, path.join(entry.parentPath, entry.name))),
  );
  const hash = createHash("sha256");
  for (const file of [...inputs, ...files].toSorted()) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(path.join(repositoryRoot, file)))
      .update("\0");
  }
  return hash.digest("hex").slice(0, 12);
}

/** What npm on this machine was told, so that the build reaches the same registry. */
function npmSecrets(): string[] {
  const home = process.env["HOME"] ?? "/root";
  const known: [string, string | undefined][] = [
    ["npmrc", path.join(home, ".npmrc")],
    ["ca", process.env["NODE_EXTRA_CA_CERTS"]],
  ];
  return known.flatMap(([id, file]) =>
    file !== undefined && existsSync(file) ? ["--secret", `id=${id},src=${file}`] : [],
  );
}

/** The daemon is new each time; what it made before is kept beside the images. */
function layerCache(): string[] {
  const folder = path.join(cacheRoot(), "images", "kiln-layers");
  const from = existsSync(path.join(folder, "index.json"))
    ? ["--import-cache", `type=local,src=${folder}`]
    : [];
  return [...from, "--export-cache", `type=local,dest=${folder},mode=max`];
}

/** Builds the image unless this checkout's is in the cache. */
export async function kilnImage(): Promise<KilnImage> {
  const tag = `dev-${inputHash()}`;
  const archive = path.join(cacheRoot(), "images", `kiln-${tag}.tar`);
  const image = { repository: "docker.io/library/kiln", tag, archive };
  if (existsSync(archive)) return image;
  mkdirSync(path.dirname(archive), { recursive: true });
  await step("building Kiln's image with BuildKit", async () => {
    const daemon = await buildkitd();
    const partial = `${archive}.${process.pid}`;
    try {
      await daemon.buildctl([
        ...["build", "--frontend", "dockerfile.v0", "--progress", "plain"],
        ...["--local", `context=${repositoryRoot}`, "--local", `dockerfile=${repositoryRoot}`],
        ...npmSecrets(),
        ...layerCache(),
        ...["--output", `type=docker,name=${image.repository}:${tag},dest=${partial}`],
      ]);
      renameSync(partial, archive);
    } finally {
      await daemon.stop();
    }
  });
  return image;
}
