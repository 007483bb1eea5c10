// The packets that a sender of files says, out of any chunks of gRPC frames: bytes of files in the pieces that they
// come in, so that a gigabyte costs no buffer a message; all other packets whole. Pure.
import { FrameReader, maxMessageBytes } from "../frames.ts";
import { packetType, readPacket, type Packet } from "../filesync/packets.ts";

/** Who takes what is read. */
export interface PacketTaker {
  /** Bytes of a file, never none, there during the call only. */
  data(id: number, bytes: Buffer): void;
  /** Any other packet, DATA without bytes among them. Its memory is its own. */
  packet(packet: Packet): void;
}

const frameBytes = 5;

/** A number, and where it ends. */
interface Varint {
  readonly value: number;
  readonly end: number;
}

/** Reads one stream. */
export class PacketReader {
  readonly #taker: PacketTaker;
  readonly #frames = new FrameReader();
  #id = 0;
  /** Bytes of DATA that have to come yet. */
  #left = 0;

  constructor(taker: PacketTaker) {
    this.#taker = taker;
  }

  /** Whether a message was cut off. */
  get partial(): boolean {
    return this.#left > 0 || this.#frames.partial;
  }

  /** Throws OversizedError, RangeError for what is malformed, or what the taker throws. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left === 0 && !this.#frames.partial) at = this.#dataHead(chunk, at);
      if (this.#left === 0) {
        at = this.#frames.read(chunk, at);
        const { message } = this.#frames;
        if (message !== undefined) this.#whole(message);
      } else if (at < chunk.length) {
        const piece = chunk.subarray(at, at + this.#left);
        at += piece.length;
        this.#left -= piece.length;
        this.#taker.data(this.#id, piece);
      }
    }
  }

  #whole(message: Buffer): void {
    const packet = readPacket(message);
    if (packet.type === packetType.data && packet.data.length > 0)
      this.#taker.data(packet.id, packet.data);
    else this.#taker.packet(packet);
  }

  /** Where the bytes of a DATA begin that is written as all senders write it. Else nothing is read. */
  #dataHead(chunk: Buffer, at: number): number {
    const start = at + frameBytes;
    if (chunk[at] !== 0 || chunk[start] !== 0x08 || chunk[start + 1] !== packetType.data) return at;
    let id = 0;
    let next = start + 2;
    if (chunk[next] === 0x18) {
      const number = varint(chunk, next + 1);
      if (number === undefined) return at;
      id = number.value;
      next = number.end;
    }
    const length = chunk[next] === 0x22 ? varint(chunk, next + 1) : undefined;
    const message = chunk.readUInt32BE(at + 1);
    if (length === undefined || length.end - start + length.value !== message) return at;
    if (message > maxMessageBytes) return at;
    this.#id = id;
    this.#left = length.value;
    return length.value === 0 ? at : length.end;
  }
}

/** A number of up to 28 bits; undefined when it is longer, or cut off. */
function varint(chunk: Buffer, at: number): Varint | undefined {
  let value = 0;
  for (let [next, shift] = [at, 0]; shift < 28; shift += 7) {
    const byte = chunk[next++] ?? 0x80;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return { value, end: next };
  }
  return undefined;
}
