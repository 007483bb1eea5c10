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
  const file = new URL(`${name}.yaml`, folder);
  if (process.env["UPDATE_GOLDEN"] === "1") {
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, text);
  }
  assert.equal(
    text,
    readFileSync(file, "utf8"),
    `golden/${name}.yaml; UPDATE_GOLDEN=1 rewrites it`,
  );
}
