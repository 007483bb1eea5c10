// Which slices ask the API server for rights: each folder of src with an rbac.ts.

import { access, readdir } from "node:fs/promises";
import { resolve } from "node:path";
import type { PolicyRule } from "../src/api/rbac.ts";

/** A slice and the rules it exports. */
export interface Slice {
  /** Name of its folder in src/. */
  readonly name: string;
  readonly rules: readonly PolicyRule[];
}

const src = resolve(import.meta.dirname, "../src");

/** All slices in alphabetical order. A file without `rules` is an error: it would grant nothing, silently. */
export async function slices(): Promise<Slice[]> {
  const found: Slice[] = [];
  for (const name of (await readdir(src)).toSorted()) {
    const path = resolve(src, name, "rbac.ts");
    if (name === "api" || !(await exists(path))) continue;
    const module = (await import(path)) as { rules?: readonly PolicyRule[] };
    if (module.rules === undefined) throw new Error(`src/${name}/rbac.ts exports no rules`);
    found.push({ name, rules: module.rules });
  }
  return found;
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
