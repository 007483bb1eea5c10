// From what are the base images made on a machine that can pull none? Debian's packages and the npm
// registry, unpacked once and kept as tar files in the cache.
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import { renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { cacheRoot, repositoryRoot } from "../base/binaries.ts";
import { debianPackages } from "../base/debian.ts";
import { withLock } from "../base/lock.ts";
import { step } from "../base/progress.ts";

const run = promisify(execFile);
const suite = "bookworm";
const mirror = "http://deb.debian.org/debian";
const npmVersion = "11";

/** Raise it when the recipes below change: it is part of every cached file's name. */
export const rootfsEdition = 1;

type Architecture = "amd64" | "arm64";

async function cached(
  name: string,
  make: (work: string, partial: string) => Promise<void>,
): Promise<string> {
  const folder = path.join(cacheRoot(), "rootfs");
  const file = path.join(folder, `${rootfsEdition}-${name}`);
  if (existsSync(file)) return file;
  await withLock(path.join(cacheRoot(), "locks", `rootfs-${name}`), async () => {
    if (existsSync(file)) return;
    mkdirSync(folder, { recursive: true });
    const work = mkdtempSync(path.join(folder, "work-"));
    try {
      await step(`making ${name}`, () => make(work, path.join(work, "result")));
      renameSync(path.join(work, "result"), file);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
  return file;
}

async function pack(folder: string, file: string): Promise<void> {
  const stable = ["--sort=name", "--numeric-owner", "--one-file-system"];
  await run("tar", ["-C", folder, ...stable, "-cf", file, "."]);
}

/** A tar file with the root of a minimal Debian 12, without package lists and documentation. */
export function debianRoot(): Promise<string> {
  return cached("debian-amd64.tar", async (work, result) => {
    await debianPackages(["debootstrap"]);
    const root = path.join(work, "root");
    const options = ["--variant=minbase", suite, root, mirror];
    await run("debootstrap", options, { maxBuffer: 64 << 20 });
    const emptied = [
      "var/cache/apt",
      "var/lib/apt/lists",
      "var/log",
      "usr/share/doc",
      "usr/share/man",
    ];
    for (const sub of [...emptied, "usr/share/locale"]) {
      for (const entry of readdirSync(path.join(root, sub))) {
        rmSync(path.join(root, sub, entry), { recursive: true, force: true });
      }
    }
    for (const sub of ["apt/lists/partial", "cache/apt/archives/partial"]) {
      mkdirSync(path.join(root, sub.startsWith("apt") ? "var/lib" : "var", sub), {
        recursive: true,
      });
    }
    // What belongs to the machine that made it.
    for (const file of ["etc/resolv.conf", "etc/hostname"])
      rmSync(path.join(root, file), { force: true });
    await pack(root, result);
  });
}

async function downloadPackage(
  name: string,
  architecture: Architecture,
  work: string,
): Promise<string> {
  const state = path.join(work, "apt");
  for (const sub of ["lists/partial", "cache/archives/partial"]) {
    mkdirSync(path.join(state, sub), { recursive: true });
  }
  writeFileSync(path.join(state, "status"), "");
  const options = [
    `APT::Architecture=${architecture}`,
    `APT::Architectures=${architecture}`,
    "APT::Sandbox::User=root",
    `Dir::State=${state}`,
    `Dir::State::lists=${state}/lists`,
    `Dir::State::status=${state}/status`,
    `Dir::Cache=${state}/cache`,
  ].flatMap((option) => ["-o", option]);
  await run("apt-get", [...options, "update", "-qq"], { cwd: work });
  await run("apt-get", [...options, "download", "-qq", name], { cwd: work });
  const file = readdirSync(work).find((entry) => entry.endsWith(".deb"));
  if (file === undefined) throw new Error(`apt-get downloaded no ${name} for ${architecture}`);
  return path.join(work, file);
}

async function commandsOfBusybox(): Promise<string[]> {
  await debianPackages(["busybox-static"]);
  const { stdout } = await run("busybox", ["--list"]);
  return stdout.trim().split("\n");
}

/** A tar file with busybox, a link for each of its commands, and the folders that programs expect. */
export function busyboxRoot(architecture: Architecture): Promise<string> {
  return cached(`busybox-${architecture}.tar`, async (work, result) => {
    const deb = await downloadPackage("busybox-static", architecture, work);
    const unpacked = path.join(work, "unpacked");
    await run("dpkg-deb", ["-x", deb, unpacked]);
    const root = path.join(work, "root");
    for (const sub of ["bin", "etc", "root", "home", "usr/bin", "var/tmp"]) {
      mkdirSync(path.join(root, sub), { recursive: true });
    }
    mkdirSync(path.join(root, "tmp"), { mode: 0o1777 });
    await run("chmod", ["1777", path.join(root, "tmp"), path.join(root, "var/tmp")]);
    cpSync(path.join(unpacked, "bin/busybox"), path.join(root, "bin/busybox"));
    for (const name of await commandsOfBusybox()) {
      if (name !== "busybox") symlinkSync("busybox", path.join(root, "bin", name));
    }
    symlinkSync("../../bin/env", path.join(root, "usr/bin/env"));
    writeFileSync(
      path.join(root, "etc/passwd"),
      "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    );
    writeFileSync(path.join(root, "etc/group"), "root:x:0:\nnobody:x:65534:\n");
    await pack(root, result);
  });
}

/** A folder with the npm program, from the npm registry. */
export function npmProgram(): Promise<string> {
  return cached("npm", async (work, result) => {
    await run("npm", ["pack", "--silent", `npm@${npmVersion}`], { cwd: work });
    const file = readdirSync(work).find((entry) => entry.endsWith(".tgz"));
    if (file === undefined) throw new Error("npm pack wrote no archive");
    await run("tar", ["-C", work, "-xzf", path.join(work, file)]);
    renameSync(path.join(work, "package"), result);
  });
}

/** Path and version of the Node.js binary that is a devDependency of this repository. */
export async function nodeProgram(): Promise<{ file: string; version: string }> {
  const file = path.join(repositoryRoot, "node_modules/node/bin/node");
  const { stdout } = await run(file, ["--version"]);
  return { file, version: stdout.trim().slice(1) };
}
