// Protobuf's wire format by hand: the messages of a sync come by the hundred thousand. Pure.
// What is refused is what BuildKit v0.34.2's generated code (vtprotobuf) refuses; a fuzz run holds both together.

/** Numbers beyond this lose digits as a JavaScript number. */
const maxSafe = Number.MAX_SAFE_INTEGER;

function malformed(): RangeError {
  return new RangeError("malformed packet");
}

/** Bytes of one growing message; may be used again after `reset`. */
export class WireWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  /** What was written so far; valid until the next write or reset. */
  get written(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  get length(): number {
    return this.#length;
  }

  reset(): void {
    this.#length = 0;
  }

  /** An unsigned number, up to 2^53 - 1. */
  varint(value: number): this {
    this.#reserve(10);
    let rest = value;
    while (rest > 0x7fffffff) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
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
    if (value === 0n) return this;
    this.varint(tag);
    this.#reserve(10);
    // In two halves: each operation on a bigint allocates.
    let low = Number(BigInt.asUintN(32, value));
    let high = Number(BigInt.asUintN(32, value >> 32n));
    while (high !== 0 || low > 0x7f) {
      this.#bytes[this.#length++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.#bytes[this.#length++] = low;
    return this;
  }

  bytes(tag: number, value: Uint8Array): this {
    this.varint(tag).varint(value.length);
    return this.raw(value);
  }

  /** Bytes without a tag. */
  raw(value: Uint8Array): this {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** A string field in UTF-8, left out when empty. */
  text(tag: number, value: string): this {
    if (value === "") return this;
    this.varint(tag);
    this.#reserve(value.length * 3 + 5);
    if (value.length < 42) {
      // Never more than 127 bytes: the length is one byte, and known afterwards.
      const size = this.#bytes.write(value, this.#length + 1, "utf8");
      this.#bytes[this.#length] = size;
      this.#length += 1 + size;
      return this;
    }
    this.varint(Buffer.byteLength(value));
    this.#length += this.#bytes.write(value, this.#length, "utf8");
    return this;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const bigger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + count));
    this.#bytes.copy(bigger, 0, 0, this.#length);
    this.#bytes = bigger;
  }
}

/** Wire types. */
export const wireType = { varint: 0, fixed64: 1, bytes: 2, groupStart: 3, groupEnd: 4, fixed32: 5 };

/** Reads one message, field by field. Everything throws RangeError for bytes that are cut off or malformed. */
export class WireReader {
  readonly #bytes: Buffer;
  #at = 0;
  /** The varint that was read last, in unsigned halves. */
  #low = 0;
  #high = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** The next tag: field number and wire type. */
  tag(): { field: number; type: number } {
    this.#varint();
    const field = (this.#low >>> 3) | (this.#high << 29) | 0;
    const type = this.#low & 7;
    if (type === wireType.groupEnd || field <= 0) throw malformed();
    return { field, type };
  }

  /** A uint32: higher bits are dropped. */
  uint32(type: number): number {
    this.#expect(type, wireType.varint);
    this.#varint();
    return this.#low;
  }

  int64(type: number): bigint {
    this.#expect(type, wireType.varint);
    this.#varint();
    if (this.#high === 0) return BigInt(this.#low);
    return BigInt.asIntN(64, (BigInt(this.#high) << 32n) | BigInt(this.#low));
  }

  /** An int64 as a number; NaN where no number holds it, for a later field of the same kind may replace it. */
  integer(type: number): number {
    this.#expect(type, wireType.varint);
    this.#varint();
    const value = (this.#high | 0) * 0x1_0000_0000 + this.#low;
    return value > maxSafe || value < -maxSafe ? Number.NaN : value;
  }

  /** Bytes of a length-delimited field: a view. */
  bytes(type: number): Buffer {
    this.#expect(type, wireType.bytes);
    const length = this.#length();
    const start = this.#at;
    if (length > this.#bytes.length - start) throw malformed();
    this.#at += length;
    return this.#bytes.subarray(start, this.#at);
  }

  /** Passes over the value of an unknown field. */
  skip(type: number): void {
    let depth = 0;
    for (let next = type; ; ) {
      depth += this.#skipValue(next);
      if (depth < 0) throw malformed();
      if (depth === 0) return;
      if (this.done) throw malformed();
      this.#varint();
      next = this.#low & 7;
    }
  }

  /** How much deeper in groups we are behind it. */
  #skipValue(type: number): number {
    switch (type) {
      case wireType.varint:
        this.#varint();
        return 0;
      case wireType.fixed64:
        this.#advance(8);
        return 0;
      case wireType.bytes:
        this.#advance(this.#length());
        return 0;
      case wireType.groupStart:
        return 1;
      case wireType.groupEnd:
        return -1;
      case wireType.fixed32:
        this.#advance(4);
        return 0;
      default:
        throw malformed();
    }
  }

  #advance(count: number): void {
    if (count > this.#bytes.length - this.#at) throw malformed();
    this.#at += count;
  }

  #length(): number {
    this.#varint();
    if (this.#high !== 0) throw malformed(); // negative to Go, or beyond any message
    return this.#low;
  }

  #expect(type: number, wanted: number): void {
    if (type !== wanted) throw malformed();
  }

  #varint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw malformed();
      const bits = byte & 0x7f;
      if (shift < 32) low |= bits << shift;
      if (shift > 28) high |= bits << (shift - 32);
      else if (shift === 28) high |= bits >>> 4;
      if (byte < 0x80) {
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    throw malformed();
  }
}
