import assert from "node:assert/strict";
import { createServer } from "node:http2";
import { connect, type AddressInfo } from "node:net";
import { Duplex } from "node:stream";
import { mock } from "node:test";
import fc from "fast-check";
import { DuplexBytes } from "../../../../src/buildkit/http2/byte-stream.ts";
import { bulkWindowBytes, Http2Connection } from "../../../../src/buildkit/http2/connection.ts";
import type { FrameWriter } from "../../../../src/buildkit/http2/frame-writer.ts";
import { errorCode, flag, frameType, setting } from "../../../../src/buildkit/http2/protocol.ts";
import type { StreamSink } from "../../../../src/buildkit/http2/stream.ts";
import { pair } from "./pair.ts";
import { peerOf, recorder, type Recorder, requestHeaders, server } from "./peer.ts";

const mebibyte = 1024 * 1024;
const ping = (writer: FrameWriter): void => writer.ping(Buffer.from("12345678"), false);

describe("an HTTP/2 connection", () => {
  it("carries bytes both ways between two of ours, whatever their sizes", async () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 200_000 }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(sizes, async (parts) => {
        const [near, far] = pair();
        const echo = new Http2Connection(new DuplexBytes(far), {
          role: "server",
          accept: (stream): StreamSink => {
            stream.respond([[":status", "200"]]);
            return {
              headers() {},
              data(chunk) {
                stream.write(chunk);
                stream.consumed(chunk.length);
              },
              end: () => stream.end([["done", "yes"]]),
              drained() {},
              closed() {},
            };
          },
        });
        const client = new Http2Connection(new DuplexBytes(near), { role: "client" });
        const { promise, resolve } = Promise.withResolvers<void>();
        const got: Buffer[] = [];
        const heads: unknown[] = [];
        const stream = client.request(requestHeaders, (it) => ({
          headers: (headers) => void heads.push(headers),
          data(chunk) {
            got.push(chunk);
            it.consumed(chunk.length);
          },
          end() {},
          drained() {},
          closed: () => resolve(),
        }));
        const sent = parts.map((size, index) => Buffer.alloc(size, index + 1));
        for (const chunk of sent) stream.write(chunk);
        stream.end();
        await promise;
        assert.deepEqual(heads, [[[":status", "200"]], [["done", "yes"]]]);
        assert.ok(Buffer.concat(got).equals(Buffer.concat(sent)));
        client.close();
        assert.equal(await client.closed, undefined);
        assert.equal(await echo.closed, undefined);
      }),
      { numRuns: 8 },
    );
  });

  it("speaks with node:http2", async () => {
    const nodes = createServer().on("stream", (stream) => {
      stream.respond({ ":status": 200 });
      stream.pipe(stream);
    });
    await new Promise<void>((resolve) => nodes.listen(0, "127.0.0.1", resolve));
    const socket = connect((nodes.address() as AddressInfo).port, "127.0.0.1");
    const client = new Http2Connection(new DuplexBytes(socket), { role: "client" });
    let bytes = 0;
    await new Promise<void>((resolve) => {
      const stream = client.request(requestHeaders, (it) => ({
        headers() {},
        data(chunk) {
          bytes += chunk.length;
          it.consumed(chunk.length);
        },
        end() {},
        drained() {},
        closed: () => resolve(),
      }));
      stream.write(Buffer.alloc(3_000_000));
      stream.end();
    });
    assert.equal(bytes, 3_000_000);
    client.close();
    await client.closed;
    await new Promise((resolve) => nodes.close(resolve));
  });

  it("answers a PING in the same turn", () => {
    const { peer } = server();
    peer.say(ping);
    const answer = peer.heard.at(-1);
    assert.deepEqual([answer?.type, answer?.flags], [frameType.ping, flag.ack]);
    assert.equal(answer?.payload.toString(), "12345678");
  });

  it("puts small writes into one frame", async () => {
    const { peer, streams } = server();
    peer.headers(1, requestHeaders);
    for (let index = 0; index < 100; index++) streams[0]?.stream.write(Buffer.alloc(10));
    await new Promise(setImmediate);
    const data = peer.heard.filter(({ type }) => type === frameType.data);
    assert.deepEqual([data.length, peer.dataBytes], [1, 1000]);
  });

  it("lets streams take turns", async () => {
    const { peer, streams } = server();
    for (const id of [1, 3]) peer.headers(id, requestHeaders);
    for (const { stream } of streams) stream.write(Buffer.alloc(32_768));
    await new Promise(setImmediate);
    const data = peer.heard.filter(({ type }) => type === frameType.data);
    assert.deepEqual(
      data.map(({ streamId }) => streamId),
      [1, 3, 1, 3],
    );
  });
});

