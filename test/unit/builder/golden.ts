// Compares what is rendered with a file beside the tests. `UPDATE_GOLDEN=1` writes the files anew: read
// the difference before you commit it.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { stringify } from "yaml";

const folder = new URL("golden/", import.meta.url);

/** Asserts that `objects`, as a YAML stream, is what golden/<name>.yaml holds. */
export function assertGolden(name: string, objects: readonly object[]): void {
  const text = objects
    .map((object) => stringify(object, { aliasDuplicateObjects: false }))
    .join("---\n");
  assertGoldenText(`${name}.yaml`, text);
}

/** Asserts that `text` is what the file `name` of golden/ holds. */
export function assertGoldenText(name: string, text: string): void {
  const file = new URL(name, folder);
  if (process.env["UPDATE_GOLDEN"] === "1") {
    mkdirSync(new URL(".", file), { recursive: true });
    writeFileSync(file, text);
  }
  const golden = readFileSync(file, "utf8");
  assert.equal(text, golden, `golden/${name}; UPDATE_GOLDEN=1 rewrites it`);
}
