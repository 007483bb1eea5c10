// The stream of BytesMessage inside Control.Session, read and written as a stream of bytes: a message is never
// put together (the daemon writes tar output in messages of 4 KiB). Pure.
import { maxMessageBytes } from "./frames.ts";

const dataTag = 0x0a; // field 1, bytes (moby.buildkit.v1.BytesMessage)

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

  /** Throws RangeError for what is no stream of BytesMessages. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
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
      throw new RangeError(`a message of ${this.#message} bytes is too large`);
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