describe("flow control", () => {
  it("sends no more than the peer's windows allow, and goes on when they grow", async () => {
    const { peer, streams } = server();
    peer.headers(1, requestHeaders);
    const [it] = streams;
    assert.equal(it?.stream.write(Buffer.alloc(2_000_000)), false);
    await new Promise(setImmediate);
    assert.equal(peer.dataBytes, 65_535);
    peer.say((writer) => writer.windowUpdate(1, 100_000));
    assert.equal(peer.dataBytes, 65_535); // the connection's own window is used up
    peer.say((writer) => writer.windowUpdate(0, 50_000));
    assert.equal(peer.dataBytes, 115_535);
    peer.say((writer) => writer.windowUpdate(0, 10_000_000));
    assert.equal(peer.dataBytes, 165_535);
    peer.say((writer) => writer.settings([[setting.initialWindowSize, 5_000_000]]));
    assert.equal(peer.dataBytes, 2_000_000);
    assert.deepEqual(it?.events, ["drained"]);
  });

  it("waits when a smaller initial window makes a stream's window negative", async () => {
    const { peer, streams } = server();
    peer.headers(1, requestHeaders);
    streams[0]?.stream.write(Buffer.alloc(60_000));
    await new Promise(setImmediate);
    peer.say((writer) => writer.settings([[setting.initialWindowSize, 10_000]]));
    streams[0]?.stream.write(Buffer.alloc(1000));
    await new Promise(setImmediate);
    assert.equal(peer.dataBytes, 60_000);
    peer.say((writer) => writer.windowUpdate(1, 50_500));
    assert.equal(peer.dataBytes, 60_500);
  });

  it("gives credit only for what is consumed", () => {
    const { peer, streams } = server();
    peer.headers(1, requestHeaders);
    peer.data(1, Buffer.alloc(60_000));
    const grants = () =>
      peer.heard.filter(({ type, streamId }) => type === frameType.windowUpdate && streamId === 1);
    assert.equal(grants().length, 0);
    streams[0]?.stream.consumed(60_000);
    peer.say(ping);
    assert.deepEqual(
      grants().map(({ payload }) => payload.readUInt32BE(0)),
      [60_000],
    );
  });

  it("ends a connection whose peer sends more than it may", () => {
    const { peer } = server();
    peer.headers(1, requestHeaders);
    peer.data(1, Buffer.alloc(70_000));
    assert.deepEqual([peer.goAway, peer.ended], [errorCode.flowControlError, true]);
  });

  it("keeps a stream that nobody reads from holding up others", () => {
    const { peer, streams } = server();
    const bulk = Buffer.alloc(bulkWindowBytes);
    for (let index = 0; index < 12; index++) {
      peer.headers(2 * index + 1, requestHeaders);
      const stream = streams[index]?.stream;
      if (stream !== undefined) peer.connection.widen(stream);
      peer.data(2 * index + 1, index < 8 ? bulk : bulk.subarray(0, 65_535));
    }
    peer.headers(101, requestHeaders);
    peer.data(101, Buffer.from("health"), true);
    assert.deepEqual([streams.at(-1)?.bytes, peer.goAway], [6, undefined]);
  });

  it("gives back what came for streams that are over", () => {
    const { peer, streams } = server();
    peer.headers(1, requestHeaders);
    peer.data(1, Buffer.alloc(60_000));
    streams[0]?.stream.reset();
    const late = Buffer.alloc(8 * 1024 * 1024);
    for (let index = 0; index < 30; index++) peer.data(1, late); // more than the connection's window
    assert.equal(peer.goAway, undefined);
  });

  const overflows: [sentence: string, say: (writer: FrameWriter) => void, fatal: boolean][] = [
    ["a connection", (writer) => writer.windowUpdate(0, 2 ** 31 - 1), true],
    ["a stream", (writer) => writer.windowUpdate(1, 2 ** 31 - 1), false],
  ];
  for (const [sentence, say, fatal] of overflows) {
    it(`ends ${sentence} whose window overflows`, () => {
      const { peer, streams } = server();
      peer.headers(1, requestHeaders);
      peer.say(say);
      peer.say(say);
      assert.equal(peer.goAway, fatal ? errorCode.flowControlError : undefined);
      assert.deepEqual(streams[0]?.events, [`closed ${errorCode.flowControlError}`]);
    });
  }
});

