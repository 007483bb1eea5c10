import assert from "node:assert/strict";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough, Writable } from "node:stream";
import { SessionError, type Attachable } from "../../../../src/buildkit/session/attachable.ts";
import { bytesHead } from "../../../../src/buildkit/session/bytes-message.ts";
import {
  exportReceiver,
  toFile,
  toStream,
} from "../../../../src/buildkit/session/export/targets.ts";
import { connection } from "../session/connection.ts";
import { play, type Script } from "../session/scripted.ts";

const sendPath = "/moby.filesync.v1.FileSend/DiffCopy";

function message(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytesHead(bytes.length), bytes]);
}

function says(...batches: Uint8Array[][]): Script {
  return async function* () {
    for (const batch of batches) yield batch.map(message);
  };
}

describe("a file that takes an export in", () => {
  let folder: string;
  let out: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "kiln-export-"));
    out = path.join(folder, "out.tar");
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  it("has all bytes in order, however they come", async () => {
    const pieces = Array.from({ length: 3000 }, (_, index) => Buffer.alloc(index % 1500, index));
    const batches = [pieces.slice(0, 1), pieces.slice(1, 2900), [], pieces.slice(2900)];
    await play(exportReceiver({ 0: toFile(out) }), says(...batches));
    assert.ok(readFileSync(out).equals(Buffer.concat(pieces)));
    assert.deepEqual(readdirSync(folder), ["out.tar"]);
  });

  it("is empty when nothing came", async () => {
    await play(exportReceiver({ 0: toFile(out) }), says());
    assert.equal(statSync(out).size, 0);
  });

  it("tells the caller what the daemon says of it", async () => {
    let told: Record<string, string> = {};
    const target = toFile(out, (metadata) => (told = Object.fromEntries(metadata)));
    await play(exportReceiver({ 0: target }), says(), {
      "exporter-md-containerimage.digest": ["sha256:x"],
      "exporter-md-names": ["a", "b"],
      "other-header": ["no"],
    });
    assert.deepEqual(told, { "containerimage.digest": "sha256:x", names: "a,b" });
  });

  it("goes to the target of its exporter", async () => {
    const second = path.join(folder, "second.tar");
    const both = exportReceiver({ 0: toFile(out), 3: toFile(second) });
    const id = (text: string) => ({ "buildkit-attachable-exporter-id": [text] });
    await play(both, says([Buffer.from("0")]), id("0"));
    await play(both, says([Buffer.from("3")]), id("3"));
    assert.deepEqual([readFileSync(out, "utf8"), readFileSync(second, "utf8")], ["0", "3"]);
    for (const text of ["1", "__proto__", "", "-0", "03"])
      await assert.rejects(play(both, says(), id(text)), { code: 5 });
  });

  it("replaces what was there when it is complete, and keeps its mode and its link", async () => {
    writeFileSync(out, "old");
    chmodSync(out, 0o600);
    const link = path.join(folder, "link");
    symlinkSync("out.tar", link);
    const script: Script = async function* () {
      yield [message(Buffer.alloc(3_000_000, "n"))];
      assert.equal(readFileSync(out, "utf8"), "old");
    };
    await play(exportReceiver({ 0: toFile(link) }), script);
    assert.equal(statSync(out).size, 3_000_000);
    assert.equal(statSync(out).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(folder).sort(), ["link", "out.tar"]);
  });

  const broken: [what: string, script: Script][] = [
    [
      "a stream that is reset",
      async function* () {
        yield [message(Buffer.alloc(3_000_000))];
        yield new Error("reset");
      },
    ],
    [
      "a message that is none",
      async function* () {
        yield [message(Buffer.from("x")), Buffer.from("12345")];
      },
    ],
    [
      "a message that is cut off",
      async function* () {
        yield [Buffer.of(0x0a, 0xff, 0xff)];
      },
    ],
  ];
  for (const [what, script] of broken) {
    it(`is not there after ${what}, and what was there stays`, async () => {
      writeFileSync(out, "old");
      await assert.rejects(play(exportReceiver({ 0: toFile(out) }), script));
      assert.equal(readFileSync(out, "utf8"), "old");
      assert.deepEqual(readdirSync(folder), ["out.tar"]);
    });
  }

  it("says what is wrong on our disk, without our paths", async () => {
    const nowhere = toFile(path.join(folder, "no", "where"));
    const failure: unknown = await play(exportReceiver({ 0: nowhere }), says()).catch(
      (e: unknown) => e,
    );
    assert.ok(failure instanceof SessionError);
    assert.equal(failure.message, "writing the output file failed with ENOENT");
  });

  it("is refused when the caller does not want it", async () => {
    const target = { kind: "file", open: () => Promise.resolve(undefined) } as const;
    await assert.rejects(play(exportReceiver({ 0: target }), says()), { code: 6 });
  });

  it("can be a stream, at the stream's pace", async () => {
    let taken = 0;
    const slow = new Writable({
      highWaterMark: 1024,
      write(chunk: Buffer, _encoding, done) {
        taken += chunk.length;
        setImmediate(done);
      },
    });
    const batches = Array.from({ length: 50 }, () => [Buffer.alloc(2000)]);
    await play(exportReceiver({ 0: toStream(slow) }), says(...batches));
    assert.equal(taken, 100_000);
    assert.equal(slow.writableEnded, false);
  });

  it("fails when its stream does", async () => {
    const closed = new PassThrough();
    closed.on("error", () => {});
    closed.destroy(new Error("EPIPE"));
    await assert.rejects(play(exportReceiver({ 0: toStream(closed) }), says([Buffer.from("x")])));
  });

  it("is not there when the daemon resets the call on the wire", async () => {
    const attachable: Attachable = exportReceiver({ 0: toFile(out) });
    const daemon = connection(attachable);
    try {
      const call = daemon.client.request({ ":method": "POST", ":path": sendPath });
      call.on("error", () => {});
      const closed = new Promise((resolve) => call.once("close", resolve));
      call.once("response", () => call.destroy());
      const bytes = message(Buffer.from("half"));
      call.write(Buffer.concat([Buffer.from([0, 0, 0, 0, bytes.length]), bytes]));
      await closed;
      const { status } = await daemon.call(sendPath, [message(Buffer.from("whole"))]);
      assert.equal(status, 0);
    } finally {
      await daemon.close();
    }
    assert.equal(readFileSync(out, "utf8"), "whole");
    assert.deepEqual(readdirSync(folder), ["out.tar"]);
  });
});
