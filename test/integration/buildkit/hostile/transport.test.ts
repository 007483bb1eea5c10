// Peers that do not speak HTTP/2, speak it wrongly, or drown a client in it.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { connect } from "../../../../src/buildkit/index.ts";
import { waitFor } from "../../../cluster/index.ts";
import { framed } from "./grpc-call.ts";
import {
  flag,
  flood,
  frame,
  frameType,
  grpcHead,
  indexed,
  many,
  onHeaders,
  rawServer,
  type RawServer,
  settings,
  u32,
} from "./raw.ts";
import { callTimeoutMs, daemonsFault, leavesNoHandles, memoryOf, solve } from "./verdict.ts";

const mebibyte = 1024 * 1024;
const floodBytes = 64 * mebibyte;
/** What a client may hold of a peer's nonsense: its windows, and some. */
const mostMemory = 96 * mebibyte;

/** Greets as HTTP/2 wants it, and goes on when the client has begun a call. */
function afterCall(
  answer: (socket: Socket, stream: number) => void,
  first: Buffer = settings(),
): (socket: Socket) => void {
  return (socket) => {
    socket.write(first);
    let answered = false;
    onHeaders(socket, (stream) => {
      if (answered) return;
      answered = true;
      answer(socket, stream);
    });
  };
}

function floods(bytes: Buffer): (socket: Socket) => void {
  return afterCall((socket) => void flood(socket, bytes, floodBytes));
}

function headers(stream: number, block: Uint8Array, flags: number = flag.endHeaders): Buffer {
  return frame(frameType.headers, flags, stream, block);
}

const ping = frame(frameType.ping, 0, 0, Buffer.alloc(8));