describe("a client of HTTP/2", () => {
  it("waits until the peer allows another stream", async () => {
    const peer = peerOf({ role: "client" }, false);
    peer.say((writer) => writer.settings([[setting.maxConcurrentStreams, 1]]));
    const first = peer.connection.request(requestHeaders, (stream) => recorder(stream));
    const second = peer.connection.request(requestHeaders, (stream) => recorder(stream));
    second.write(Buffer.from("x"));
    await new Promise(setImmediate);
    assert.deepEqual([first.id, second.id], [1, 0]);
    first.reset();
    await new Promise(setImmediate);
    assert.deepEqual([second.id, peer.dataBytes], [3, 1]);
  });

  it("ends the streams that a leaving peer has not looked at, and finishes the others", async () => {
    const peer = peerOf({ role: "client" });
    const sinks: Recorder[] = [];
    for (let index = 0; index < 2; index++) {
      peer.connection.request(requestHeaders, (stream) => {
        const it = recorder(stream);
        sinks.push(it);
        return it;
      });
    }
    peer.say((writer) => writer.goAway(1, errorCode.noError, "bye"));
    assert.equal(peer.connection.usable, false);
    assert.deepEqual(sinks[1]?.events, ["closed 0"]);
    sinks[0]?.stream.end();
    await new Promise(setImmediate);
    peer.headers(1, [[":status", "200"]], true);
    assert.deepEqual(sinks[0]?.events, ["headers :status=200", "end", "closed"]);
    assert.equal(peer.ended, true);
  });

  it("ends, streams and all, when a peer leaves with an error and stays", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const peer = peerOf({ role: "client" });
      let sink: Recorder | undefined;
      peer.connection.request(requestHeaders, (stream) => (sink = recorder(stream)));
      peer.say((writer) => writer.goAway(1, errorCode.enhanceYourCalm, "too_many_pings"));
      assert.deepEqual(sink?.events, []);
      mock.timers.tick(1_000);
      assert.deepEqual(sink?.events, ["closed 0"]);
      assert.match(String(await peer.connection.closed), /too_many_pings/);
    } finally {
      mock.timers.reset();
    }
  });

  it("sends no bulk before the bytes are drained, whatever else is written meanwhile", async () => {
    const peer = peerOf({ role: "client" });
    peer.say((writer) => {
      writer.settings([[setting.initialWindowSize, 8 * mebibyte]]);
      writer.windowUpdate(0, 8 * mebibyte);
    });
    const stream = peer.connection.request(requestHeaders, (it) => recorder(it));
    await new Promise(setImmediate);
    peer.room = false;
    stream.write(Buffer.alloc(4 * mebibyte));
    const sent = peer.dataBytes;
    assert.ok(sent > 0 && sent < mebibyte, `${sent} bytes`);
    // A byte stream may say of a small write that there is room, while it still holds the large one.
    peer.room = true;
    peer.say(ping);
    await new Promise(setImmediate);
    assert.equal(peer.heard.at(-1)?.type, frameType.ping);
    assert.equal(peer.dataBytes, sent);
    peer.drained();
    await new Promise(setImmediate);
    assert.equal(peer.dataBytes, 4 * mebibyte);
  });

  it("tells its streams when the bytes end", async () => {
    const peer = peerOf({ role: "client" });
    let sink: Recorder | undefined;
    peer.connection.request(requestHeaders, (stream) => (sink = recorder(stream)));
    peer.connection.destroy(new Error("gone"));
    assert.deepEqual(sink?.events, ["closed 0"]);
    assert.equal((await peer.connection.closed)?.message, "gone");
  });

  it("says that it uses no header table when the peer changes its size", async () => {
    const peer = peerOf({ role: "client" });
    peer.say((writer) => writer.settings([[setting.headerTableSize, 0]]));
    peer.connection.request(requestHeaders, (stream) => recorder(stream));
    await new Promise(setImmediate);
    assert.equal(peer.heard.find(({ type }) => type === frameType.headers)?.payload[0], 0x20);
  });
});

