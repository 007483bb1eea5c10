// Patterns for names of targets fit what Go's path.Match fits.

import assert from "node:assert/strict";
import { matcher } from "../../../src/bake/file/glob.ts";

const names = ["a", "b", "web", "api-1", "api-2", "api-x", "x.y"];

const table: readonly [pattern: string, want: readonly string[]][] = [
  ["*", names],
  ["?", ["a", "b"]],
  ["api-[0-9]", ["api-1", "api-2"]],
  ["api-[^0-9]", ["api-x"]],
  ["x.*", ["x.y"]],
  ["[ab]", ["a", "b"]],
  // Go takes a range that goes backwards for one that nothing is in; a regular expression does not compile.
  ["[b-a]", []],
  ["[^b-a]", ["a", "b"]],
  ["[z-ab]", ["b"]],
  ["[", []],
  ["**i*-**", ["api-1", "api-2", "api-x"]],
  ["*a*b*", []],
  ["a*", ["a", "api-1", "api-2", "api-x"]],
  ["a*a", []],
];

describe("a pattern for names of targets", () => {
  for (const [pattern, want] of table)
    it(`fits as in Go: ${pattern}`, () => assert.deepEqual(names.filter(matcher(pattern)), want));

  it("does not try again what a star has passed over", () => {
    assert.ok(!matcher(`${"*a".repeat(40)}b`)("a".repeat(120)));
  });
});
