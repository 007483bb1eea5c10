import assert from "node:assert/strict";
import fc from "fast-check";
import {
  encodeStatusMessage,
  FrameReader,
  frameHead,
  headerValue,
  metadataOf,
} from "../../../src/buildkit/session/frames.ts";

/** Cuts bytes at the given places. */
function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [...new Set(at.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...places, bytes.length].map((end, index) => bytes.subarray(places[index - 1] ?? 0, end));
}

describe("gRPC frames", () => {
  it("gives back the messages whatever the chunks are", () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 });
    fc.assert(
      fc.property(messages, fc.array(fc.nat(), { maxLength: 20 }), (sent, places) => {
        const wire = Buffer.concat(sent.flatMap((message) => [frameHead(message.length), message]));
        const reader = new FrameReader();
        const got = cut(wire, places).flatMap((chunk) => [...reader.push(chunk)]);
        assert.deepEqual(
          got.map((message) => message.toString("hex")),
          sent.map((message) => Buffer.from(message).toString("hex")),
        );
        assert.equal(reader.partial, false);
      }),
    );
  });

  it("gives messages that stay when the chunk is overwritten", () => {
    const reader = new FrameReader();
    const wire = Buffer.concat([frameHead(3), Buffer.from("abc"), frameHead(3), Buffer.from("d")]);
    const [first] = reader.push(wire);
    wire.fill(0xee);
    const [second] = reader.push(Buffer.from("ef"));
    assert.deepEqual([first?.toString(), second?.toString()], ["abc", "def"]);
  });

  it("keeps what is cut off", () => {
    const reader = new FrameReader();
    assert.deepEqual([...reader.push(Buffer.concat([frameHead(4), Buffer.from("ab")]))], []);
    assert.equal(reader.partial, true);
  });

  it("refuses a compressed message", () => {
    const reader = new FrameReader();
    assert.throws(() => [...reader.push(Buffer.from([1, 0, 0, 0, 0]))], /compressed/);
  });

  it("refuses a message over 16 MiB before its bytes come", () => {
    const reader = new FrameReader();
    assert.throws(() => [...reader.push(frameHead(16 * 1024 * 1024 + 1))], /larger than/);
  });
});

describe("gRPC headers", () => {
  it("keeps repeated values apart, commas and all", () => {
    const headers = [
      [":path", "/x"],
      ["include-patterns", "a, b"],
      ["include-patterns", "c"],
    ] as const;
    assert.deepEqual(metadataOf(headers), new Map([["include-patterns", ["a, b", "c"]]]));
  });

  it("undoes Go's query escapes where the daemon says so", () => {
    const metadata = metadataOf([
      ["followpaths", "a+b%2Fc%C3%A9"],
      ["followpaths-encoded", "1"],
      ["dir-name", "a+b"],
    ]);
    assert.deepEqual(metadata.get("followpaths"), ["a b/cé"]);
    assert.deepEqual(metadata.get("dir-name"), ["a+b"]);
  });

  it("leaves a value that is no valid escape", () => {
    const metadata = metadataOf([
      ["k", "100%"],
      ["k-encoded", "1"],
    ]);
    assert.deepEqual(metadata.get("k"), ["100%"]);
  });

  it("escapes a value only when it must", () => {
    assert.deepEqual(headerValue("a b+c"), { value: "a b+c", encoded: false });
    assert.deepEqual(headerValue("é b"), { value: "%C3%A9+b", encoded: true });
  });

  it("percent-encodes status messages", () => {
    assert.equal(encodeStatusMessage("50% é\n"), "50%25 %C3%A9%0A");
  });
});
