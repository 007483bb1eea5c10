// The packets of fsutil, written and read by hand: a build sends one per file and per chunk. Pure.
// Fields as in proto/fsutil/types/wire.proto; a test holds this against the generated code.

/** Kinds of packets. */
export const packetType = { stat: 0, request: 1, data: 2, fin: 3, error: 4 } as const;

/** What a receiver sends. */
export interface ReceivedPacket {
  readonly type: number;
  readonly id: number;
  readonly data: Buffer;
}

/** An entry on the wire. */
export interface WireStat {
  readonly path: string;
  readonly mode: number;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly linkname: string;
  readonly devmajor: number;
  readonly devminor: number;
}

/** Bytes of one growing message. */
class Writer {
  #bytes = Buffer.allocUnsafe(128);
  #length = 0;

  varint(value: number): this {
    this.#reserve(10);
    let rest = value;
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
    return this;
  }

  /** A number field, left out when 0. */
  number(tag: number, value: number): this {
    return value === 0 ? this : this.varint(tag).varint(value);
  }

  /** A signed 64-bit field, left out when 0; a negative one takes ten bytes. */
  int64(tag: number, value: bigint): this {
    if (value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER))
      return this.number(tag, Number(value));
    this.varint(tag);
    this.#reserve(10);
    let rest = BigInt.asUintN(64, value);
    while (rest > 0x7fn) {
      this.#bytes[this.#length++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#bytes[this.#length++] = Number(rest);
    return this;
  }

  text(tag: number, value: string): this {
    if (value === "") return this;
    const size = Buffer.byteLength(value);
    this.varint(tag).varint(size);
    this.#reserve(size);
    this.#length += this.#bytes.write(value, this.#length, "utf8");
    return this;
  }

  bytes(tag: number, value: Uint8Array): this {
    this.varint(tag).varint(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  done(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const bigger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + count));
    this.#bytes.copy(bigger, 0, 0, this.#length);
    this.#bytes = bigger;
  }
}

/** A STAT packet; without an entry: the end of the list. Type 0 is not written. */
export function statPacket(stat?: WireStat): Buffer {
  if (stat === undefined) return Buffer.alloc(0);
  const entry = new Writer()
    .text(0x0a, stat.path)
    .number(0x10, stat.mode)
    .number(0x28, stat.size)
    .int64(0x30, stat.mtimeNs)
    .text(0x3a, stat.linkname)
    .number(0x40, stat.devmajor)
    .number(0x48, stat.devminor);
  return new Writer().bytes(0x12, entry.done()).done();
}

/** A DATA packet up to its bytes, which follow as they are; 0 bytes say that the file is complete. */
export function dataPacketHead(id: number, length: number): Buffer {
  const head = new Writer().number(0x08, packetType.data).number(0x18, id);
  return (length === 0 ? head : head.varint(0x22).varint(length)).done();
}

/** FIN. */
export function finPacket(): Buffer {
  return new Writer().number(0x08, packetType.fin).done();
}

/** ERR with a message for the person who builds. */
export function errorPacket(message: string): Buffer {
  return new Writer().number(0x08, packetType.error).text(0x22, message).done();
}

/** Reads a packet of a receiver; unknown fields are skipped. Throws RangeError when it is cut off or malformed. */
export function readPacket(bytes: Buffer): ReceivedPacket {
  const packet: { type: number; id: number; data: Buffer } = {
    type: 0,
    id: 0,
    data: Buffer.alloc(0),
  };
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 64; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError("malformed packet");
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag % 8 === 0) {
      const value = varint();
      if (tag === 0x08) packet.type = value;
      if (tag === 0x18) packet.id = value;
    } else if (tag % 8 === 2) {
      const end = varint() + at;
      if (end > bytes.length) throw new RangeError("malformed packet");
      if (tag === 0x22) packet.data = bytes.subarray(at, end);
      at = end;
    } else throw new RangeError("malformed packet");
  }
  return packet;
}
