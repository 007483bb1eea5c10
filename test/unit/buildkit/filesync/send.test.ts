// What does a receiver get, from a small tree and from one that a worker thread reads, whatever happens meanwhile?
import assert from "node:assert/strict";
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diskTree } from "../../../../src/buildkit/session/filesync/disk-tree.ts";
import { inMemoryTree } from "../../../../src/buildkit/session/filesync/memory-tree.ts";
import {
  packetType,
  requestPacket,
  errorPacket,
} from "../../../../src/buildkit/session/filesync/packets.ts";
import type { OpenFile, Tree } from "../../../../src/buildkit/session/filesync/tree.ts";
import { receive, Receiver, serve } from "./receiver.ts";

const sizes = [0, 1, 4_096, 65_535, 65_536, 65_537, 131_072, 262_143, 262_144, 262_145, 1_500_000];

function bytes(size: number): Buffer {
  return Buffer.alloc(size, `${size}-kiln-`);
}

/** A tree with one file whose reads are scripted. */
function oneFile(file: Partial<OpenFile>): Tree {
  return {
    list: (directory) => (directory === "" ? [{ name: "f", isDirectory: false }] : []),
    stat: () => ({ mode: 0o644, size: file.size ?? 0, mtimeNs: 0n, linkTarget: "" }),
    open: () => ({
      size: 0,
      readSync: () => 0,
      read: () => Promise.resolve(0),
      close() {},
      ...file,
    }),
  };
}

