// What Kiln makes of a Bake file is what the real buildx makes of it: which targets are built, and what overrides change.
// scripts/record-bake.ts writes the recordings.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { chosen } from "../../../src/bake/file/choose.ts";
import { type BakeFile, type BakeTarget, readBakeText } from "../../../src/bake/file/document.ts";
import { overridden } from "../../../src/bake/file/overrides.ts";
import { printedCases, wholes } from "./bake-cases.ts";

function printed(name: string): BakeFile {
  return readBakeText(readFileSync(new URL(`printed/${name}.json`, import.meta.url), "utf8"));
}

/** Rights are a set. */
function unordered(target: BakeTarget | undefined) {
  return { ...target, entitlements: target?.entitlements.toSorted() };
}

describe("a Bake file", () => {
  for (const { name, file, targets = [], set = [] } of printedCases)
    it(`is built as buildx prints it: ${name}`, () => {
      const whole = targets.length > 0 ? wholes[file] : undefined;
      const ours = chosen(overridden(printed(whole ?? name), set), targets);
      const theirs = printed(name).targets;
      assert.deepEqual(ours.map((one) => one.name).toSorted(), [...theirs.keys()].toSorted());
      for (const { name: target, target: built } of ours)
        assert.deepEqual(unordered(built), unordered(theirs.get(target)), target);
    });

  it("has each target after those that it builds from", () => {
    const names = chosen(printed("shop"), []).map(({ name }) => name);
    assert.ok(names.indexOf("base") < names.indexOf("web"), names.join(", "));
  });
});