const peers: readonly [sentence: string, answer: (socket: Socket) => void][] = [
  ["says nothing", (socket) => void socket.resume()],
  ["hangs up at once", (socket) => void socket.destroy()],
  ["resets at once", (socket) => void socket.resetAndDestroy()],
  ["half-closes at once", (socket) => void socket.resume().end()],
  ["never reads", (socket) => void socket.pause().write(settings())],
  ["sends random bytes", (socket) => void socket.resume().write(randomBytes(65_536))],
  ["sends zeros", (socket) => void socket.resume().write(Buffer.alloc(65_536))],
  [
    "speaks HTTP/1.1",
    (socket) => void socket.resume().end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"),
  ],
  ["speaks SSH", (socket) => void socket.resume().write("SSH-2.0-OpenSSH_9.9\r\n")],
  [
    "sends a TLS alert",
    (socket) => void socket.resume().write(Buffer.from("15030100020246", "hex")),
  ],
  ["hangs up after its settings", (socket) => void socket.resume().end(settings())],
  [
    "sends settings of an impossible window",
    (socket) => void socket.write(settings({ 4: 0xffffffff })),
  ],
  ["sends settings of an impossible frame size", (socket) => void socket.write(settings({ 5: 1 }))],
  ["sends settings of a window of nothing", (socket) => void socket.write(settings({ 4: 0 }))],
  ["allows no streams", (socket) => void socket.resume().write(settings({ 3: 0 }))],
  [
    "sends settings cut short",
    (socket) => void socket.write(frame(frameType.settings, 0, 0, Buffer.alloc(5))),
  ],
  [
    "sends a frame of 16 MiB",
    (socket) => void socket.write(Buffer.from("ffffff0000000000", "hex")),
  ],
  ["floods settings", floods(many(settings({ 4: 65_535 }), 1_000))],
  ["floods pings", floods(many(ping, 1_000))],
  [
    "floods answers to pings never sent",
    floods(many(frame(frameType.ping, flag.ack, 0, Buffer.alloc(8)), 1_000)),
  ],
  ["floods frames of an unknown kind", floods(many(frame(0x77, 0, 0, Buffer.alloc(100)), 100))],
  ["floods priorities", floods(many(frame(frameType.priority, 0, 1, Buffer.alloc(5)), 1_000))],
  [
    "floods resets of streams that are not",
    floods(many(frame(frameType.rstStream, 0, 9_999, u32(8)), 1_000)),
  ],
  ["floods windows", floods(many(frame(frameType.windowUpdate, 0, 0, u32(1)), 1_000))],
  ["opens the window beyond its end", floods(frame(frameType.windowUpdate, 0, 0, u32(0x7fffffff)))],
  ["opens the window by nothing", floods(frame(frameType.windowUpdate, 0, 0, u32(0)))],
  ["promises pushes", floods(frame(frameType.pushPromise, flag.endHeaders, 1, u32(2)))],
  ["floods headers of streams that are not", floods(many(headers(2_001, grpcHead), 500))],
  [
    "sends a header block that never ends",
    afterCall((socket, stream) => {
      socket.write(headers(stream, grpcHead, 0));
      void flood(
        socket,
        frame(frameType.continuation, 0, stream, Buffer.alloc(16_000, 0x88)),
        floodBytes,
      );
    }),
  ],
  [
    "sends headers that grow when they are unpacked",
    afterCall((socket, stream) => {
      socket.write(
        headers(
          stream,
          Buffer.concat([indexed("x", "y".repeat(3_900)), Buffer.alloc(12_000, 0xbe)]),
        ),
      );
    }),
  ],
  [
    "sends header blocks that grow, without end",
    afterCall((socket, stream) => {
      socket.write(headers(stream, indexed("x", "y".repeat(3_900))));
      void flood(socket, headers(stream, Buffer.alloc(16_000, 0xbe)), floodBytes);
    }),
  ],
  [
    "sends headers that are no HPACK",
    afterCall((socket, stream) => void socket.write(headers(stream, Buffer.alloc(100, 0xff)))),
  ],
  [
    "sends headers without a status",
    afterCall((socket, stream) => void socket.write(headers(stream, indexed("x", "y")))),
  ],
  [
    "sends data before headers",
    afterCall(
      (socket, stream) =>
        void socket.write(frame(frameType.data, 0, stream, framed(Buffer.alloc(9)))),
    ),
  ],
  [
    "sends data of streams that are not",
    floods(frame(frameType.data, 0, 9_999, Buffer.alloc(16_000))),
  ],
  [
    "sends more data than its window allows",
    afterCall((socket, stream) => {
      socket.write(headers(stream, grpcHead));
      void flood(socket, frame(frameType.data, 0, stream, Buffer.alloc(16_000)), floodBytes);
    }),
  ],
  [
    "sends one message beyond its window and all limits",
    afterCall((socket, stream) => {
      socket.write(headers(stream, grpcHead));
      socket.write(frame(frameType.data, 0, stream, Buffer.from("00fffffff0", "hex")));
      void flood(socket, frame(frameType.data, 0, stream, Buffer.alloc(16_000)), floodBytes);
    }),
  ],
  [
    "floods frames of no data",
    afterCall((socket, stream) => {
      socket.write(headers(stream, grpcHead));
      void flood(socket, many(frame(frameType.data, 0, stream), 1_000), floodBytes);
    }),
  ],
  [
    "floods messages of no bytes",
    afterCall((socket, stream) => {
      socket.write(headers(stream, grpcHead));
      void flood(socket, frame(frameType.data, 0, stream, Buffer.alloc(15_000)), floodBytes);
    }),
  ],
  [
    "pads beyond the frame",
    afterCall((socket, stream) => {
      socket.write(headers(stream, grpcHead));
      socket.write(frame(frameType.data, 8, stream, Buffer.from([200, 1, 2])));
    }),
  ],
  [
    "goes away and stays",
    afterCall((socket) => void socket.write(frame(frameType.goaway, 0, 0, Buffer.alloc(8)))),
  ],
  [
    "goes away again and again",
    floods(many(frame(frameType.goaway, 0, 0, Buffer.concat([u32(0x7fffffff), u32(0)])), 100)),
  ],
  [
    "sends its settings one byte at a time, and then nothing",
    (socket) => {
      socket.resume().setNoDelay();
      const bytes = settings();
      let at = 0;
      const timer = setInterval(() => {
        if (at === bytes.length || socket.destroyed) clearInterval(timer);
        else socket.write(bytes.subarray(at, ++at));
      }, 5);
    },
  ],
];

/** Ends when the client has left every connection by itself, which a peer that does not read can't see. */
async function hungUp(server: RawServer): Promise<void> {
  await waitFor(
    "the client to hang up",
    async () => {
      for (const socket of server.sockets) socket.resume();
      return server.sockets.size === 0 ? true : undefined;
    },
    { deadlineMs: 5_000 },
  );
}

describe("a peer that is no daemon", () => {
  leavesNoHandles();

  for (const [sentence, answer] of peers) {
    it(`${sentence}: calls and builds fail in time, and memory stays bounded`, async () => {
      const server = await rawServer(answer);
      const client = connect(server.endpoint, { callTimeoutMs });
      try {
        const used = await memoryOf(async () => {
          const far = AbortSignal.timeout(60_000);
          await Promise.all([
            daemonsFault(client.info(far), callTimeoutMs),
            daemonsFault(solve(client, { deadlineMs: callTimeoutMs }), callTimeoutMs),
          ]);
        });
        assert.ok(used < mostMemory, `${Math.round(used / mebibyte)} MiB`);
      } finally {
        client.close();
        try {
          await hungUp(server);
        } finally {
          await server.stop();
        }
      }
    });
  }
});
