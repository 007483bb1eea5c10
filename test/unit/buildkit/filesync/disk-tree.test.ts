import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesOf } from "../../../../src/buildkit/session/filesync/names.ts";
import { diskTree, goModeOf } from "../../../../src/buildkit/session/filesync/disk-tree.ts";
import { goMode, type Tree } from "../../../../src/buildkit/session/filesync/tree.ts";
import { Walker, type WalkEntry } from "../../../../src/buildkit/session/filesync/walk.ts";

function content(tree: Tree, path: string): Buffer | undefined {
  const file = tree.open(path);
  if (file === undefined) return undefined;
  const into = Buffer.alloc(file.size);
  const count = file.readSync(into, 0);
  file.close();
  return into.subarray(0, count);
}

function paths(tree: Tree): string[] {
  const walker = new Walker(tree, { include: [], exclude: [], follow: [] });
  const found: WalkEntry[] = [];
  while (!walker.done) walker.step(found);
  return found.map(({ path }) => path);
}

describe("a tree on disk", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "kiln-tree-"));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it("tells a file's mode, size and time to the nanosecond", () => {
    writeFileSync(join(root, "f"), "12345", { mode: 0o640 });
    execFileSync("touch", ["-d", "2026-01-02T03:04:05.123456789Z", join(root, "f")]);
    assert.deepEqual(diskTree(root).stat("f"), {
      mode: 0o640,
      size: 5,
      mtimeNs: 1_767_323_045_123_456_789n,
      linkTarget: "",
    });
  });

  it("tells setuid, setgid and sticky in Go's bits", () => {
    mkdirSync(join(root, "d"));
    chmodSync(join(root, "d"), 0o7755);
    const bits = goMode.directory | goMode.setuid | goMode.setgid | goMode.sticky | 0o755;
    assert.equal(diskTree(root).stat("d")?.mode, bits >>> 0);
  });

  it("tells a symlink as it is written, and does not follow it", () => {
    symlinkSync("/etc/passwd", join(root, "link"));
    const stat = diskTree(root).stat("link");
    assert.deepEqual(
      [stat?.mode, stat?.linkTarget],
      [(goMode.symlink | 0o777) >>> 0, "/etc/passwd"],
    );
    assert.equal(diskTree(root).open("link"), undefined);
  });

  it("does not walk through a symlink", () => {
    mkdirSync(join(root, "d"));
    writeFileSync(join(root, "d", "f"), "");
    symlinkSync("d", join(root, "e"));
    assert.deepEqual(paths(diskTree(root)), ["d", "d/f", "e"]);
  });

  it("knows two names of one file", () => {
    writeFileSync(join(root, "a"), "x");
    linkSync(join(root, "a"), join(root, "b"));
    const tree = diskTree(root);
    const [a, b] = [tree.stat("a"), tree.stat("b")];
    assert.equal(a?.linkKey, b?.linkKey);
    assert.notEqual(a?.linkKey, undefined);
  });

  it("tells a socket as an empty file, as Go does, and a pipe as one; it opens neither", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(root, "socket"), resolve));
    try {
      execFileSync("mkfifo", [join(root, "pipe")]);
      const tree = diskTree(root);
      assert.deepEqual(paths(tree), ["pipe", "socket"]);
      assert.notEqual((tree.stat("pipe")?.mode ?? 0) & goMode.namedPipe, 0);
      assert.equal((tree.stat("socket")?.mode ?? -1) & goMode.type, 0);
      assert.deepEqual([tree.open("pipe"), tree.open("socket")], [undefined, undefined]);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it("reads from any place of a file, at once or later", async () => {
    writeFileSync(join(root, "f"), "0123456789");
    const file = diskTree(root).open("f");
    assert.ok(file !== undefined);
    const into = Buffer.alloc(4);
    assert.deepEqual([file.size, file.readSync(into, 2), into.toString()], [10, 4, "2345"]);
    assert.deepEqual([await file.read(into, 8), into.toString()], [2, "8945"]);
    assert.equal(file.readSync(into, 10), 0);
    file.close();
  });

  it("gives nothing for what is gone", () => {
    const tree = diskTree(root);
    assert.equal(tree.stat("no"), undefined);
    assert.equal(tree.open("no"), undefined);
    assert.throws(() => diskTree(join(root, "no")).list(""), { code: "ENOENT" });
  });

  it("takes a symlink for its root", () => {
    writeFileSync(join(root, "f"), "");
    symlinkSync(root, join(root, "again"));
    assert.ok(paths(diskTree(join(root, "again"))).includes("f"));
  });

  it("leaves out what it is told to, with all that is in it", () => {
    mkdirSync(join(root, "node_modules", "x"), { recursive: true });
    writeFileSync(join(root, "keep"), "");
    utimesSync(join(root, "keep"), 0, 0);
    assert.deepEqual(paths(diskTree(root, { excludes: ["node_modules"] })), ["keep"]);
  });

  it("reads names that are no UTF-8, links to them, and what is in them", () => {
    const odd = Buffer.from("a\xff\xfe", "latin1");
    mkdirSync(Buffer.concat([Buffer.from(`${root}/`), odd]));
    writeFileSync(
      Buffer.concat([Buffer.from(`${root}/`), odd, Buffer.from("/f\x80", "latin1")]),
      "x",
    );
    symlinkSync(odd, join(root, "link"));
    const tree = diskTree(root);
    const found = paths(tree);
    assert.deepEqual(
      found.map((path) => bytesOf(path).toString("latin1")),
      ["a\xff\xfe", "a\xff\xfe/f\x80", "link"],
    );
    assert.equal(content(tree, found[1] ?? "")?.toString(), "x");
    assert.deepEqual(bytesOf(tree.stat("link")?.linkTarget ?? ""), odd);
  });

  it("knows all names of a pipe", () => {
    execFileSync("mkfifo", [join(root, "p")]);
    linkSync(join(root, "p"), join(root, "q"));
    const tree = diskTree(root);
    assert.notEqual(tree.stat("p")?.linkKey, undefined);
    assert.equal(tree.stat("p")?.linkKey, tree.stat("q")?.linkKey);
  });

  it("reads names beyond ASCII", () => {
    writeFileSync(join(root, "é😀, x"), "y");
    assert.deepEqual(paths(diskTree(root)), ["é😀, x"]);
  });

  it("knows the kinds of st_mode", () => {
    assert.equal(goModeOf(0o100644), 0o644);
    assert.equal(goModeOf(0o020666), (goMode.device | goMode.charDevice | 0o666) >>> 0);
    assert.equal(goModeOf(0o060660), (goMode.device | 0o660) >>> 0);
  });
});
