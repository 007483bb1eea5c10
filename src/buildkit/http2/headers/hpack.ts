// Header lists ↔ HPACK blocks (RFC 7541). Encodes with the static table and plain literals only; decodes everything.
import { staticTable } from "./hpack-tables.ts";
import { decodeHuffman } from "./huffman.ts";
import { errorCode, Http2Error, type HeaderList } from "../protocol.ts";

type Header = readonly [name: string, value: string];

/** What an entry costs beside its bytes (RFC 7541, 4.1). */
const entryOverhead = 32;

function sizeOf([name, value]: Header): number {
  return name.length + value.length + entryOverhead;
}

const namedIndex = new Map<string, number>();
const wholeIndex = new Map<string, number>();
staticTable.forEach(([name, value], index) => {
  if (!namedIndex.has(name)) namedIndex.set(name, index + 1);
  if (value !== "") wholeIndex.set(`${name}\0${value}`, index + 1);
});

/** Encodes a header list; names must be in lower case, values are taken as UTF-8. Keeps no state. */
export function encodeHeaders(headers: HeaderList): Buffer {
  const parts: Uint8Array[] = [];
  for (const [name, value] of headers) {
    const whole = wholeIndex.get(`${name}\0${value}`);
    if (whole !== undefined) {
      parts.push(integer(0x80, 7, whole));
      continue;
    }
    const named = namedIndex.get(name) ?? 0;
    parts.push(integer(0, 4, named));
    if (named === 0) pushText(parts, name);
    pushText(parts, value);
  }
  return Buffer.concat(parts);
}

function pushText(parts: Uint8Array[], text: string): void {
  const bytes = Buffer.from(text, "utf8");
  parts.push(integer(0, 7, bytes.length), bytes);
}

/** An integer behind `prefix` bits of which the upper ones are `high`. */
function integer(high: number, prefix: number, value: number): Uint8Array {
  const most = 2 ** prefix - 1;
  if (value < most) return Uint8Array.of(high | value);
  const bytes = [high | most];
  let rest = value - most;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

function malformed(why: string): Http2Error {
  return new Http2Error(errorCode.compressionError, why);
}

/** The bytes of one block, read from front to back. */
class BlockReader {
  readonly #block: Buffer;
  at = 0;

  constructor(block: Buffer) {
    this.#block = block;
  }

  get done(): boolean {
    return this.at >= this.#block.length;
  }

  get next(): number {
    const byte = this.#block[this.at];
    if (byte === undefined) throw malformed("a header block is cut off");
    return byte;
  }

  integer(prefix: number): number {
    const most = 2 ** prefix - 1;
    let value = this.next & most;
    this.at++;
    if (value < most) return value;
    for (let shift = 0; shift <= 28; shift += 7) {
      const byte = this.next;
      this.at++;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw malformed("a number in a header block is too large");
  }

  text(): string {
    const huffman = (this.next & 0x80) !== 0;
    const length = this.integer(7);
    const end = this.at + length;
    if (end > this.#block.length) throw malformed("a header block is cut off");
    const bytes = this.#block.subarray(this.at, end);
    this.at = end;
    return huffman ? decodeHuffman(bytes) : bytes.toString("latin1");
  }
}

/** What a block holds. */
export interface DecodedHeaders {
  readonly headers: HeaderList;
  /** The list was larger than allowed: `headers` is empty, but the decoder goes on in step with its peer. */
  readonly tooLarge: boolean;
}

/** The dynamic table of one direction of one connection. */
export class HeaderDecoder {
  readonly #maxTableBytes: number;
  readonly #maxListBytes: number;
  /** The newest first. */
  readonly #dynamic: Header[] = [];
  #tableBytes = 0;
  #tableLimit: number;

  /** `maxTableBytes` is what our settings say, `maxListBytes` counts 32 bytes more for each header. */
  constructor({ maxTableBytes, maxListBytes }: { maxTableBytes: number; maxListBytes: number }) {
    this.#maxTableBytes = maxTableBytes;
    this.#tableLimit = maxTableBytes;
    this.#maxListBytes = maxListBytes;
  }

  /** Decodes a whole block, values as Latin-1. Throws Http2Error COMPRESSION_ERROR: the connection is lost. */
  decode(block: Buffer): DecodedHeaders {
    const reader = new BlockReader(block);
    const headers: Header[] = [];
    let bytes = 0;
    while (!reader.done) {
      const header = this.#field(reader, bytes === 0);
      if (header === undefined) continue;
      bytes += sizeOf(header);
      if (bytes <= this.#maxListBytes) headers.push(header);
    }
    const tooLarge = bytes > this.#maxListBytes;
    return { headers: tooLarge ? [] : headers, tooLarge };
  }

  /** The next header; undefined for a change of the table's size, which may stand only at the start. */
  #field(reader: BlockReader, atStart: boolean): Header | undefined {
    const byte = reader.next;
    if (byte >= 0x80) return this.#indexed(reader.integer(7));
    if (byte >= 0x40) {
      const header = this.#literal(reader, 6);
      this.#add(header);
      return header;
    }
    if (byte < 0x20) return this.#literal(reader, 4);
    if (!atStart) throw malformed("a table size stands between headers");
    this.#resize(reader.integer(5));
    return undefined;
  }

  #literal(reader: BlockReader, prefix: number): Header {
    const index = reader.integer(prefix);
    const name = index === 0 ? reader.text() : this.#indexed(index)[0];
    return [name, reader.text()];
  }

  #indexed(index: number): Header {
    const header =
      index <= staticTable.length
        ? staticTable[index - 1]
        : this.#dynamic[index - staticTable.length - 1];
    if (header === undefined) throw malformed(`a header block names the unknown index ${index}`);
    return header;
  }

  #add(header: Header): void {
    this.#dynamic.unshift(header);
    this.#tableBytes += sizeOf(header);
    this.#evict();
  }

  #resize(bytes: number): void {
    if (bytes > this.#maxTableBytes) throw malformed("a header table is larger than allowed");
    this.#tableLimit = bytes;
    this.#evict();
  }

  /** An entry larger than the table empties it, itself included. */
  #evict(): void {
    while (this.#tableBytes > this.#tableLimit) {
      const oldest = this.#dynamic.pop();
      if (oldest === undefined) return;
      this.#tableBytes -= sizeOf(oldest);
    }
  }
}
