// Which targets are built, of files that are made to take long.

import assert from "node:assert/strict";
import { chosen } from "../../../src/bake/file/choose.ts";
import { readBakeFile } from "../../../src/bake/file/document.ts";
import { KilnError } from "../../../src/errors/index.ts";

const inline = { "dockerfile-inline": "FROM scratch\n" };

function named<T>(count: number, make: (index: number) => T): Record<string, T> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`n${index}`, make(index)]),
  );
}

function names(file: unknown, wanted: readonly string[]): readonly string[] {
  return chosen(readBakeFile(file), wanted).map(({ name }) => name);
}

function tooMany(error: unknown): boolean {
  assert.ok(error instanceof KilnError, String(error));
  assert.equal(error.reason, "BakeFileInvalid");
  assert.match(error.message, /at most 64/);
  return true;
}

describe("the targets of a Bake", () => {
  it("are found in groups that double with each", () => {
    const group = named(60, (index) => ({
      targets: index === 59 ? ["a", "b"] : [`n${index + 1}`, `n${index + 1}`],
    }));
    assert.deepEqual(names({ group, target: { a: inline, b: inline } }, ["n0"]), ["a", "b"]);
  });

  it("are found in a group with the name of one of them", () => {
    const group = { a: { targets: ["a", "b"] }, g: { targets: ["a"] } };
    assert.deepEqual(names({ group, target: { a: inline, b: inline } }, ["g"]), ["a", "b"]);
  });

  it("are refused in groups that go deeper than 64", () => {
    const group = named(20_000, (index) => ({ targets: [`n${index + 1}`] }));
    assert.throws(() => names({ group, target: { n20000: inline } }, ["n0"]), {
      reason: "BakeFileInvalid",
      message: "Groups hold one another more than 64 deep.",
    });
  });

  it("are counted before they are put together", () => {
    const target = named(20_000, () => inline);
    const group = {
      all: { targets: Object.keys(target) },
      ...Object.fromEntries(Object.keys(target).map((name) => [`g${name}`, { targets: ["all"] }])),
    };
    assert.throws(() => names({ group, target }, ["g*"]), tooMany);
  });

  it("are 64 and no more", () => {
    assert.equal(names({ target: named(64, () => inline) }, ["*"]).length, 64);
    assert.throws(() => names({ target: named(65, () => inline) }, ["*"]), tooMany);
  });

  it("are refused in a chain without an end in sight", () => {
    const target = named(20_000, (index) => ({
      ...inline,
      contexts: { [`n${index + 1}`]: `target:n${index + 1}` },
    }));
    assert.throws(() => names({ target }, ["n0"]), tooMany);
  });
});
