import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { SessionError } from "../../../../src/buildkit/session/attachable.ts";
import {
  finPacket,
  packetType,
  readPacket,
  requestPacket,
  statPacket,
} from "../../../../src/buildkit/session/filesync/packets.ts";
import { goMode } from "../../../../src/buildkit/session/filesync/tree.ts";
import type { Script } from "../session/scripted.ts";
import {
  answers,
  data,
  directory,
  file,
  hardlink,
  listed,
  pipe,
  place,
  sends,
  symlink,
  type Place,
  type Sent,
} from "./sender.ts";

describe("a directory that takes an export in", () => {
  let here: Place;

  beforeEach(() => {
    here = place();
  });

  afterEach(() => here.remove());

  const at = (...names: string[]): string => path.join(here.root, ...names);

  it("has every kind of entry as it was sent", async () => {
    await here.receive(
      sends(
        directory("d", { mode: (goMode.directory | goMode.sticky | 0o755) >>> 0 }),
        file("d/run", "#!/bin/sh\n", { mode: (goMode.setuid | 0o755) >>> 0 }),
        file("empty", ""),
        file("file", "bytes", { mode: 0o640 }),
        hardlink("hard", "file"),
        pipe("pipe"),
        symlink("soft", "/no/where"),
      ),
    );
    const mode = (name: string): number => lstatSync(at(name)).mode & 0o7777;
    assert.deepEqual(
      ["d", "d/run", "empty", "file", "pipe"].map(mode),
      [0o1755, 0o4755, 0o644, 0o640, 0o640],
    );
    assert.equal(readFileSync(at("file"), "utf8"), "bytes");
    assert.equal(statSync(at("hard")).ino, statSync(at("file")).ino);
    assert.equal(readlinkSync(at("soft")), "/no/where");
    assert.ok(lstatSync(at("pipe")).isFIFO());
    for (const name of ["d", "d/run", "empty", "file", "hard", "pipe", "soft"])
      assert.equal(lstatSync(at(name)).mtimeMs, 1_700_000_000_000, name);
  });

  it("belongs to us, whoever the sender says", async () => {
    await here.receive(sends(file("f", "x", { uid: 4242, gid: 4242 })));
    const { uid, gid } = statSync(at("f"));
    assert.deepEqual([uid, gid], [process.geteuid?.(), process.getegid?.()]);
  });

  it("keeps times to the nanoseconds that Node can set, also before 1970", async () => {
    const times = [1_700_000_000_123_456_789n, 0n, -86_400_000_000_000n];
    await here.receive(
      sends(...times.map((mtimeNs, index) => file(`f${index}`, "x", { mtimeNs }))),
    );
    for (const [index, wanted] of times.entries()) {
      const { mtimeNs } = statSync(at(`f${index}`), { bigint: true });
      const off = mtimeNs - wanted;
      assert.ok(off > -250n && off < 250n, `${wanted}: off by ${off} ns`);
    }
  });

  it("takes names that are no UTF-8", async () => {
    await here.receive(sends(file("a\udcff", "x")));
    const names = readdirSync(here.root, { encoding: "buffer" });
    assert.deepEqual(names, [Buffer.from([0x61, 0xff])]);
  });

  it("takes many small files and a large one", async () => {
    const many = Array.from({ length: 300 }, (_, index) =>
      file(`f${String(index).padStart(4, "0")}`, `${index}`),
    );
    const large = file("large", "0123456789abcdef".repeat(200_000));
    await here.receive(sends(...many, large));
    assert.equal(readdirSync(here.root).length, 301);
    assert.equal(readFileSync(at("f0299"), "utf8"), "299");
    assert.equal(readFileSync(at("large"), "utf8"), large.data);
  });

  it("puts pieces of files that come mixed where they belong", async () => {
    const entries = [file("a", "AAaa"), file("b", "BBbb")];
    const script: Script = async function* (daemon) {
      yield [...entries.map(listed), statPacket()];
      await daemon.waitFor((message) => message.equals(requestPacket(1)));
      const pieces = ["AA", "BB", "aa", "bb"].map((text, at) => data(at % 2, Buffer.from(text)));
      yield [...pieces, data(1, Buffer.alloc(0)), data(0, Buffer.alloc(0))];
      await daemon.waitFor((message) => message.equals(finPacket()));
      yield [finPacket()];
    };
    await here.receive(script);
    assert.deepEqual(
      [readFileSync(at("a"), "utf8"), readFileSync(at("b"), "utf8")],
      ["AAaa", "BBbb"],
    );
  });

  it("merges into what is there: replaces files and links, keeps the rest", async () => {
    mkdirSync(at("d"), { recursive: true });
    writeFileSync(at("d", "kept"), "kept");
    writeFileSync(at("outside"), "outside");
    linkSync(at("outside"), at("linked"));
    symlinkSync("outside", at("link"));
    mkdirSync(at("was-dir", "deep"), { recursive: true });
    writeFileSync(at("was-file"), "old");
    await here.receive(
      sends(
        directory("d"),
        file("d/new", "new"),
        file("link", "file now"),
        file("linked", "own now"),
        file("was-dir", "file now"),
        directory("was-file"),
      ),
    );
    assert.equal(readFileSync(at("d", "kept"), "utf8"), "kept");
    assert.equal(readFileSync(at("outside"), "utf8"), "outside");
    assert.ok(lstatSync(at("link")).isFile());
    assert.equal(readFileSync(at("linked"), "utf8"), "own now");
    assert.equal(readFileSync(at("was-dir"), "utf8"), "file now");
    assert.ok(lstatSync(at("was-file")).isDirectory());
    assert.deepEqual(
      readdirSync(here.root).filter((name) => name.startsWith(".")),
      [],
    );
  });

  it("fills directories that may not be written to in the end", async () => {
    await here.receive(
      sends(directory("ro", { mode: (goMode.directory | 0o555) >>> 0 }), file("ro/f", "x")),
    );
    assert.equal(statSync(at("ro")).mode & 0o777, 0o555);
    chmodSync(at("ro"), 0o755);
  });

  it("takes several platforms at once", async () => {
    const platform = (name: string): Sent[] => [
      directory(name),
      ...Array.from({ length: 50 }, (_, index) => file(`${name}/f${100 + index}`, name)),
    ];
    await Promise.all(
      ["linux_amd64", "linux_arm64"].map((name) => here.receive(sends(...platform(name)))),
    );
    assert.deepEqual(readdirSync(here.root).sort(), ["linux_amd64", "linux_arm64"]);
    assert.equal(readdirSync(at("linux_arm64")).length, 50);
  });

  it("removes with mode=delete what was not sent, and follows no link for it", async () => {
    const precious = path.join(here.folder, "precious");
    mkdirSync(precious);
    writeFileSync(path.join(precious, "f"), "x");
    mkdirSync(at("old", "deep"), { recursive: true });
    writeFileSync(at("old", "deep", "f"), "x");
    symlinkSync(precious, at("elsewhere"));
    mkdirSync(at("d"));
    symlinkSync(precious, at("d", "also"));
    const atOnce = { "buildkit-exporter-multi-platform": ["1"] };
    await here.receive(sends(directory("d"), file("d/f", "x")), { mode: "delete" }, atOnce);
    assert.deepEqual(readdirSync(here.root, { recursive: true, encoding: "utf8" }).sort(), [
      "d",
      "d/f",
    ]);
    assert.ok(existsSync(path.join(precious, "f")));
  });

  it("refuses mode=delete from a daemon that sends each platform by itself", async () => {
    mkdirSync(here.root);
    writeFileSync(at("kept"), "x");
    await assert.rejects(here.receive(sends(), { mode: "delete" }), { code: 9 });
    assert.ok(existsSync(at("kept")));
  });

  it("says what is wrong on our disk, without our paths", async () => {
    writeFileSync(here.root, "a file where the directory should be");
    const failure: unknown = await here.receive(sends(file("f", "x"))).catch((e: unknown) => e);
    assert.ok(failure instanceof SessionError);
    assert.equal(failure.message, "writing the output directory failed with EEXIST");
  });

  it("leaves no part of a file when the daemon breaks off", async () => {
    const large = file("large", "x".repeat(3_000_000));
    const script: Script = async function* (daemon) {
      yield [listed(file("f", "whole")), listed(large), statPacket()];
      await daemon.waitFor((message) => message.equals(requestPacket(1)));
      yield [data(0, Buffer.from("whole")), data(0, Buffer.alloc(0))];
      yield [data(1, Buffer.alloc(2_000_000, "x"))];
      yield new Error("reset");
    };
    await assert.rejects(here.receive(script));
    assert.deepEqual(readdirSync(here.root), ["f"]);
  });

  it("tells the sender why it stopped", async () => {
    let heard: Buffer[] = [];
    const script: Script = async function* (daemon) {
      heard = daemon.heard;
      yield [listed(file("../x", "x"))];
    };
    await assert.rejects(here.receive(script));
    const errors = heard.map(readPacket).filter(({ type }) => type === packetType.error);
    assert.match(errors[0]?.data.toString() ?? "", /bad path "\.\.\/x"/);
  });

  it("ends with what the sender says went wrong there", async () => {
    const script: Script = async function* () {
      yield [Buffer.concat([Buffer.of(0x08, packetType.error, 0x22, 4), Buffer.from("full")])];
    };
    await assert.rejects(here.receive(script), { message: "error from sender: full" });
  });

  it("does not take half a transfer for a whole one", async () => {
    const entries = [file("a", "a"), file("b", "b")];
    const half: Script = async function* (daemon) {
      yield [...entries.map(listed), statPacket()];
      await daemon.waitFor((message) => message.equals(requestPacket(1)));
      yield [data(0, Buffer.from("a")), data(0, Buffer.alloc(0))];
    };
    await assert.rejects(here.receive(half), { message: /left before/ });
    const early: Script = async function* () {
      yield [...entries.map(listed), finPacket()];
    };
    await assert.rejects(here.receive(early), { message: /left before/ });
    await here.receive(sends(...entries));
  });

  it("answers requests in any batches", async () => {
    const entries = Array.from({ length: 200 }, (_, index) =>
      file(`f${1000 + index}`, "x".repeat(index)),
    );
    const oneByOne: Script = async function* (daemon) {
      for (const entry of entries) yield [listed(entry)];
      yield [statPacket()];
      for await (const batch of answers(daemon, entries))
        for (const message of batch) yield [message];
    };
    await here.receive(oneByOne);
    for (const [index] of entries.entries())
      assert.equal(statSync(at(`f${1000 + index}`)).size, index);
  });
});
