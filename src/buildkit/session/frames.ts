// gRPC's 5-byte message frames, and its header conventions. Pure.
import type { HeaderList } from "../http2/protocol.ts";

/** Messages to 16 MiB: the most a daemon may send us at once. */
export const maxMessageBytes = 16 * 1024 * 1024;

/** A message over `maxMessageBytes`. */
export class OversizedError extends RangeError {}

const headBytes = 5;

/** The frame head of a message of `length` bytes. */
export function frameHead(length: number): Buffer {
  const head = Buffer.allocUnsafe(5);
  head[0] = 0; // not compressed
  head.writeUInt32BE(length, 1);
  return head;
}

/** Cuts a byte stream into messages, whatever the chunks are. */
export class FrameReader {
  readonly #head = Buffer.alloc(headBytes);
  #headFilled = 0;
  /** What has come of a message that lies in several chunks. */
  #parts: Buffer[] = [];
  /** Bytes of the message that have to come yet; undefined between messages. */
  #missing: number | undefined;

  /**
   * The messages that are complete with this chunk, as parts of the chunks where they lie in one: only a message that
   * was cut is copied, and nothing beside it. Throws OversizedError for a message over the limit, another RangeError for
   * a compressed one or what is no frame.
   */
  push(chunk: Buffer): Buffer[] {
    const messages: Buffer[] = [];
    let at = 0;
    for (;;) {
      if (this.#missing === undefined) {
        if (at === chunk.length) return messages;
        at = this.#readHead(chunk, at);
        if (this.#missing === undefined) return messages;
      }
      const piece = chunk.subarray(at, at + this.#missing);
      at += piece.length;
      if (piece.length < this.#missing) {
        if (piece.length > 0) this.#parts.push(piece);
        this.#missing -= piece.length;
        return messages;
      }
      messages.push(this.#complete(piece));
    }
  }

  /** Whether a message was cut off. */
  get partial(): boolean {
    return this.#headFilled > 0 || this.#missing !== undefined;
  }

  /** Reads a head, or what there is of it; where it ends. */
  #readHead(chunk: Buffer, at: number): number {
    if (this.#headFilled === 0 && at + headBytes <= chunk.length) {
      this.#missing = sizeIn(chunk, at);
      return at + headBytes;
    }
    const copied = chunk.copy(this.#head, this.#headFilled, at);
    this.#headFilled += copied;
    if (this.#headFilled === headBytes) {
      this.#headFilled = 0;
      this.#missing = sizeIn(this.#head, 0);
    }
    return at + copied;
  }

  #complete(last: Buffer): Buffer {
    this.#missing = undefined;
    if (this.#parts.length === 0) return last;
    const parts = this.#parts;
    this.#parts = [];
    parts.push(last);
    return Buffer.concat(parts);
  }
}

function sizeIn(head: Buffer, at: number): number {
  if (head[at] !== 0) throw new RangeError("compressed messages are not supported");
  const size = head.readUInt32BE(at + 1);
  if (size > maxMessageBytes)
    throw new OversizedError(`a message of ${size} bytes is larger than ${maxMessageBytes}`);
  return size;
}

/** `grpc-message` is percent-encoded UTF-8 (PROTOCOL-HTTP2 of gRPC). */
export function encodeStatusMessage(message: string): string {
  let text = "";
  for (const byte of Buffer.from(message, "utf8")) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    text += plain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return text;
}

/** Undoes `encodeStatusMessage`; a message that is not encoded well stays as it is. */
export function decodeStatusMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * An HTTP/2 header list → metadata. Go's clients send one header per value, and query-escape values that
 * are not printable ASCII, with `<key>-encoded: 1` beside them (session/filesync, BuildKit v0.34.2).
 */
export function metadataOf(headers: HeaderList): Map<string, string[]> {
  const metadata = new Map<string, string[]>();
  for (const [name, value] of headers) {
    if (name.startsWith(":")) continue;
    const values = metadata.get(name);
    if (values === undefined) metadata.set(name, [value]);
    else values.push(value);
  }
  for (const [name, values] of metadata) {
    if (metadata.get(`${name}-encoded`)?.[0] === "1") metadata.set(name, values.map(queryUnescape));
  }
  return metadata;
}

/** Go's url.QueryUnescape; text that is no valid escape stays as it is. */
function queryUnescape(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}

/** Go's encoding of a header value: itself when printable ASCII, else query-escaped. */
export function headerValue(text: string): { value: string; encoded: boolean } {
  if (/^[\x20-\x7e]*$/.test(text)) return { value: text, encoded: false };
  return { value: encodeURIComponent(text).replaceAll("%20", "+"), encoded: true };
}
