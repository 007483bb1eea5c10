// What the generators share: write the files that are derived from the sources, or say which are stale.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** A file that is wholly made by a generator. `path` is relative to the top of the repository. */
export interface GeneratedFile {
  readonly path: string;
  readonly content: string;
}

const top = resolve(import.meta.dirname, "..");

/** Text of a file of the repository, or undefined if there is none. */
export async function current(path: string): Promise<string | undefined> {
  try {
    return await readFile(resolve(top, path), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Writes what differs, or with `check` only tells. Resolves to the paths that differed. */
export async function settle(
  list: readonly GeneratedFile[],
  { check }: { check: boolean },
): Promise<string[]> {
  const stale: string[] = [];
  for (const { path, content } of list) {
    if ((await current(path)) === content) continue;
    stale.push(path);
    if (check) continue;
    await mkdir(dirname(resolve(top, path)), { recursive: true });
    await writeFile(resolve(top, path), content);
  }
  return stale;
}

/** Runs a generator when its file is the program; with `--check` exits 1 if anything is stale. */
export async function main(
  meta: ImportMeta,
  files: () => GeneratedFile[] | Promise<GeneratedFile[]>,
): Promise<void> {
  if (!meta.main) return;
  const check = process.argv.includes("--check");
  report(await settle(await files(), { check }), check);
}

/** Says what was written, or what is stale and how to mend it. */
export function report(stale: readonly string[], check: boolean): void {
  for (const path of stale) console.log(check ? `stale: ${path}` : `wrote ${path}`);
  if (check && stale.length > 0) {
    console.error("Generated files are stale: run `npm run generate` and commit what it writes.");
    process.exitCode = 1;
  }
}
