// Cuts a byte stream into HTTP/2 frames, whatever the chunks are. Pure.
import {
  defaultFrameBytes,
  errorCode,
  flag,
  frameHeadBytes,
  frameType,
  Http2Error,
  preface,
} from "./protocol.ts";

/** The head of a frame. */
export interface FrameHead {
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
}

/** Who takes the frames; what it throws ends the parsing. */
export interface FrameHandler {
  /**
   * The payload of DATA, in the pieces that it came in; the last one has `end` when END_STREAM is set. All bytes are
   * there during the call only.
   */
  data(streamId: number, chunk: Buffer, end: boolean): void;
  /** Any other frame, and DATA with padding, whole. */
  frame(head: FrameHead, payload: Buffer): void;
}

const nothing = Buffer.alloc(0);

/** The parser of one direction. */
export class FrameParser {
  readonly #handler: FrameHandler;
  readonly #headBytes = Buffer.alloc(frameHeadBytes);
  #headFilled = 0;
  /** Bytes of the preface that have to come yet. */
  #prefaceLeft: number;
  #head: FrameHead | undefined;
  /** Payload bytes of `#head` that have to come yet. */
  #left = 0;
  #parts: Buffer[] = [];

  /** With `expectPreface`, the client's magic bytes must come first. */
  constructor(handler: FrameHandler, expectPreface: boolean) {
    this.#handler = handler;
    this.#prefaceLeft = expectPreface ? preface.length : 0;
  }

  /** Throws Http2Error: PROTOCOL_ERROR for a wrong preface, FRAME_SIZE_ERROR, or what the handler throws. */
  push(chunk: Buffer): void {
    let at = this.#prefaceLeft > 0 ? this.#skipPreface(chunk) : 0;
    while (at < chunk.length) {
      const head = this.#head;
      if (head === undefined) {
        at = this.#readHead(chunk, at);
        continue;
      }
      const piece = chunk.subarray(at, at + this.#left);
      at += piece.length;
      this.#left -= piece.length;
      this.#payload(head, piece);
    }
  }

  #skipPreface(chunk: Buffer): number {
    const from = preface.length - this.#prefaceLeft;
    const seen = chunk.subarray(0, this.#prefaceLeft);
    if (!seen.equals(preface.subarray(from, from + seen.length)))
      throw new Http2Error(errorCode.protocolError, "the peer does not speak HTTP/2");
    this.#prefaceLeft -= seen.length;
    return seen.length;
  }

  #readHead(chunk: Buffer, at: number): number {
    if (this.#headFilled === 0 && at + frameHeadBytes <= chunk.length) {
      this.#begin(chunk, at);
      return at + frameHeadBytes;
    }
    const copied = chunk.copy(this.#headBytes, this.#headFilled, at);
    this.#headFilled += copied;
    if (this.#headFilled === frameHeadBytes) {
      this.#headFilled = 0;
      this.#begin(this.#headBytes, 0);
    }
    return at + copied;
  }

  #begin(bytes: Buffer, at: number): void {
    const word = bytes.readUInt32BE(at);
    const length = word >>> 8;
    if (length > defaultFrameBytes)
      throw new Http2Error(errorCode.frameSizeError, `a frame has ${length} bytes`);
    const head: FrameHead = {
      length,
      type: word & 0xff,
      flags: bytes[at + 4] ?? 0,
      streamId: bytes.readUInt32BE(at + 5) & 0x7fffffff,
    };
    this.#head = head;
    this.#left = length;
    if (length === 0) this.#payload(head, nothing);
  }

  #payload(head: FrameHead, piece: Buffer): void {
    const last = this.#left === 0;
    if (last) this.#head = undefined;
    if (head.type === frameType.data && (head.flags & flag.padded) === 0) {
      this.#handler.data(head.streamId, piece, last && (head.flags & flag.endStream) !== 0);
      return;
    }
    if (!last) {
      this.#parts.push(Buffer.from(piece));
      return;
    }
    const parts = this.#parts;
    if (parts.length === 0) {
      this.#handler.frame(head, piece);
      return;
    }
    this.#parts = [];
    parts.push(piece);
    this.#handler.frame(head, Buffer.concat(parts));
  }
}
