import assert from "node:assert/strict";
import fc from "fast-check";
import { inMemoryTree } from "../../../../src/buildkit/session/filesync/memory-tree.ts";
import {
  compareBytes,
  goMode,
  type FileStat,
  type Tree,
} from "../../../../src/buildkit/session/filesync/tree.ts";
import {
  Walker,
  type Selection,
  type WalkEntry,
} from "../../../../src/buildkit/session/filesync/walk.ts";

const all: Selection = { include: [], exclude: [], follow: [] };

function files(...paths: string[]): Tree {
  return inMemoryTree(new Map(paths.map((path) => [path, { data: path }])));
}

/** A tree with symlinks: path → where it leads. */
function withLinks(tree: Tree, links: Readonly<Record<string, string>>): Tree {
  const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));
  return {
    ...tree,
    list(directory) {
      const own = Object.keys(links).filter((path) => folderOf(path) === directory);
      const names = own.map((path) => ({
        name: path.slice(path.lastIndexOf("/") + 1),
        isDirectory: false,
      }));
      return [...tree.list(directory), ...names];
    },
    stat(path): FileStat | undefined {
      const target = links[path];
      if (target === undefined) return tree.stat(path);
      return { mode: (goMode.symlink | 0o777) >>> 0, size: 0, mtimeNs: 0n, linkTarget: target };
    },
  };
}

function paths(tree: Tree, selection: Partial<Selection>): string[] {
  const walker = new Walker(tree, { ...all, ...selection });
  const found: WalkEntry[] = [];
  while (!walker.done) walker.step(found);
  return found.map(({ path }) => path);
}

/** The same, but another walker goes on after so many steps. */
function pathsInTwo(
  tree: Tree,
  {
    selection,
    after,
    second = tree,
  }: { selection: Partial<Selection>; after: number; second?: Tree },
): string[] {
  const found: WalkEntry[] = [];
  const first = new Walker(tree, { ...all, ...selection });
  for (let step = 0; step < after && !first.done; step++) first.step(found);
  const next = new Walker(second, { ...all, ...selection });
  if (first.done) return found.map(({ path }) => path);
  next.seek(structuredClone(first.position));
  while (!next.done) next.step(found);
  return found.map(({ path }) => path);
}

