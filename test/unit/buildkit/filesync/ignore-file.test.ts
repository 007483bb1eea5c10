// Which patterns does an ignore file hold, which file counts, and under which key is a folder kept?
import assert from "node:assert/strict";
import { inMemoryTree } from "../../../../src/buildkit/session/filesync/memory-tree.ts";
import {
  contextExcludes,
  ignorePatterns,
} from "../../../../src/buildkit/session/filesync/patterns/ignore-file.ts";
import { sharedKeyOf } from "../../../../src/buildkit/session/filesync/shared-key.ts";
import type { Tree } from "../../../../src/buildkit/session/filesync/tree.ts";

function tree(files: Readonly<Record<string, string>>): Tree {
  return inMemoryTree(new Map(Object.entries(files).map(([name, data]) => [name, { data }])));
}

describe("an ignore file", () => {
  const cases: [sentence: string, file: string, want: string[]][] = [
    ["holds one pattern a line, whatever ends it", "a\nb\r\n c \n", ["a", "b", "c"]],
    ["may begin with a byte order mark", "\uFEFFa\n", ["a"]],
    ["has comments, but only from the first character on", "#a\n #b\n", ["#b"]],
    ["may have blank lines", "\n  \na\n\t\n", ["a"]],
    ["means paths of the context by absolute ones", "/a\n!/b\n/\n", ["a", "!b", "/"]],
    ["has its patterns cleaned", "./a/../b/\n! ./c/\n", ["b", "!c"]],
    ["keeps an exception of nothing, which the matcher refuses", "!\n", ["!"]],
  ];
  for (const [sentence, file, want] of cases) {
    it(sentence, () => assert.deepEqual(ignorePatterns(file), want));
  }

  it("has no line of 64 KiB", () => {
    assert.throws(() => ignorePatterns("x".repeat(65_536)), SyntaxError);
    assert.equal(ignorePatterns("x".repeat(65_535)).length, 1);
  });
});

describe("the excludes of a context", () => {
  const context = tree({ ".dockerignore": "general\n" });
  const cases: [sentence: string, dockerfile: Tree, path: string | undefined, want: string[]][] = [
    ["are those of the context", tree({ Dockerfile: "" }), undefined, ["general"]],
    [
      "are those beside the Dockerfile first",
      tree({ "Dockerfile.dockerignore": "own" }),
      undefined,
      ["own"],
    ],
    [
      "are none when the one beside it is empty",
      tree({ "Dockerfile.dockerignore": "" }),
      undefined,
      [],
    ],
    [
      "go by the Dockerfile's own name and folder",
      tree({ "x/My.dockerignore": "own" }),
      "x/My",
      ["own"],
    ],
    [
      "do not go by another Dockerfile's",
      tree({ "Dockerfile.dockerignore": "own" }),
      "My",
      ["general"],
    ],
  ];
  for (const [sentence, dockerfile, path, want] of cases) {
    it(sentence, () => {
      const place = { tree: dockerfile, ...(path === undefined ? {} : { path }) };
      assert.deepEqual(contextExcludes(context, place), want);
    });
  }

  it("are none without any file", () => {
    assert.deepEqual(contextExcludes(tree({}), { tree: tree({}) }), []);
  });
});

describe("the shared key of a folder", () => {
  it("begins with its name and is the same for all ways to write it", () => {
    assert.match(sharedKeyOf("/srv/app", "node"), /^app:[0-9a-f]{64}$/);
    assert.equal(sharedKeyOf("/srv/./x/../app/", "node"), sharedKeyOf("/srv/app", "node"));
  });

  it("differs by folder and by owner", () => {
    const keys = [
      sharedKeyOf("/a/app", "n"),
      sharedKeyOf("/b/app", "n"),
      sharedKeyOf("/a/app", "m"),
    ];
    assert.equal(new Set(keys).size, 3);
  });
});
