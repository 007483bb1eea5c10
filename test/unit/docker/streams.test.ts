// Output of processes as engines send it, and tar archives as engines read them.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { OutputReader } from "../../../src/docker/frames.ts";
import { tarOf } from "../../../src/docker/tar.ts";

function frame(which: number, data: Uint8Array): Buffer {
  const head = Buffer.from([which, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32BE(data.length, 4);
  return Buffer.concat([head, data]);
}

describe("the output of a process on an engine", () => {
  it("is read the same, however it is cut", () => {
    const frames = fc.array(
      fc.tuple(fc.constantFrom(1, 2), fc.uint8Array({ minLength: 0, maxLength: 40 })),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(frames, fc.infiniteStream(fc.integer({ min: 1, max: 20 })), (list, sizes) => {
        const bytes = Buffer.concat(list.map(([which, data]) => frame(which, data)));
        const reader = new OutputReader();
        const out = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
        for (let at = 0; at < bytes.length; ) {
          const size = sizes.next().value ?? 1;
          for (const { stream, data } of reader.read(bytes.subarray(at, at + size)))
            out[stream].push(data);
          at += size;
        }
        const wanted = (which: number): Buffer =>
          Buffer.concat(list.filter(([one]) => one === which).map(([, data]) => data));
        assert.deepEqual(Buffer.concat(out.stdout), wanted(1));
        assert.deepEqual(Buffer.concat(out.stderr), wanted(2));
      }),
    );
  });

  it("is told from what is none", () => {
    assert.throws(() => new OutputReader().read(Buffer.from("HTTP/1.1 200 OK")), /not the output/);
  });
});

describe("a tar archive", () => {
  it("is one that tar reads", () => {
    const data = Buffer.from("debug = true\n");
    const archive = tarOf([
      { path: "etc/buildkit/buildkitd.toml", data, mode: 0o644 },
      { path: "etc/kiln/key", data: Buffer.alloc(1024, "k"), mode: 0o600 },
      { path: "empty", data: Buffer.alloc(0), mode: 0o644 },
    ]);
    const listed = execFileSync("tar", ["-tvf", "-"], { input: archive }).toString();
    assert.match(listed, /-rw-r--r-- 0\/0 +13 .*etc\/buildkit\/buildkitd\.toml\n/);
    assert.match(listed, /-rw------- 0\/0 +1024 .*etc\/kiln\/key\n.* empty\n$/);
    const out = execFileSync("tar", ["-xOf", "-", "etc/buildkit/buildkitd.toml"], {
      input: archive,
    });
    assert.equal(out.toString(), "debug = true\n");
  });

  it("has no room for endless paths", () => {
    const file = { path: "a".repeat(101), data: Buffer.alloc(0), mode: 0o644 };
    assert.throws(() => tarOf([file]), TypeError);
  });
});
