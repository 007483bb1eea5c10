import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { problemReasons } from "../../../src/builder/health/problem.ts";

describe("docs/builders-operations.md", () => {
  it("has every reason why a Builder may not be Ready", () => {
    const file = path.resolve(import.meta.dirname, "../../../docs/builders-operations.md");
    const text = readFileSync(file, "utf8");
    const missing = problemReasons.filter((reason) => !text.includes(`\`${reason}\``));
    assert.deepEqual(
      missing.filter((reason) => reason !== "Terminating"),
      [],
    );
  });
});
