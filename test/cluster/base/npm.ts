// Which npm packages do servers of tests come from, and where are they installed? Each has a lock file of its own
// (tools/<name>/package-lock.json), so that what only one test runs is not part of every `npm ci`.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { cacheRoot, repositoryRoot } from "./binaries.ts";
import { withLock } from "./lock.ts";
import { step } from "./progress.ts";

const run = promisify(execFile);
const files = ["package.json", "package-lock.json"];

/** The `node_modules` of tools/<name>, installed first when the cache does not have it; no script of a package runs. */
export async function npmPackage(name: string): Promise<string> {
  const source = path.join(repositoryRoot, "tools", name);
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(path.join(source, file)));
  const target = path.join(cacheRoot(), "tools", `npm-${name}-${hash.digest("hex").slice(0, 12)}`);
  const modules = path.join(target, "node_modules");
  if (existsSync(modules)) return modules;
  await withLock(path.join(cacheRoot(), "locks", `npm-${name}`), async () => {
    if (existsSync(modules)) return;
    const partial = `${target}.partial`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { recursive: true });
    for (const file of files) cpSync(path.join(source, file), path.join(partial, file));
    const flags = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    await step(`installing ${name}`, () => run("npm", flags, { cwd: partial, maxBuffer: 1 << 24 }));
    renameSync(partial, target);
  });
  return modules;
}