describe("walking a tree", () => {
  const tree = files("Dockerfile", "src/a.go", "src/sub/b.go", "src/sub/c.txt", "z");
  const cases: [sentence: string, selection: Partial<Selection>, want: string[]][] = [
    [
      "gives everything in order",
      {},
      ["Dockerfile", "src", "src/a.go", "src/sub", "src/sub/b.go", "src/sub/c.txt", "z"],
    ],
    [
      "gives the parents of what is included",
      { include: ["src/sub/b.go"] },
      ["src", "src/sub", "src/sub/b.go"],
    ],
    [
      "gives all below an included directory",
      { include: ["src/sub"] },
      ["src", "src/sub", "src/sub/b.go", "src/sub/c.txt"],
    ],
    ["gives nothing for what is not there", { include: ["nope"] }, []],
    ["leaves out excluded directories", { exclude: ["src"] }, ["Dockerfile", "z"]],
    [
      "gives exceptions in an excluded directory, and their parents",
      { exclude: ["src", "!src/sub/b.go"] },
      ["Dockerfile", "src", "src/sub", "src/sub/b.go", "z"],
    ],
    ["does not give the parent of nothing", { include: ["**/*.txt"], exclude: ["src/sub"] }, []],
    [
      "lets an exclude win over an include",
      { include: ["src"], exclude: ["**/*.go"] },
      ["src", "src/sub", "src/sub/c.txt"],
    ],
    ["follows a plain path", { follow: ["z"] }, ["z"]],
    [
      "takes the root for everything",
      { follow: ["."] },
      ["Dockerfile", "src", "src/a.go", "src/sub", "src/sub/b.go", "src/sub/c.txt", "z"],
    ],
  ];
  for (const [sentence, selection, want] of cases) {
    it(sentence, () => assert.deepEqual(paths(tree, selection), want));
    it(`${sentence}, wherever another walker goes on`, () => {
      for (let after = 0; after < 12; after++)
        assert.deepEqual(pathsInTwo(tree, { selection, after }), want, `after ${after}`);
    });
  }

  it("goes on behind what has gone and before what has come", () => {
    const first = files("a/1", "a/3", "b/1", "c");
    const changes: [second: Tree, want: string[]][] = [
      [files("a/2", "a/3", "b/1", "c"), ["a", "a/1", "a/2", "a/3", "b", "b/1", "c"]],
      [files("a/0", "b/1", "c"), ["a", "a/1", "b", "b/1", "c"]],
      [files("0", "aa", "c"), ["a", "a/1", "aa", "c"]],
      [files("a", "b"), ["a", "a/1", "b"]],
    ];
    for (const [second, want] of changes)
      assert.deepEqual(pathsInTwo(first, { selection: {}, after: 2, second }), want);
  });

  const linked = withLinks(tree, {
    link: "src/sub",
    "src/up": "../z",
    out: "../../../etc/passwd",
    loop: "loop",
    absolute: "/src/a.go",
  });
  const links: [sentence: string, follow: string[], want: string[]][] = [
    [
      "gives a link and what it leads to",
      ["link"],
      ["link", "src", "src/sub", "src/sub/b.go", "src/sub/c.txt"],
    ],
    ["follows a link on the way", ["link/b.go"], ["link", "src", "src/sub", "src/sub/b.go"]],
    ["follows a link upwards", ["src/up"], ["src", "src/up", "z"]],
    ["reads an absolute link within the tree", ["absolute"], ["absolute", "src", "src/a.go"]],
    ["does not leave the tree", ["out"], ["out"]],
    ["ends on a loop", ["loop"], ["loop"]],
    [
      "follows what a wildcard matches",
      ["li*"],
      ["link", "src", "src/sub", "src/sub/b.go", "src/sub/c.txt"],
    ],
  ];
  for (const [sentence, follow, want] of links) {
    it(sentence, () => assert.deepEqual(paths(linked, { follow }), want));
  }

  it("orders siblings by bytes, with what is in a directory right behind it", () => {
    const odd = files("a/b", "a.b", "a-b", "\u{1F600}", "\uFF00");
    assert.deepEqual(paths(odd, {}), ["a", "a/b", "a-b", "a.b", "\uFF00", "\u{1F600}"]);
  });

  it("compares names as their UTF-8 bytes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
        const want = Buffer.compare(Buffer.from(a), Buffer.from(b));
        assert.equal(Math.sign(compareBytes(a, b)), want);
      }),
      { numRuns: 300 },
    );
  });

  const blanks: [sentence: string, selection: Partial<Selection>, want: string[]][] = [
    ["takes a list of blank includes for one that matches nothing", { include: [" "] }, []],
    ["takes a list of blank excludes for one that excludes nothing", { exclude: [""] }, ["a"]],
    ["does not take what is above the tree for what is in it", { follow: ["../a"] }, []],
    ["says nothing of a bad pattern that nothing needs", { exclude: ["!b*["] }, ["a"]],
  ];
  for (const [sentence, selection, want] of blanks) {
    it(sentence, () => assert.deepEqual(paths(files("a"), selection), want));
  }

  it("refuses a bad pattern that something needs", () => {
    assert.throws(() => paths(files("a"), { exclude: ["b*["] }), SyntaxError);
  });

  it("leaves out a directory that may not be read, when it is not wanted anyway", () => {
    const closed: Tree = {
      ...files("a", "d/x"),
      list(directory) {
        if (directory === "d") throw Object.assign(new Error("no"), { code: "EACCES" });
        return files("a", "d/x").list(directory);
      },
    };
    assert.deepEqual(paths(closed, { exclude: ["d", "!d/*/y"] }), ["a"]);
    assert.throws(() => paths(closed, {}), { code: "EACCES" });
  });

  it("says how many names it looked at, whether they are wanted or not", () => {
    const walker = new Walker(files("a", "b", "c"), { ...all, include: ["c"] });
    const found: WalkEntry[] = [];
    while (!walker.done) walker.step(found);
    assert.deepEqual([walker.steps, found.length], [3, 1]);
  });
});

describe("a tree in memory", () => {
  it("tells changed bytes of equal length apart by time, and equal bytes not", () => {
    const time = (data: string) => inMemoryTree(new Map([["f", { data }]])).stat("f")?.mtimeNs;
    assert.notEqual(time("FROM a"), time("FROM b"));
    assert.equal(time("FROM a"), time("FROM a"));
  });

  for (const path of ["", "/a", "a//b", "../a", "a/./b", "a\0b"]) {
    it(`refuses the path ${JSON.stringify(path)}`, () =>
      assert.throws(() => files(path), TypeError));
  }

  it("refuses a file inside of a file", () => {
    assert.throws(() => files("a", "a/b"), TypeError);
  });

  it("has no names of JavaScript's own", () => {
    assert.equal(files("a").stat("constructor"), undefined);
  });
});
