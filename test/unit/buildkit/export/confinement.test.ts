// Whatever a hostile daemon sends into a directory, nothing outside of it is made, changed, read or removed.
import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import fc from "fast-check";
import {
  finPacket,
  requestPacket,
  statPacket,
} from "../../../../src/buildkit/session/filesync/packets.ts";
import { goMode } from "../../../../src/buildkit/session/filesync/tree.ts";
import type { Script } from "../session/scripted.ts";
import {
  data,
  directory,
  file,
  hardlink,
  listed,
  place,
  sends,
  symlink,
  type Place,
  type Sent,
} from "./sender.ts";

describe("what a hostile daemon sends", () => {
  let here: Place;
  let victim: string;

  beforeEach(() => {
    here = place();
    victim = path.join(here.folder, "victim");
    mkdirSync(victim);
    writeFileSync(path.join(victim, "secret"), "untouched");
  });

  afterEach(() => {
    assert.deepEqual(readdirSync(victim), ["secret"]);
    assert.equal(readFileSync(path.join(victim, "secret"), "utf8"), "untouched");
    assert.equal(statSync(path.join(victim, "secret")).nlink, 1);
    assert.deepEqual(
      readdirSync(here.folder).filter((name) => name !== "out" && name !== "victim"),
      [],
    );
    here.remove();
  });

  const refused: [what: string, entries: Sent[]][] = [
    ["a path up", [file("../victim/new", "x")]],
    ["a path up from a directory", [directory("d"), file("d/../../victim/new", "x")]],
    ["an absolute path", [file("/victim/new", "x")]],
    ["the root itself", [directory("")]],
    ["the root by its dot", [directory(".")]],
    ["a dot between names", [directory("d"), file("d/./f", "x")]],
    ["an empty name", [directory("d"), file("d//f", "x")]],
    ["a slash at the end", [directory("d/")]],
    ["a zero byte", [file("f\0", "x")]],
    ["a name of 256 bytes", [file("é".repeat(128), "x")]],
    ["a path of more than 4096 bytes", [file("d/".repeat(2100), "x")]],
    ["a file without its directory", [file("d/f", "x")]],
    ["a file in a file", [file("f", "x"), file("f/g", "x")]],
    ["a file in a symlink", [symlink("link", "../victim"), file("link/new", "x")]],
    ["a directory again", [directory("d"), directory("d")]],
    ["a file twice", [file("f", "x"), file("f", "y")]],
    ["a link and a file of one name", [symlink("f", "../victim/secret"), file("f", "y")]],
    ["names out of order", [file("b", "x"), file("a", "x")]],
    ["a directory that was left", [directory("a"), directory("b"), file("a/f", "x")]],
    ["a hard link to outside", [hardlink("l", "../victim/secret")]],
    ["a hard link to an absolute path", [hardlink("l", "/etc/passwd")]],
    ["a hard link to a later file", [hardlink("a", "b"), file("b", "x")]],
    ["a hard link to a symlink", [symlink("a", "../victim/secret"), hardlink("b", "a")]],
    ["a hard link to a directory", [directory("a"), hardlink("b", "a")]],
    ["a symlink to a zero byte", [symlink("a", "x\0y")]],
    ["a negative size", [{ stat: { ...file("a", "").stat, size: -1 } }]],
  ];
  for (const [what, entries] of refused) {
    it(`is refused: ${what}`, async () => {
      await assert.rejects(here.receive(sends(...entries)), { name: "SessionError" });
    });
  }

  it("makes links to anywhere, but never goes through them", async () => {
    await here.receive(
      sends(directory("d"), symlink("d/up", "../../victim"), symlink("z", victim)),
    );
    assert.deepEqual(readdirSync(here.root).sort(), ["d", "z"]);
    await assert.rejects(here.receive(sends(directory("d"), file("d/up/new", "x"))));
    // The directory takes the link's place; what the link led to stays.
    await here.receive(sends(directory("z"), file("z/new", "x")));
    assert.ok(lstatSync(path.join(here.root, "z")).isDirectory());
  });

  it("does not write through links that were there before", async () => {
    mkdirSync(here.root);
    symlinkSync(path.join(victim, "secret"), path.join(here.root, "file"));
    symlinkSync(victim, path.join(here.root, "folder"));
    await here.receive(sends(file("file", "x"), directory("folder"), file("folder/secret", "x")));
    assert.ok(lstatSync(path.join(here.root, "file")).isFile());
    assert.ok(lstatSync(path.join(here.root, "folder")).isDirectory());
  });

  it("does not follow a directory that becomes a link meanwhile", async () => {
    const moved = path.join(here.root, "moved");
    const entries = [directory("d"), file("d/f", "x")];
    const script: Script = async function* (daemon) {
      yield [...entries.map(listed), statPacket()];
      await daemon.waitFor((message) => message.equals(requestPacket(1)));
      // Somebody else on this machine is in league with the daemon.
      renameSync(path.join(here.root, "d"), moved);
      symlinkSync(victim, path.join(here.root, "d"));
      yield [data(1, Buffer.from("x")), data(1, Buffer.alloc(0))];
      await daemon.waitFor((message) => message.equals(finPacket()));
      yield [finPacket()];
    };
    await here.receive(script).catch(() => {});
    assert.deepEqual(readdirSync(moved), ["f"]);
  });

  it("does not follow a link that another stream puts in the way", async () => {
    const deep = Array.from({ length: 200 }, (_, index) => directory(`e${100 + index}`));
    const entries = [directory("d"), file("d/f", "x"), ...deep];
    const script: Script = async function* (daemon) {
      yield [...entries.map(listed), statPacket()]; // so many that "d" is opened anew
      await daemon.waitFor((message) => message.equals(requestPacket(1)));
      await here.receive(sends(symlink("d", victim)));
      yield [data(1, Buffer.from("x")), data(1, Buffer.alloc(0))];
    };
    await assert.rejects(here.receive(script), { name: "SessionError" });
    assert.ok(lstatSync(path.join(here.root, "d")).isSymbolicLink());
  });

  const misbehaving: [what: string, said: (daemon: Buffer[]) => Buffer[]][] = [
    ["data that nobody asked for", () => [listed(directory("d")), data(0, Buffer.from("x"))]],
    ["data before its entry", () => [data(7, Buffer.from("x"))]],
    ["more data than announced", () => [data(0, Buffer.from("four!"))]],
    ["less data than announced", () => [data(0, Buffer.from("a")), data(0, Buffer.alloc(0))]],
    [
      "data after the end",
      () => [data(0, Buffer.from("four")), data(0, Buffer.alloc(0)), data(0, Buffer.from("x"))],
    ],
    ["an entry after the list", () => [statPacket(), listed(file("g", "x"))]],
    ["a packet of no kind", () => [Buffer.of(0x08, 9)]],
    ["a request", () => [requestPacket(0)]],
    ["no packet at all", () => [Buffer.from([0xff, 0xff, 0xff])]],
  ];
  for (const [what, said] of misbehaving) {
    it(`is refused: ${what}`, async () => {
      const script: Script = async function* (daemon) {
        yield [listed(file("f", "four"))];
        await daemon.waitFor((message) => message.equals(requestPacket(0)));
        yield said(daemon.heard);
        yield [statPacket()];
        await daemon.waitFor(() => false);
      };
      await assert.rejects(here.receive(script), { name: "SessionError" });
      assert.deepEqual(
        readdirSync(here.root).filter((name) => name.startsWith(".")),
        [],
      );
    });
  }

  it("ends after as many entries as were allowed", async () => {
    const endless: Script = async function* () {
      for (let index = 1_000_000; ; index++) yield [listed(directory(`d${index}`))];
    };
    await assert.rejects(here.receive(endless, { maxEntries: 20 }), { code: 8 });
    assert.equal(readdirSync(here.root).length, 20);
  });

  it("ends after as many bytes as were allowed", async () => {
    const entries = [file("a", "123"), file("b", "456")];
    await assert.rejects(here.receive(sends(...entries), { maxBytes: 5 }), { code: 8 });
    await here.receive(sends(...entries), { maxBytes: 6 });
  });

  it("cannot keep any number of files open", async () => {
    const entries = Array.from({ length: 300 }, (_, index) => file(`f${100 + index}`, "xy"));
    const script: Script = async function* (daemon) {
      yield [...entries.map(listed), statPacket()];
      await daemon.waitFor((message) => message.equals(requestPacket(299)));
      yield entries.map((_, index) => data(index, Buffer.from("x")));
      await daemon.waitFor(() => false);
    };
    await assert.rejects(here.receive(script), { code: 8 });
    assert.deepEqual(readdirSync(here.root), []);
  });

  it("takes names of our temporary files for names like any others", async () => {
    mkdirSync(here.root);
    writeFileSync(path.join(here.root, "f"), "old");
    await here.receive(sends(file(".kiln-0123456789abcdef", "x"), file("f", "new")));
    assert.deepEqual(readdirSync(here.root).sort(), [".kiln-0123456789abcdef", "f"]);
  });

  it("stays inside under any mix of entries", async () => {
    const name = fc.constantFrom("a", "b", "..", ".", "A", "../victim", "victim", "secret", "");
    const names = fc.array(name, { minLength: 1, maxLength: 3 }).map((all) => all.join("/"));
    const target = fc.constantFrom("a", "../victim", "../victim/secret", "a/b", "/", ".", "..");
    const entry: fc.Arbitrary<Sent> = fc.oneof(
      names.map((at) => directory(at)),
      names.map((at) => file(at, "x")),
      fc.tuple(names, target).map(([at, to]) => symlink(at, to)),
      fc.tuple(names, target).map(([at, to]) => hardlink(at, to)),
      names.map((at) => directory(at, { mode: (goMode.directory | 0o777) >>> 0 })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 6 }), fc.boolean(), async (entries, prune) => {
        const sorted = [...entries].sort((a, b) => (a.stat.path < b.stat.path ? -1 : 1));
        await here
          .receive(sends(...sorted), prune ? { mode: "delete" } : {}, {
            "buildkit-exporter-multi-platform": ["1"],
          })
          .catch(() => {});
        assert.deepEqual(readdirSync(victim), ["secret"]);
        assert.ok(existsSync(here.root));
      }),
      { numRuns: 60 },
    );
  });
});
