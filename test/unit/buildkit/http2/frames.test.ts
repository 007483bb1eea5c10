import assert from "node:assert/strict";
import fc from "fast-check";
import { FrameParser, type FrameHead } from "../../../../src/buildkit/http2/frame-parser.ts";
import { FrameWriter } from "../../../../src/buildkit/http2/frame-writer.ts";
import { errorCode, flag, frameType, preface } from "../../../../src/buildkit/http2/protocol.ts";
import {
  BytesMessageReader,
  bytesMessageHead,
} from "../../../../src/buildkit/session/bytes-messages.ts";

/** Cuts bytes at the given places. */
function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [...new Set(at.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...places, bytes.length].map((end, index) => bytes.subarray(places[index - 1] ?? 0, end));
}

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: string;
}

/** Parses, with pieces of DATA put together again. */
function parse(chunks: readonly Buffer[], expectPreface = false): Frame[] {
  const frames: Frame[] = [];
  let data = "";
  const parser = new FrameParser(
    {
      data(streamId, chunk, end) {
        data += chunk.toString("hex");
        if (end) {
          frames.push({ type: 0, flags: flag.endStream, streamId, payload: data });
          data = "";
        }
      },
      frame: ({ type, flags, streamId }: FrameHead, payload) =>
        void frames.push({ type, flags, streamId, payload: payload.toString("hex") }),
    },
    expectPreface,
  );
  for (const chunk of chunks) parser.push(chunk);
  return frames;
}

describe("HTTP/2 frames", () => {
  const frame = fc.record({
    type: fc.constantFrom(0, 1, 2, 3, 4, 6, 7, 8, 9, 77),
    streamId: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    payload: fc.uint8Array({ maxLength: 200 }),
  });

  it("are the same whatever the chunks are", () => {
    fc.assert(
      fc.property(fc.array(frame), fc.array(fc.nat(), { maxLength: 30 }), (frames, places) => {
        const writer = new FrameWriter();
        for (const { type, streamId, payload } of frames) {
          writer.head(payload.length, type, flag.endStream, streamId);
          writer.add(payload);
        }
        const wire = Buffer.concat([preface, ...writer.take()]);
        assert.deepEqual(
          parse(cut(wire, places), true),
          frames.map(({ type, streamId, payload }) => ({
            type,
            flags: flag.endStream,
            streamId,
            payload: Buffer.from(payload).toString("hex"),
          })),
        );
      }),
    );
  });

  it("come out of the writer whole, large payloads and slabs' ends included", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 16_384 }), { maxLength: 60 }), (sizes) => {
        const writer = new FrameWriter();
        sizes.forEach((size, index) => {
          writer.head(size, frameType.data, flag.endStream, 1);
          writer.add(Buffer.alloc(size, index));
        });
        const got = parse(writer.take().map((chunk) => Buffer.from(chunk)));
        assert.deepEqual(
          got.map(({ payload }) => payload.length / 2),
          sizes,
        );
      }),
      { numRuns: 20 },
    );
  });

  it("refuse a peer that does not speak HTTP/2", () => {
    assert.throws(() => parse([Buffer.from("GET / HTTP/1.1\r\n")], true), {
      code: errorCode.protocolError,
    });
  });

  it("refuse a frame that is larger than we allow, before its bytes come", () => {
    const writer = new FrameWriter();
    writer.head(16_385, frameType.data, 0, 1);
    assert.throws(() => parse(writer.take().map((chunk) => Buffer.from(chunk))), {
      code: errorCode.frameSizeError,
    });
  });
});

describe("the bytes in a Session call", () => {
  const read = (chunks: readonly Buffer[]): Buffer => {
    const got: Buffer[] = [];
    const reader = new BytesMessageReader((bytes) => void got.push(bytes));
    for (const chunk of chunks) reader.push(chunk);
    return Buffer.concat(got);
  };

  it("are the same whatever the messages and chunks are", () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 300 }));
    fc.assert(
      fc.property(messages, fc.array(fc.nat(), { maxLength: 30 }), (sent, places) => {
        const wire = Buffer.concat(
          sent.flatMap((bytes) => [bytesMessageHead(bytes.length), bytes]),
        );
        assert.deepEqual(read(cut(wire, places)), Buffer.concat(sent));
      }),
    );
  });

  it("pass empty messages and skip fields that nobody knows", () => {
    const fields = Buffer.from("0000000000000000000b1096011a01ff0a03424344", "hex");
    assert.equal(read([fields]).toString(), "BCD");
  });

  const bad: [sentence: string, hex: string][] = [
    ["compressed ones", "0100000000"],
    ["messages over 16 MiB", "0001000001"],
    ["a field that is longer than its message", "00000000020a05"],
    ["a message that ends in a tag", "000000000180"],
    ["a group", "00000000010b"],
  ];
  for (const [sentence, hex] of bad) {
    it(`refuse ${sentence}`, () => {
      assert.throws(() => read([Buffer.from(hex, "hex")]), RangeError);
    });
  }

  it("survive anything", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          read([Buffer.from(bytes)]);
        } catch (error) {
          assert.ok(error instanceof RangeError);
        }
      }),
    );
  });
});
