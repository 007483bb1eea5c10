import assert from "node:assert/strict";
import fc from "fast-check";
import { inMemoryTree } from "../../../../src/buildkit/session/filesync/memory-tree.ts";
import {
  compareBytes,
  goMode,
  type FileStat,
  type Tree,
} from "../../../../src/buildkit/session/filesync/tree.ts";
import { walk, type Selection } from "../../../../src/buildkit/session/filesync/walk.ts";

const all: Selection = { include: [], exclude: [], follow: [] };
const never = new AbortController().signal;

function files(...paths: string[]): Tree {
  return inMemoryTree(new Map(paths.map((path) => [path, { data: path }])));
}

/** A tree with symlinks: path → where it leads. */
function withLinks(tree: Tree, links: Readonly<Record<string, string>>): Tree {
  const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));
  return {
    ...tree,
    async list(directory) {
      const own = Object.keys(links).filter((path) => folderOf(path) === directory);
      const names = own.map((path) => ({
        name: path.slice(path.lastIndexOf("/") + 1),
        isDirectory: false,
      }));
      return [...(await tree.list(directory)), ...names];
    },
    async stat(path): Promise<FileStat | undefined> {
      const target = links[path];
      if (target === undefined) return tree.stat(path);
      return { mode: (goMode.symlink | 0o777) >>> 0, size: 0, mtimeNs: 0n, linkTarget: target };
    },
  };
}

async function paths(tree: Tree, selection: Partial<Selection>): Promise<string[]> {
  const found: string[] = [];
  for await (const { path } of walk(tree, { ...all, ...selection }, never)) found.push(path);
  return found;
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
    it(sentence, async () => assert.deepEqual(await paths(tree, selection), want));
  }

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
    it(sentence, async () => assert.deepEqual(await paths(linked, { follow }), want));
  }

  it("orders siblings by bytes, with what is in a directory right behind it", async () => {
    const odd = files("a/b", "a.b", "a-b", "\u{1F600}", "\uFF00");
    assert.deepEqual(await paths(odd, {}), ["a", "a/b", "a-b", "a.b", "\uFF00", "\u{1F600}"]);
  });

  it("compares names as their UTF-8 bytes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
        const want = Buffer.compare(Buffer.from(a), Buffer.from(b));
        assert.equal(Math.sign(compareBytes(a, b)), want);
      }),
      { numRuns: 2000 },
    );
  });

  it("stops when it is told to", async () => {
    const stop = new AbortController();
    stop.abort();
    await assert.rejects(async () => {
      for await (const _ of walk(tree, all, stop.signal));
    }, /abort/i);
  });

  it("lets other work in while it walks a large tree", async () => {
    const large = files(
      ...Array.from({ length: 20_000 }, (_, index) => `d${index % 50}/f${index}`),
    );
    let turns = 0;
    let walking = true;
    const count = (): void => {
      turns++;
      if (walking) setImmediate(count);
    };
    setImmediate(count);
    await paths(large, {});
    walking = false;
    assert.ok(turns > 3, `${turns} turns`);
  });
});

describe("a tree in memory", () => {
  it("tells changed bytes of equal length apart by time, and equal bytes not", async () => {
    const time = async (data: string) =>
      (await inMemoryTree(new Map([["f", { data }]])).stat("f"))?.mtimeNs;
    assert.notEqual(await time("FROM a"), await time("FROM b"));
    assert.equal(await time("FROM a"), await time("FROM a"));
  });

  for (const path of ["", "/a", "a//b", "../a", "a/./b", "a\0b"]) {
    it(`refuses the path ${JSON.stringify(path)}`, () =>
      assert.throws(() => files(path), TypeError));
  }

  it("refuses a file inside of a file", () => {
    assert.throws(() => files("a", "a/b"), TypeError);
  });

  it("has no names of JavaScript's own", async () => {
    assert.equal(await files("a").stat("constructor"), undefined);
  });
});
