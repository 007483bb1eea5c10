// HTTP/2 frames by hand, for peers that break the protocol itself.
import { createServer, type AddressInfo, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Endpoint } from "../../../../src/buildkit/index.ts";

/** Types of frames (RFC 9113 §6). */
export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** Flags of frames. */
export const flag = { ack: 1, endStream: 1, endHeaders: 4 } as const;

/** What a client sends first. */
export const preface: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** One frame. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A SETTINGS frame. */
export function settings(entries: Readonly<Record<number, number>> = {}): Buffer {
  const payload = Object.entries(entries).map(([id, value]) => {
    const entry = Buffer.alloc(6);
    entry.writeUInt16BE(Number(id), 0);
    entry.writeUInt32BE(value, 2);
    return entry;
  });
  return frame(frameType.settings, 0, 0, Buffer.concat(payload));
}

/** Four bytes, big-endian. */
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** HPACK: `:status: 200` and `content-type: application/grpc`, neither put in the table. */
export const grpcHead: Buffer = Buffer.concat([
  Buffer.from([0x88, 0x0f, 0x10]),
  Buffer.from([16]),
  Buffer.from("application/grpc"),
]);

/** HPACK: one literal header field that goes into the dynamic table (6.2.1). */
export function indexed(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0x40]), text(name), text(value)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest > 127; rest >>= 7) length.push((rest & 127) | 128);
  length.push(rest);
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** Writes the same bytes again and again at the pace of the reader, until it has gone or has `most` bytes. */
export async function flood(way: Duplex, bytes: Buffer, most: number): Promise<void> {
  for (let sent = 0; sent < most && !way.destroyed && way.writable; sent += bytes.length) {
    if (way.write(bytes)) continue;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        way.off("drain", go).off("close", go).off("error", go);
        resolve();
      };
      way.on("drain", go).on("close", go).on("error", go);
    });
  }
}

/** Bytes many times over, to fill a write. */
export function many(bytes: Buffer, count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => bytes));
}

/** Tells the stream of each HEADERS frame that a client sends. */
export function onHeaders(way: Duplex, listener: (stream: number) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  let skipped = false;
  way.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    if (!skipped && rest.length >= preface.length) {
      skipped = true;
      rest = rest.subarray(preface.length);
    }
    while (skipped && rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      if (rest[3] === frameType.headers) listener(rest.readUInt32BE(5));
      rest = rest.subarray(9 + rest.readUIntBE(0, 3));
    }
  });
}

/** A TCP server whose connections a test answers by hand. */
export interface RawServer {
  readonly endpoint: Endpoint;
  readonly sockets: ReadonlySet<Socket>;
  stop(): Promise<void>;
}

/** Starts it on a free port of this machine. */
export async function rawServer(answer: (socket: Socket) => void): Promise<RawServer> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("end", () => socket.destroy());
    socket.once("close", () => sockets.delete(socket));
    answer(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: { kind: "tcp", host: "127.0.0.1", port },
    sockets,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
