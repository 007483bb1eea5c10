// Is the daemon told of the same entries as by BuildKit's own client? Against Go itself, on trees in memory.
import { goMode, type Tree } from "../../src/buildkit/session/filesync/tree.ts";
import {
  Walker,
  type Selection,
  type WalkEntry,
} from "../../src/buildkit/session/filesync/walk.ts";
import type { Random } from "./random.ts";
import { asBytes, reference, type Reference } from "./reference.ts";
import { fuzz } from "./run.ts";

interface Node {
  readonly path: string;
  readonly kind: "dir" | "file" | "link";
  readonly target?: string;
}

const names = ["a", "b", "a.b", "a-b", "é", "😀", "\uFF00", "c"];
const targets = [
  "a",
  "b",
  "../a",
  "a/b",
  "/a",
  "/",
  ".",
  "..",
  "../../x",
  "c",
  "a/../b",
  "nowhere",
];
const parts = ["a", "b", "a.b", "a-b", "c", "*", "**", "?", "a*", "[ab]", "é", ".."];

function tree(random: Random): Node[] {
  const nodes: Node[] = [];
  const fill = (folder: string, depth: number): void => {
    for (const name of names) {
      if (!random.oneIn(3)) continue;
      const path = folder === "" ? name : `${folder}/${name}`;
      if (random.oneIn(3) && depth < 3) {
        nodes.push({ path, kind: "dir" });
        fill(path, depth + 1);
      } else if (random.oneIn(4)) nodes.push({ path, kind: "link", target: random.pick(targets) });
      else nodes.push({ path, kind: "file" });
    }
  };
  fill("", 0);
  return nodes;
}

function patterns(random: Random, most: number): string[] {
  return random.list(most, () => {
    const text = [random.pick(parts), ...random.list(2, () => random.pick(parts))].join("/");
    return (random.oneIn(4) ? "!" : "") + text;
  });
}

function treeOf(nodes: readonly Node[]): Tree {
  const byPath = new Map(nodes.map((node) => [node.path, node]));
  const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));
  return {
    list(directory) {
      if (directory !== "" && byPath.get(directory)?.kind !== "dir") {
        throw Object.assign(new Error("not there"), { code: "ENOENT" });
      }
      return nodes
        .filter(({ path }) => folderOf(path) === directory)
        .map(({ path, kind }) => ({
          name: path.slice(path.lastIndexOf("/") + 1),
          isDirectory: kind === "dir",
        }));
    },
    stat(path) {
      const node = byPath.get(path);
      if (node === undefined) return undefined;
      const type = { dir: goMode.directory, link: goMode.symlink, file: 0 }[node.kind];
      return { mode: type >>> 0, size: 0, mtimeNs: 0n, linkTarget: node.target ?? "" };
    },
    open: () => undefined,
  };
}

function told({ path, stat }: WalkEntry): string {
  if ((stat.mode & goMode.directory) !== 0) return `${path}/`;
  return (stat.mode & goMode.symlink) !== 0 ? `${path} -> ${stat.linkTarget}` : path;
}

/** Walks; another walker goes on after some steps. */
function ours(nodes: readonly Node[], selection: Selection): unknown {
  let walker: Walker;
  const found: WalkEntry[] = [];
  try {
    walker = new Walker(treeOf(nodes), selection);
    for (let steps = nodes.length >> 1; steps > 0 && !walker.done; steps -= 1) walker.step(found);
    if (!walker.done) {
      const { position } = walker;
      walker = new Walker(treeOf(nodes), selection);
      walker.seek(structuredClone(position));
    }
  } catch (error) {
    if (error instanceof SyntaxError) return "refused";
    throw error;
  }
  while (!walker.done) walker.step(found);
  return found.map((entry) => asBytes(told(entry)));
}

describe("walks", () => {
  let go: Reference;
  before(async () => {
    go = await reference();
  });
  after(() => go.stop());

  it("find what BuildKit's client finds", async function () {
    const done = await fuzz({
      share: 0.2,
      generate: (random) => ({
        nodes: tree(random),
        selection: {
          include: random.oneIn(2) ? patterns(random, 2) : [],
          exclude: random.oneIn(2) ? patterns(random, 3) : [],
          follow: random.oneIn(3) ? patterns(random, 3).map((text) => text.replace("!", "")) : [],
        },
      }),
      async check(cases) {
        const verdicts = await go.ask(
          cases.map(({ nodes, selection }) => ({
            op: "walk",
            tree: nodes.map((node) => ({
              path: asBytes(node.path),
              kind: node.kind,
              target: asBytes(node.target ?? ""),
            })),
            include: selection.include.map(asBytes),
            exclude: selection.exclude.map(asBytes),
            ...(selection.follow.length === 0 ? {} : { follow: selection.follow.map(asBytes) }),
          })),
        );
        return cases.map(({ nodes, selection }, index) => {
          const [theirs, own] = [
            JSON.stringify(verdicts[index]),
            JSON.stringify(ours(nodes, selection)),
          ];
          return theirs === own ? undefined : `Go says ${theirs}, we say ${own}`;
        });
      },
    });
    this.test!.title += ` (${done})`;
  });
});
