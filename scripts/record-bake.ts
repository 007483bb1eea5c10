// What does the real `docker buildx bake --print` write? Runs every call of test/unit/bake/bake-cases.ts and writes what it
// prints to test/unit/bake/printed. By hand, after a new buildx in tools/buildx or a new case: `node scripts/record-bake.ts`.

import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { binary, repositoryRoot, scratch } from "../test/cluster/index.ts";
import { type PrintedCase, printedCases } from "../test/unit/bake/bake-cases.ts";

const run = promisify(execFile);
const source = path.join(repositoryRoot, "test/unit/bake/files");
const target = path.join(repositoryRoot, "test/unit/bake/printed");

async function printed({ file, targets = [], set = [] }: PrintedCase, folder: string) {
  const words = ["bake", `--file=${file}`, "--print", "--progress=quiet"];
  const more = [...set.map((one) => `--set=${one}`), ...targets];
  const env = {
    PATH: process.env["PATH"],
    HOME: folder,
    BUILDX_CONFIG: path.join(folder, ".buildx"),
    DOCKER_CONFIG: path.join(folder, ".docker"),
    TOKEN: "token",
  };
  const { stdout } = await run(await binary("buildx"), [...words, ...more], { cwd: folder, env });
  return stdout;
}

async function main(): Promise<void> {
  const place = scratch("record-bake");
  try {
    const { folder } = place;
    // buildx looks whether what secrets name is there.
    writeFileSync(path.join(folder, "npmrc"), "token\n");
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path.join(folder, "key")]);
    for (const file of new Set(printedCases.map((one) => one.file)))
      copyFileSync(path.join(source, file), path.join(folder, file));
    rmSync(target, { recursive: true, force: true });
    mkdirSync(target, { recursive: true });
    for (const one of printedCases) {
      writeFileSync(path.join(target, `${one.name}.json`), await printed(one, folder));
      console.log(one.name);
    }
    await run(path.join(repositoryRoot, "node_modules/.bin/biome"), ["format", "--write", target]);
  } finally {
    place.remove();
  }
}

await main();
