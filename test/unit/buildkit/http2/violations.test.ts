import assert from "node:assert/strict";
import fc from "fast-check";
import type { FrameWriter } from "../../../../src/buildkit/http2/frame-writer.ts";
import { encodeHeaders } from "../../../../src/buildkit/http2/headers/hpack.ts";
import { errorCode, frameType, setting } from "../../../../src/buildkit/http2/protocol.ts";
import { peerOf, requestHeaders, server } from "./peer.ts";

const ping = (writer: FrameWriter): void => writer.ping(Buffer.from("12345678"), false);

function repeat(times: number, work: (index: number) => void): void {
  for (let index = 0; index < times; index++) work(index);
}

describe("a peer that breaks the rules", () => {
  const block = encodeHeaders(requestHeaders);
  const raw =
    (type: number, flags: number, streamId: number, payload: Uint8Array) =>
    (writer: FrameWriter): void => {
      writer.head(payload.length, type, flags, streamId);
      writer.add(payload);
    };
  const none = Buffer.alloc(0);
  const { protocolError, frameSizeError, compressionError, enhanceYourCalm } = errorCode;
  const fatal: [sentence: string, say: (writer: FrameWriter) => void, code: number][] = [
    ["DATA on stream 0", raw(0, 0, 0, none), protocolError],
    ["DATA on a stream that never was", raw(0, 0, 5, none), protocolError],
    ["HEADERS on stream 0", raw(1, 4, 0, block), protocolError],
    ["HEADERS on an even stream", raw(1, 4, 2, block), protocolError],
    ["a header block that is interrupted", (w) => (raw(1, 0, 1, block)(w), ping(w)), protocolError],
    ["CONTINUATION out of nowhere", raw(9, 4, 1, block), protocolError],
    ["more padding than payload", raw(1, 4 | 8, 1, Buffer.from([9, 0])), protocolError],
    ["a broken header block", raw(1, 4, 1, Buffer.from([0x80])), compressionError],
    ["PUSH_PROMISE", raw(5, 4, 1, block), protocolError],
    ["a PING of 7 bytes", raw(6, 0, 0, Buffer.alloc(7)), frameSizeError],
    ["a PING on a stream", raw(6, 0, 1, Buffer.alloc(8)), protocolError],
    ["SETTINGS of 5 bytes", raw(4, 0, 0, Buffer.alloc(5)), frameSizeError],
    ["an acknowledgement with payload", raw(4, 1, 0, Buffer.alloc(6)), frameSizeError],
    ["RST_STREAM on a stream that never was", raw(3, 0, 7, Buffer.alloc(4)), protocolError],
    ["a window that grows by nothing", raw(8, 0, 0, Buffer.alloc(4)), protocolError],
    [
      "an initial window that is too large",
      (w) => w.settings([[setting.initialWindowSize, 2 ** 31]]),
      errorCode.flowControlError,
    ],
    ["frames that are too small", (w) => w.settings([[setting.maxFrameSize, 1]]), protocolError],
    [
      "CONTINUATIONs without end",
      (w) => {
        raw(1, 0, 1, none)(w);
        for (let index = 0; index < 2000; index++) raw(9, 0, 1, none)(w);
      },
      enhanceYourCalm,
    ],
    [
      "a header block without end",
      (w) => {
        raw(1, 0, 1, none)(w);
        for (let index = 0; index < 300; index++) raw(9, 0, 1, Buffer.alloc(16_384))(w);
      },
      enhanceYourCalm,
    ],
    ["a flood of PINGs", (w) => repeat(40_000, () => ping(w)), enhanceYourCalm],
    ["a flood of SETTINGS", (w) => repeat(40_000, () => w.settings([])), enhanceYourCalm],
    [
      "a flood of empty DATA",
      (w) => {
        raw(1, 4, 1, block)(w);
        repeat(40_000, () => w.head(0, 0, 0, 1));
      },
      enhanceYourCalm,
    ],
    [
      "streams that are reset as soon as they are opened",
      (w) =>
        repeat(2000, (index) => {
          raw(1, 4, 2 * index + 1, block)(w);
          w.reset(2 * index + 1, errorCode.cancel);
        }),
      enhanceYourCalm,
    ],
  ];
  for (const [sentence, say, code] of fatal) {
    it(`loses its connection for ${sentence}`, async () => {
      const { peer, streams } = server();
      peer.say(say);
      assert.equal(peer.goAway, code);
      assert.ok((await peer.connection.closed) instanceof Error);
      assert.ok(streams.every(({ events }) => events.at(-1)?.startsWith("closed") === true));
    });
  }

  it("loses its connection when it does not begin with SETTINGS", () => {
    const peer = peerOf({ role: "client" }, false);
    peer.say(ping);
    assert.equal(peer.goAway, errorCode.protocolError);
  });

  it("loses its connection when it asks and does not read", () => {
    const { peer } = server();
    peer.headers(1, requestHeaders);
    peer.room = false;
    peer.say(ping);
    for (let index = 0; index < 19_000 && peer.goAway === undefined; index++)
      peer.say((writer) => repeat(100, () => ping(writer)));
    assert.equal(peer.goAway, errorCode.enhanceYourCalm);
  });

  const streamFaults: [sentence: string, headers: [string, string][], code: number][] = [
    ["names in upper case", [["A", "b"]], errorCode.protocolError],
    [
      "a pseudo-header at the end",
      [
        ["a", "b"],
        [":path", "/"],
      ],
      errorCode.protocolError,
    ],
    [
      "a pseudo-header twice",
      [
        [":path", "/"],
        [":path", "/"],
      ],
      errorCode.protocolError,
    ],
    ["HTTP/1's headers", [["connection", "close"]], errorCode.protocolError],
  ];
  for (const [sentence, headers, code] of streamFaults) {
    it(`loses only its stream for ${sentence}`, () => {
      const { peer, streams } = server();
      peer.headers(1, headers);
      const reset = peer.heard.at(-1);
      assert.deepEqual([reset?.type, reset?.payload.readUInt32BE(0)], [frameType.reset, code]);
      peer.headers(3, requestHeaders);
      assert.deepEqual([streams.length, peer.goAway], [1, undefined]);
    });
  }

  it("is refused the stream that is one too many", () => {
    const { peer, streams } = server();
    for (let index = 0; index <= 1024; index++) peer.headers(2 * index + 1, requestHeaders);
    const reset = peer.heard.at(-1);
    assert.deepEqual([streams.length, reset?.type, reset?.streamId], [1024, frameType.reset, 2049]);
    assert.equal(reset?.payload.readUInt32BE(0), errorCode.refusedStream);
  });

  it("never breaks us, whatever it sends", () => {
    const frames = fc.array(
      fc.record({
        type: fc.nat(10),
        flags: fc.nat(255),
        id: fc.nat(6),
        payload: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(new Uint8Array(block))),
      }),
    );
    fc.assert(
      fc.property(frames, (sent) => {
        const { peer } = server(true);
        for (const { type, flags, id, payload } of sent) peer.say(raw(type, flags, id, payload));
        assert.notEqual(peer.goAway, errorCode.internalError);
        peer.connection.destroy();
      }),
    );
  });
});
