// The stream of BytesMessage inside Control.Session, read and written as a stream of bytes: a message is never
// put together (the daemon writes tar output in messages of 4 KiB). Pure.
import { maxMessageBytes, OversizedError } from "./frames.ts";

const dataTag = 0x0a; // field 1, bytes (moby.buildkit.v1.BytesMessage)

/** Frame head, tag, and the longest length. */
const usualHeadBytes = 5 + 1 + 4;

/** What the reader is at: the frame's head, a field's tag, a field's length, bytes of it. */
type Place = "head" | "tag" | "length" | "data" | "skip" | "value";

/** Cuts the bytes out of the messages, whatever the chunks are. */
export class BytesMessageReader {
  readonly #take: (bytes: Buffer) => void;
  #place: Place = "head";
  #headBytes = 0;
  /** Bytes of the message, and of the field, that have to come yet. */
  #message = 0;
  #field = 0;
  #tag = 0;
  #number = 0;
  #shift = 0;

  constructor(take: (bytes: Buffer) => void) {
    this.#take = take;
  }

  /** Whether a message was cut off. */
  get partial(): boolean {
    return this.#place !== "head" || this.#headBytes > 0;
  }

  /** Throws RangeError for what is no stream of BytesMessages. What is taken is a part of the chunk. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#place === "head" && this.#headBytes === 0) at = this.#usual(chunk, at);
      if (at === chunk.length) return;
      if (this.#place === "data" || this.#place === "skip") {
        const piece = chunk.subarray(at, at + this.#field);
        at += piece.length;
        this.#field -= piece.length;
        this.#message -= piece.length;
        if (this.#place === "data") this.#take(piece);
        if (this.#field === 0) this.#next();
      } else this.#byte(chunk[at++] ?? 0);
    }
  }

  /** The way in which every sender writes a message, read at once; where its data begins. Else nothing is read. */
  #usual(chunk: Buffer, at: number): number {
    if (at + usualHeadBytes > chunk.length) return at;
    const message = chunk.readUInt32BE(at + 1);
    if (chunk[at] !== 0 || chunk[at + 5] !== dataTag || message > maxMessageBytes) return at;
    let next = at + 6;
    let byte = 0x80;
    let length = 0;
    for (let shift = 0; shift < 28 && byte >= 0x80; shift += 7) {
      byte = chunk[next++] ?? 0;
      length |= (byte & 0x7f) << shift;
    }
    const isAll = byte < 0x80 && next - (at + 5) + length === message;
    if (length === 0 || !isAll) return at;
    this.#place = "data";
    this.#tag = dataTag;
    this.#message = length;
    this.#field = length;
    return next;
  }

  #byte(byte: number): void {
    if (this.#place === "head") {
      this.#headByte(byte);
      return;
    }
    this.#message--;
    if (this.#varint(byte)) this.#complete();
    else if (this.#message === 0) throw malformed();
  }

  /** A number is complete: a tag, a length, or a value that nobody needs. */
  #complete(): void {
    const number = this.#number;
    if (this.#place === "value") this.#next();
    else if (this.#place === "tag") {
      this.#tag = number;
      if (number % 8 !== 0 && number % 8 !== 2) throw malformed();
      this.#begin(number % 8 === 0 ? "value" : "length");
      if (this.#message === 0) throw malformed();
    } else {
      if (number > this.#message) throw malformed();
      this.#field = number;
      if (number === 0) this.#next();
      else this.#place = this.#tag === dataTag ? "data" : "skip";
    }
  }

  #headByte(byte: number): void {
    if (this.#headBytes++ === 0) {
      if (byte !== 0) throw new RangeError("compressed messages are not supported");
      this.#message = 0;
      return;
    }
    this.#message = this.#message * 256 + byte;
    if (this.#headBytes < 5) return;
    if (this.#message > maxMessageBytes)
      throw new OversizedError(`a message of ${this.#message} bytes is too large`);
    this.#next();
  }

  /** The next field, or the next message. */
  #next(): void {
    this.#headBytes = 0;
    this.#begin(this.#message === 0 ? "head" : "tag");
  }

  #begin(place: Place): void {
    this.#place = place;
    this.#number = 0;
    this.#shift = 0;
  }

  /** True when the number is complete. */
  #varint(byte: number): boolean {
    if (this.#shift > 63) throw malformed();
    this.#number += (byte & 0x7f) * 2 ** this.#shift;
    this.#shift += 7;
    return byte < 0x80;
  }
}

function malformed(): RangeError {
  return new RangeError("malformed BytesMessage");
}

/** What stands before `length` bytes to make them one message in its gRPC frame. */
export function bytesMessageHead(length: number): Buffer {
  const head = Buffer.alloc(5 + 1 + 5);
  let at = 5;
  head[at++] = dataTag;
  let rest = length;
  for (; rest > 0x7f; rest >>>= 7) head[at++] = (rest & 0x7f) | 0x80;
  head[at++] = rest;
  head.writeUInt32BE(at - 5 + length, 1);
  return head.subarray(0, at);
}
