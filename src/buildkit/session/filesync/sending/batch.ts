// Packets as gRPC messages, many in one buffer: entries and small files by the thousand must not cost a write each.
import { dataPacketHead, writeStat, type WireStat } from "../packets.ts";
import { WireWriter } from "../wire.ts";
import type { Chunks } from "./chunk-pool.ts";

/** Where framed messages go. The bytes belong to it from then on. A promise: wait for it before writing more. */
export type Outlet = (frames: Uint8Array) => Promise<void> | undefined;

/** Files up to this size are packed together; bigger ones go in chunks of their own. */
export const packedFileBytes = 64 * 1024;

/** What is packed together, at most; no chunk of a batch is shorter. */
export const batchBytes = 128 * 1024;
const headBytes = 32; // gRPC's five and the most that DATA has before its bytes

/** A growing buffer of messages; what is in it goes out when it is full, or when it is flushed. */
export class Batch {
  readonly #outlet: Outlet;
  readonly #entry = new WireWriter();
  readonly #packet = new WireWriter();
  readonly #chunks: Chunks;
  #bytes: Buffer | undefined;
  #used = 0;

  constructor(outlet: Outlet, chunks: Chunks) {
    this.#outlet = outlet;
    this.#chunks = chunks;
  }

  /** Adds an entry, or the list's end. */
  stat(stat: WireStat | undefined): Promise<void> | undefined {
    this.#packet.reset();
    if (stat !== undefined) {
      this.#entry.reset();
      writeStat(this.#entry, stat);
      this.#packet.bytes(0x12, this.#entry.written);
    }
    return this.#message(this.#packet.written);
  }

  /** Says that a file is complete. */
  endOfFile(id: number): Promise<void> | undefined {
    return this.#message(dataPacketHead(id, 0));
  }

  /** Whether so much data fits; flush if it does not. */
  hasRoom(length: number): boolean {
    return this.#used + headBytes + length <= batchBytes;
  }

  /** Adds data that `fill` writes, up to `length` bytes that there is room for; tells how many there were. */
  data(id: number, length: number, fill: (into: Buffer) => number): number {
    const bytes = this.#buffer();
    const guess = framedHead(id, length);
    const start = this.#used + guess.length;
    const count = fill(bytes.subarray(start, start + length));
    if (count === 0) return 0;
    const head = count === length ? guess : framedHead(id, count);
    if (head.length !== guess.length) {
      bytes.copyWithin(this.#used + head.length, start, start + count);
    }
    bytes.set(head, this.#used);
    this.#used += head.length + count;
    return count;
  }

  /** Sends what is there. */
  flush(): Promise<void> | undefined {
    if (this.#bytes === undefined || this.#used === 0) return undefined;
    const full = this.#bytes.subarray(0, this.#used);
    this.#bytes = undefined;
    this.#used = 0;
    return this.#outlet(full);
  }

  #buffer(): Buffer {
    this.#bytes ??= this.#chunks.take();
    return this.#bytes;
  }

  #message(message: Uint8Array): Promise<void> | undefined {
    if (!this.hasRoom(message.length)) {
      const full = this.flush();
      if (message.length + headBytes > batchBytes) return this.#alone(message, full);
      this.#append(message);
      return full;
    }
    this.#append(message);
    return undefined;
  }

  #append(message: Uint8Array): void {
    const bytes = this.#buffer();
    bytes[this.#used] = 0;
    bytes.writeUInt32BE(message.length, this.#used + 1);
    bytes.set(message, this.#used + 5);
    this.#used += 5 + message.length;
  }

  /** An entry with a name longer than any file system's. */
  #alone(message: Uint8Array, before: Promise<void> | undefined): Promise<void> | undefined {
    const frame = Buffer.allocUnsafeSlow(5 + message.length);
    frame[0] = 0;
    frame.writeUInt32BE(message.length, 1);
    frame.set(message, 5);
    return this.#outlet(frame) ?? before;
  }
}

/** All that is before the bytes of a DATA message. */
function framedHead(id: number, length: number): Buffer {
  const packet = dataPacketHead(id, length);
  const head = Buffer.allocUnsafe(5 + packet.length);
  head[0] = 0;
  head.writeUInt32BE(packet.length + length, 1);
  head.set(packet, 5);
  return head;
}

/** Length of the buffer for one big chunk, with room in front for what goes before it. */
export function chunkBufferBytes(length: number): number {
  return headBytes + length;
}

/** Where the chunk's data is in its buffer. */
export function chunkSpace(chunk: Buffer): Buffer {
  return chunk.subarray(headBytes);
}

/** The message for the first `count` bytes of a chunk's data. */
export function framedChunk(chunk: Buffer, id: number, count: number): Buffer {
  const head = framedHead(id, count);
  chunk.set(head, headBytes - head.length);
  return chunk.subarray(headBytes - head.length, headBytes + count);
}
