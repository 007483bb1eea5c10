import assert from "node:assert/strict";
import fc from "fast-check";
import { ApiError } from "../../../src/kube/errors.ts";
import { endOf, lines, parseEvent } from "../../../src/kube/watch/stream.ts";

async function* chunks(...texts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

async function all(bytes: AsyncIterable<Uint8Array>): Promise<string[]> {
  const found: string[] = [];
  for await (const line of lines(bytes)) found.push(line);
  return found;
}

describe("lines", () => {
  it("are the same however the bytes are cut", async () => {
    const text = fc.array(
      fc
        .string({ unit: "grapheme", minLength: 1 })
        .filter((s) => s.trim() !== "" && !s.includes("\n")),
    );
    await fc.assert(
      fc.asyncProperty(text, fc.array(fc.nat({ max: 50 })), async (want, cuts) => {
        const bytes = Buffer.from(want.map((line) => `${line}\n`).join(""));
        const parts: Uint8Array[] = [];
        let from = 0;
        for (const cut of cuts) parts.push(bytes.subarray(from, (from += cut)));
        assert.deepEqual(await all(chunks(...parts, bytes.subarray(from))), want);
      }),
    );
  });

  it("leave empty ones out, which proxies send to keep a connection open", async () => {
    assert.deepEqual(await all(chunks("a\n\n \r\nb\n")), ["a", "b"]);
  });

  it("do not end in the middle of one", async () => {
    await assert.rejects(all(chunks('a\n{"ty')), /ended in the middle of a line, after 4 bytes/);
  });

  it("have an end", async () => {
    const endless = (async function* () {
      for (;;) yield Buffer.alloc(8 * 1024 * 1024, "x");
    })();
    await assert.rejects(all(endless), /a line of over 33554432 bytes/);
  });
});

describe("parseEvent", () => {
  const cases: [string, string, RegExp][] = [
    ["refuses what is not JSON", "<html>", /not JSON/],
    ["refuses JSON that is no event", "[]", /not an event/],
    ["refuses an event without an object", '{"type":"ADDED"}', /not an event/],
    ["refuses an object without a name", '{"type":"ADDED","object":{}}', /without a name/],
    ["refuses a type that it does not know", '{"type":"MOVED","object":{}}', /unknown type MOVED/],
  ];
  for (const [name, line, want] of cases) {
    it(name, () => assert.throws(() => parseEvent(line, "watch things"), want));
  }
});

describe("endOf", () => {
  const error = (kind: "Gone" | "Unavailable", status: number, message: string) =>
    new ApiError({ kind, status, reason: "", message });
  const cases: [string, unknown, string][] = [
    ["lists again when the version is too old", error("Gone", 410, "x"), "gone"],
    [
      "lists again when the server never had the version",
      error("Unavailable", 504, "Timeout: Too large resource version: 9, current: 3"),
      "gone",
    ],
    ["waits after a timeout of the server", error("Unavailable", 504, "x"), "failed"],
    ["waits after anything else", new Error("aborted"), "failed"],
  ];
  for (const [name, thrown, want] of cases) it(name, () => assert.equal(endOf(thrown).kind, want));
});