describe("the bytes of a Duplex", () => {
  it("stay behind, small writes or not, until all of them are drained", async () => {
    const taken: (() => void)[] = [];
    const duplex = new Duplex({
      read() {},
      write: (_chunk, _encoding, done) => void taken.push(done),
    });
    const bytes = new DuplexBytes(duplex);
    let drained = 0;
    bytes.open({ bytes() {}, drained: () => void drained++, closed() {} });
    const takeOne = (): Promise<void> => {
      taken.shift()?.();
      return new Promise(setImmediate);
    };
    assert.equal(bytes.write([Buffer.alloc(mebibyte)]), false);
    assert.equal(bytes.write([Buffer.alloc(9)]), false);
    await takeOne();
    // Little is left, and no drain was told: what is written now must not make us forget that one will be.
    assert.equal(drained, 0);
    assert.equal(bytes.write([Buffer.alloc(9)]), false);
    while (taken.length > 0) await takeOne();
    assert.equal(drained, 1);
    assert.equal(bytes.write([Buffer.alloc(9)]), true);
    duplex.destroy();
  });
});

describe("keepalive", () => {
  const keepalive = { idleMs: 20, answerMs: 30, politeMs: 60_000 };

  it("ends a connection whose peer is gone without a word", async () => {
    const peer = peerOf({ role: "client", keepalive });
    let sink: Recorder | undefined;
    peer.connection.request(requestHeaders, (stream) => (sink = recorder(stream)));
    assert.match(String(await peer.connection.closed), /silent/);
    assert.deepEqual(sink?.events, ["closed 0"]);
    assert.ok(peer.heard.some(({ type }) => type === frameType.ping));
  });

  it("asks a silent peer that answers only once in a while", async () => {
    let now = 0;
    mock.timers.enable({ apis: ["setTimeout"] });
    const clock = mock.method(performance, "now", () => now);
    try {
      const peer = peerOf({ role: "client", keepalive });
      const pings = () => peer.heard.filter(({ type }) => type === frameType.ping).length;
      while (now < 20 * keepalive.idleMs) {
        now += 5;
        mock.timers.tick(5);
        await new Promise(setImmediate);
        if (pings() > 0) peer.say((writer) => writer.ping(Buffer.alloc(8), true));
      }
      assert.equal(pings(), 1);
      peer.connection.destroy();
    } finally {
      clock.mock.restore();
      mock.timers.reset();
    }
  });
});