describe("sending a tree", function () {
  this.timeout(20_000); // a worker's start and a thousand files take long on a busy machine
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "kiln-send-"));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  /** A directory that a worker reads, and what comes after it. */
  function makeLarge(files = 20): void {
    mkdirSync(join(root, "many"));
    for (let file = 0; file < files; file++)
      writeFileSync(join(root, "many", `f${file}`), `${file}`);
  }

  const onDisk = (): Tree => ({ ...diskTree(root), isLarge: (path) => path === "many" });

  for (const [where, large] of [
    ["on the main thread", false],
    ["in a worker", true],
  ] as const) {
    it(`gives files of every size ${where}`, async () => {
      for (const size of sizes) writeFileSync(join(root, `s${size}`), bytes(size));
      if (large) makeLarge(1_100);
      const { files, stats } = await receive(onDisk());
      for (const size of sizes) assert.ok(files.get(`s${size}`)?.equals(bytes(size)), `${size}`);
      assert.equal(stats.length, sizes.length + (large ? 1_101 : 0));
      if (large) assert.equal(files.get("many/f1099")?.toString(), "1099");
    });

    it(`tells a bad pattern ${where}`, async () => {
      writeFileSync(join(root, "zz"), "");
      if (large) makeLarge();
      const metadata = { "exclude-patterns": [large ? "z*[" : "[", "x"] };
      const receiver = new Receiver({ metadata });
      await assert.rejects(serve(onDisk(), receiver), { code: 3, message: /pattern/ });
      assert.match(receiver.errors.join(), /pattern/);
    });

    it(`refuses what was not listed ${where}`, async () => {
      writeFileSync(join(root, "a"), "");
      if (large) makeLarge();
      const onPacket = ({ stat }: { stat: unknown }, receiver: Receiver): void => {
        if (stat === undefined) receiver.tell(requestPacket(1_000_000));
      };
      const behaviour = { onPacket, wants: () => false, finishes: false };
      await assert.rejects(receive(onDisk(), behaviour), {
        code: 3,
        message: /invalid file id 1000000/,
      });
    });

    it(`ends when the receiver is gone ${where}`, async () => {
      writeFileSync(join(root, "a"), "");
      if (large) makeLarge();
      const onPacket = (_packet: unknown, receiver: Receiver): void => receiver.leave();
      await assert.rejects(receive(onDisk(), { onPacket }), { code: 10 });
    });
  }

  it("goes on in a worker where it stood, with each entry once and hard links to what came before", async () => {
    for (const folder of ["a", "a/b", "many", "z"]) mkdirSync(join(root, folder));
    for (const name of ["a/b/1", "a/c", "many/2", "z/3"]) writeFileSync(join(root, name), name);
    linkSync(join(root, "a/c"), join(root, "z/4"));
    const { stats, files } = await receive(onDisk());
    assert.deepEqual(
      stats.map(({ path, linkname }) => (linkname === "" ? path : `${path} -> ${linkname}`)),
      ["a", "a/b", "a/b/1", "a/c", "many", "many/2", "z", "z/3", "z/4 -> a/c"],
    );
    for (const name of ["a/b/1", "a/c", "many/2", "z/3"])
      assert.equal(files.get(name)?.toString(), name);
  });

  for (const [where, name] of [
    ["on the main thread", "big"],
    ["in a worker", "very big"],
  ] as const) {
    it(`keeps what is on its way bounded while the receiver waits ${where}`, async () => {
      writeFileSync(join(root, name), Buffer.alloc(20_000_000));
      makeLarge();
      const release = Promise.withResolvers<void>();
      let taken = 0;
      const receiver = new Receiver({
        pace: () => release.promise,
        onPacket: ({ data }) => (taken += data.length),
      });
      const done = serve(onDisk(), receiver);
      const before = await settledCount(() => taken);
      assert.ok(before < 8_000_000, `${before} bytes`);
      release.resolve();
      await done;
      assert.equal(receiver.files.get(name)?.length, 20_000_000);
    });
  }

  it("gives the first name that is not excluded the bytes, and links the others to it", async () => {
    writeFileSync(join(root, "a"), "linked");
    for (const name of ["b", "c"]) linkSync(join(root, "a"), join(root, name));
    const { stats, files } = await receive(diskTree(root), {
      metadata: { "exclude-patterns": ["a"] },
    });
    assert.deepEqual(
      stats.map(({ path, linkname, size }) => [path, linkname, size]),
      [
        ["b", "", 6],
        ["c", "b", 6],
      ],
    );
    assert.equal(files.get("b")?.toString(), "linked");
  });

  it("gives a link's bytes to whoever asks by that name", async () => {
    writeFileSync(join(root, "a"), "linked");
    linkSync(join(root, "a"), join(root, "b"));
    const { files } = await receive(diskTree(root), { wants: ({ path }) => path === "b" });
    assert.equal(files.get("b")?.toString(), "linked");
  });

  for (const [change, alter, want] of [
    ["grew", (file: string) => appendFileSync(file, "more"), "0123456789more"],
    ["shrank", (file: string) => truncateSync(file, 4), "0123"],
    ["vanished", (file: string) => rmSync(file), ""],
  ] as const) {
    it(`gives what is there of a file that ${change} since it was listed`, async () => {
      writeFileSync(join(root, "f"), "0123456789");
      let altered = false;
      const { files } = await receive(diskTree(root), {
        onPacket() {
          if (!altered) alter(join(root, "f"));
          altered = true;
        },
      });
      assert.equal(files.get("f")?.toString(), want);
    });
  }

  it("gives what a file has that grows while it is read, and all of short reads", async () => {
    const content = bytes(900_000);
    for (const most of [100_000, 262_144, 7]) {
      const small = most === 7;
      const part = (into: Uint8Array, position: number): number => {
        const end = Math.min(position + Math.min(most, into.length), small ? 60_000 : 900_000);
        const some = content.subarray(position, Math.max(position, end));
        into.set(some);
        return some.length;
      };
      const { files } = await receive(
        oneFile({
          size: small ? 60_000 : 900_000,
          readSync: part,
          read: (into, position) => Promise.resolve(part(into, position)),
        }),
      );
      assert.ok(files.get("f")?.equals(small ? content.subarray(0, 60_000) : content), `${most}`);
    }
  });

  it("closes each file once, also when reading it fails, and tells the failure without paths", async () => {
    let closed = 0;
    const broken = oneFile({
      size: 1_000_000,
      read: () => Promise.reject(Object.assign(new Error("EIO: /secret/path"), { code: "EIO" })),
      close: () => closed++,
    });
    await assert.rejects(receive(broken), { code: 10, message: /"context" failed with EIO$/ });
    assert.equal(closed, 1);
  });

  it("fails when a file may not be read: a build must not get an empty one for it", async () => {
    const closed: Tree = {
      ...oneFile({}),
      open() {
        throw Object.assign(new Error("EACCES: /secret"), { code: "EACCES" });
      },
    };
    await assert.rejects(receive(closed), { message: /failed with EACCES$/ });
  });

  it("sends files of memory, and nothing for a directory that it does not have", async () => {
    const tree = inMemoryTree(new Map([["a/b", { data: bytes(300_000) }]]));
    const { files } = await receive(tree);
    assert.ok(files.get("a/b")?.equals(bytes(300_000)));
    await assert.rejects(receive(tree, { metadata: { "dir-name": ["constructor"] } }), { code: 5 });
  });

  it("passes on what the receiver says went wrong", async () => {
    const onPacket = (_packet: unknown, receiver: Receiver): void =>
      receiver.tell(errorPacket("disk full"));
    await assert.rejects(receive(inMemoryTree(new Map()), { onPacket }), /disk full/);
  });

  it("packs many small files into few writes", async () => {
    for (let file = 0; file < 200; file++) writeFileSync(join(root, `f${file}`), "x");
    let writes = 0;
    const receiver = new Receiver({
      pace() {
        writes++;
        return undefined;
      },
    });
    await serve(diskTree(root), receiver);
    assert.equal(receiver.packets, 200 + 1 + 400 + 1);
    assert.ok(writes < 60, `${writes} writes`);
  });

  it("sends the kinds of packets that it must and no others", async () => {
    const kinds = new Set<number>();
    await receive(inMemoryTree(new Map([["a", { data: "x" }]])), {
      onPacket: ({ type }) => void kinds.add(type),
    });
    assert.deepEqual(
      [...kinds].sort((a, b) => a - b),
      [packetType.stat, packetType.data, packetType.fin],
    );
  });
});

/** A count that has begun and does not grow any more. Taken too early, it is less than it may be, never more. */
async function settledCount(count: () => number): Promise<number> {
  let [last, same] = [0, 0];
  for (const deadline = Date.now() + 10_000; same < 10; ) {
    if (Date.now() > deadline) throw new Error(`${last} after 10 s, and no end of it`);
    await new Promise((resolve) => setTimeout(resolve, 2));
    const now = count();
    same = now > 0 && now === last ? same + 1 : 0;
    last = now;
  }
  return last;
}
