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
import { diskTree, goModeOf } from "../../../../src/buildkit/session/filesync/disk-tree.ts";
import { goMode, type Tree } from "../../../../src/buildkit/session/filesync/tree.ts";
import { walk } from "../../../../src/buildkit/session/filesync/walk.ts";

async function content(tree: Tree, path: string, sizeHint = 0): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of tree.read(path, sizeHint)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function paths(tree: Tree): Promise<string[]> {
  const found: string[] = [];
  const all = { include: [], exclude: [], follow: [] };
  for await (const { path } of walk(tree, all, new AbortController().signal)) found.push(path);
  return found;
}

describe("a tree on disk", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "kiln-tree-"));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it("tells a file's mode, size and time to the nanosecond", async () => {
    writeFileSync(join(root, "f"), "12345", { mode: 0o640 });
    execFileSync("touch", ["-d", "2026-01-02T03:04:05.123456789Z", join(root, "f")]);
    assert.deepEqual(await diskTree(root).stat("f"), {
      mode: 0o640,
      size: 5,
      mtimeNs: 1_767_323_045_123_456_789n,
      linkTarget: "",
    });
  });

  it("tells setuid, setgid and sticky in Go's bits", async () => {
    mkdirSync(join(root, "d"));
    chmodSync(join(root, "d"), 0o7755);
    const bits = goMode.directory | goMode.setuid | goMode.setgid | goMode.sticky | 0o755;
    assert.equal((await diskTree(root).stat("d"))?.mode, bits >>> 0);
  });

  it("tells a symlink as it is written, and does not follow it", async () => {
    symlinkSync("/etc/passwd", join(root, "link"));
    const stat = await diskTree(root).stat("link");
    assert.deepEqual(
      [stat?.mode, stat?.linkTarget],
      [(goMode.symlink | 0o777) >>> 0, "/etc/passwd"],
    );
    assert.equal((await content(diskTree(root), "link")).length, 0);
  });

  it("does not walk through a symlink", async () => {
    mkdirSync(join(root, "d"));
    writeFileSync(join(root, "d", "f"), "");
    symlinkSync("d", join(root, "e"));
    assert.deepEqual(await paths(diskTree(root)), ["d", "d/f", "e"]);
  });

  it("knows two names of one file", async () => {
    writeFileSync(join(root, "a"), "x");
    linkSync(join(root, "a"), join(root, "b"));
    const tree = diskTree(root);
    const [a, b] = [await tree.stat("a"), await tree.stat("b")];
    assert.equal(a?.linkKey, b?.linkKey);
    assert.notEqual(a?.linkKey, undefined);
  });

  it("leaves out sockets, and keeps pipes without reading them", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(root, "socket"), resolve));
    try {
      execFileSync("mkfifo", [join(root, "pipe")]);
      assert.deepEqual(await paths(diskTree(root)), ["pipe"]);
      const mode = (await diskTree(root).stat("pipe"))?.mode ?? 0;
      assert.notEqual(mode & goMode.namedPipe, 0);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it("reads a file in chunks, whatever its size was said to be", async () => {
    const bytes = Buffer.alloc(600_000, "kiln");
    writeFileSync(join(root, "f"), bytes);
    for (const hint of [0, 10, 600_000, 10_000_000]) {
      assert.ok((await content(diskTree(root), "f", hint)).equals(bytes));
    }
  });

  it("gives nothing for what is gone", async () => {
    const tree = diskTree(root);
    assert.equal(await tree.stat("no"), undefined);
    assert.equal((await content(tree, "no")).length, 0);
    await assert.rejects(diskTree(join(root, "no")).list(""), { code: "ENOENT" });
  });

  it("takes a symlink for its root", async () => {
    writeFileSync(join(root, "f"), "");
    symlinkSync(root, join(root, "again"));
    assert.ok((await paths(diskTree(join(root, "again")))).includes("f"));
  });

  it("leaves out what it is told to, with all that is in it", async () => {
    mkdirSync(join(root, "node_modules", "x"), { recursive: true });
    writeFileSync(join(root, "keep"), "");
    utimesSync(join(root, "keep"), 0, 0);
    assert.deepEqual(await paths(diskTree(root, { excludes: ["node_modules"] })), ["keep"]);
  });

  it("reads names beyond ASCII", async () => {
    writeFileSync(join(root, "é😀, x"), "y");
    assert.deepEqual(await paths(diskTree(root)), ["é😀, x"]);
  });

  it("knows the kinds of st_mode", () => {
    assert.equal(goModeOf(0o100644), 0o644);
    assert.equal(goModeOf(0o020666), (goMode.device | goMode.charDevice | 0o666) >>> 0);
    assert.equal(goModeOf(0o060660), (goMode.device | 0o660) >>> 0);
  });
});
