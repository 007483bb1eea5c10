// What is in a folder, whatever its depth.

import { readdir } from "node:fs/promises";
import path from "node:path";

/** Paths of all that is not a folder, sorted. */
export async function listed(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .toSorted();
}
