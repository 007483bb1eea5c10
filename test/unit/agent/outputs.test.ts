// File outputs: archives taken apart whatever the pieces they come in, streams cut into pieces, and requests that S3
// servers believe.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { collector, configMapBytes } from "../../../src/agent/outputs/collected.ts";
import { inTurn } from "../../../src/agent/outputs/in-turn.ts";
import { placeOf } from "../../../src/agent/outputs/places.ts";
import { pieceBytes, piecewise } from "../../../src/agent/outputs/pieces.ts";
import { encodedKey, signedHeaders } from "../../../src/agent/outputs/sigv4.ts";
import { tarSink } from "../../../src/agent/outputs/tar-reader.ts";

interface Entry {
  readonly path: string;
  readonly data: Buffer;
  readonly type?: string;
}

function header(path: string, size: number, type: string): Buffer {
  const block = Buffer.alloc(512);
  block.write(path.slice(0, 100), 0);
  block.write("0000644\0", 100);
  block.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
  block.write("        ", 148);
  block.write(type, 156);
  block.write("ustar\0", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

function padded(data: Buffer): Buffer[] {
  return [data, Buffer.alloc((512 - (data.length % 512)) % 512)];
}

function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  let length = bytes + 1;
  while (String(length).length + bytes !== length) length += 1;
  return `${length}${rest}`;
}

/** An archive as Go writes one: long paths in PAX records. */
function archive(entries: readonly Entry[]): Buffer {
  const parts = entries.flatMap(({ path, data, type = "0" }) => {
    const long = Buffer.byteLength(path) > 100;
    const pax = Buffer.from(record("path", path));
    const before = long ? [header("pax", pax.length, "x"), ...padded(pax)] : [];
    return [...before, header(path, data.length, type), ...padded(data)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

async function taken(pieces: readonly Uint8Array[]): Promise<[string, string][]> {
  const found: [string, string][] = [];
  const sink = tarSink({
    open: async ({ path }) => {
      const data: Buffer[] = [];
      return {
        write: (more) => void data.push(...more.map((piece) => Buffer.from(piece))),
        finish: async () => void found.push([path, Buffer.concat(data).toString("latin1")]),
        abort: async () => undefined,
      };
    },
    skipped: (path) => found.push([path, "skipped"]),
    finish: async () => undefined,
    abort: async () => undefined,
  });
  for (const piece of pieces) await sink.write([piece]);
  await sink.finish();
  return found;
}

describe("an archive that is taken apart", () => {
  const name = fc.stringMatching(/^[a-zäß]{1,8}(\/[a-z]{1,60}){0,3}$/);
  const entries = fc.uniqueArray(
    fc.record({ path: name, data: fc.uint8Array({ maxLength: 1500 }).map((d) => Buffer.from(d)) }),
    { maxLength: 5, selector: ({ path }) => path },
  );

  it("gives the same files in whatever pieces it comes", async () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(entries, cuts, async (list, sizes) => {
        const all = archive(list);
        const pieces: Buffer[] = [];
        for (let at = 0, n = 0; at < all.length; n += 1) {
          const size = sizes[n % sizes.length] ?? 1;
          pieces.push(all.subarray(at, at + size));
          at += size;
        }
        assert.deepEqual(
          await taken(pieces),
          list.map(({ path, data }) => [path, data.toString("latin1")]),
        );
      }),
      { numRuns: 100 },
    );
  });

  it("has folders without a word, and counts links", async () => {
    const none = Buffer.alloc(0);
    const list = [
      { path: "a/", data: none, type: "5" },
      { path: "a/l", data: none, type: "2" },
    ];
    assert.deepEqual(await taken([archive(list)]), [["a/l", "skipped"]]);
  });

  for (const path of ["../x", "a/../../x", "/"])
    it(`is refused with a path that leads out of it: ${path}`, async () => {
      await assert.rejects(taken([archive([{ path, data: Buffer.from("x") }])]), RangeError);
    });

  it("is refused when it is cut or damaged", async () => {
    const all = archive([{ path: "a", data: Buffer.from("x") }]);
    await assert.rejects(taken([all.subarray(0, 1024)]), RangeError);
    all[3] = 1;
    await assert.rejects(taken([all]), RangeError);
  });
});

describe("a stream in pieces", () => {
  it("is cut at one size, hashed, and ends with the rest", async () => {
    const sizes: number[] = [];
    let told: unknown;
    const sink = piecewise(
      {
        write: async (piece) => void sizes.push(piece.length),
        finish: async (rest, passed) => void (told = [rest.length, passed]),
        abort: async () => undefined,
      },
      (error) => assert.fail(String(error)),
    );
    const data = Buffer.alloc(pieceBytes + 5, 7);
    await sink.write([data.subarray(0, 3)]);
    await sink.write([data.subarray(3)]);
    await sink.finish();
    const digest = `sha256:${createHash("sha256").update(data).digest("hex")}`;
    assert.deepEqual([sizes, told], [[pieceBytes], [5, { digest, size: data.length }]]);
  });

  it("tells why its target broke", async () => {
    const why = new Error("full");
    const seen: unknown[] = [];
    const fails = async (): Promise<never> => {
      throw why;
    };
    const target = { write: fails, finish: fails, abort: async () => undefined };
    await assert.rejects(piecewise(target, (error) => seen.push(error)).finish(), why);
    assert.deepEqual(seen, [why]);
  });
});

describe("what comes while a place is slow", () => {
  it("is copied, and handed on in turn", async () => {
    const got: string[] = [];
    const gate = Promise.withResolvers<void>();
    const sink = inTurn({
      write: async (pieces) => {
        await gate.promise;
        got.push(Buffer.concat(pieces).toString());
      },
      finish: async () => void got.push("end"),
      abort: async () => undefined,
    });
    const shared = Buffer.from("ab");
    const [first, second] = [sink.write([shared]), sink.write([shared.subarray(1), shared])];
    shared.fill("x");
    const end = sink.finish();
    gate.resolve();
    await Promise.all([first, second, end]);
    assert.deepEqual(got, ["ab", "bab", "end"]);
  });

  it("is refused once the place broke", async () => {
    const why = new Error("full");
    const fails = () => Promise.reject(why);
    const sink = inTurn({ write: fails, finish: fails, abort: async () => undefined });
    await assert.rejects(async () => await sink.write([Buffer.from("a")]), why);
    await assert.rejects(async () => await sink.write([Buffer.from("a")]), why);
    await assert.rejects(sink.finish(), why);
  });
});

describe("a signature for S3", () => {
  // From "Authenticating Requests: Using the Authorization Header" of Amazon's S3 API reference.
  const login = {
    accessKeyId: "AKIAIOSFODNN7EXAMPLE",
    secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
  };
  const examples = [
    ["lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"],
    ["max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"],
  ] as const;
  for (const [query, signature] of examples)
    it(`is that of Amazon's example: ${query}`, () => {
      const url = new URL(`https://examplebucket.s3.amazonaws.com/?${query}`);
      const at = { region: "us-east-1", now: new Date("2013-05-24T00:00:00Z") };
      const headers = signedHeaders({ method: "GET", url, body: new Uint8Array() }, login, at);
      assert.match(headers["authorization"] ?? "", new RegExp(`Signature=${signature}$`));
    });

  it("has names of objects as Amazon encodes them", () => {
    assert.equal(encodedKey("a b/ü(1)*'!.tar"), "a%20b/%C3%BC%281%29%2A%27%21.tar");
  });
});

describe("the place of an output", () => {
  it("is refused when the agent does not know it", () => {
    assert.throws(() => placeOf('{"kind":"moon"}'), { reason: "OutputPlaceInvalid" });
    assert.throws(() => placeOf("/a/folder"), { reason: "OutputPlaceInvalid" });
  });
});

describe("files for a ConfigMap", () => {
  const passed = { digest: "", size: 0 };

  it("may have 1 MiB together, and not a byte more", async () => {
    const budget = { left: configMapBytes };
    const [first, second] = [collector(budget), collector(budget)];
    await first.target("a").finish(Buffer.alloc(configMapBytes - 1), passed);
    await second.target("b").finish(Buffer.from("x"), passed);
    assert.deepEqual(second.data(), { b: "eA==" });
    const more = second.target("c").finish(Buffer.from("y"), passed);
    await assert.rejects(more, { class: "User", reason: "OutputTooLarge" });
    assert.deepEqual(Object.keys(second.data()), ["b"]);
  });

  for (const name of ["bin/tool", "", ".", "..", "..a", "ä", "a".repeat(254)])
    it(`have no key ${JSON.stringify(name.slice(0, 8))}`, () => {
      const files = collector({ left: 1 });
      assert.throws(() => files.target(name), { class: "User", reason: "OutputNotAKey" });
    });
});
