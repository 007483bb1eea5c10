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

/** A message up to this size gets its memory when its head is read; a larger one as its bytes come. */
const promptBytes = 256 * 1024;

/** Cuts a byte stream into messages, whatever the chunks are. */
export class FrameReader {
  readonly #head = Buffer.alloc(headBytes);
  #headFilled = 0;
  /** What has come of a message that lies in several chunks: in one piece, or in parts. */
  #whole: Buffer | undefined;
  #parts: Buffer[] = [];
  /** Bytes of the message that have to come yet; undefined between messages. */
  #missing: number | undefined;
  #message: Buffer | undefined;

  /**
   * The messages that are complete with this chunk, in memory of their own. Throws OversizedError for a message over the
   * limit, another RangeError for a compressed one or what is no frame.
   */
  push(chunk: Buffer): Buffer[] {
    const messages: Buffer[] = [];
    for (let at = 0; at < chunk.length; ) {
      at = this.read(chunk, at);
      if (this.#message !== undefined) messages.push(this.#message);
    }
    return messages;
  }

  /** Reads the chunk from here to the end of a message, or all there is; where that is. Throws as `push` does. */
  read(chunk: Buffer, from: number): number {
    this.#message = undefined;
    let at = from;
    if (this.#missing === undefined) at = this.#readHead(chunk, at);
    if (this.#missing === undefined) return at;
    const end = Math.min(at + this.#missing, chunk.length);
    this.#keep(chunk, at, end);
    if (this.#missing === 0) this.#complete();
    return end;
  }

  /** The message that the last `read` has completed. */
  get message(): Buffer | undefined {
    return this.#message;
  }

  /** Whether a message was cut off. */
  get partial(): boolean {
    return this.#headFilled > 0 || this.#missing !== undefined;
  }

  /** Reads a head, or what there is of it; where it ends. */
  #readHead(chunk: Buffer, at: number): number {
    if (this.#headFilled === 0 && at + headBytes <= chunk.length) {
      this.#begin(sizeIn(chunk, at));
      return at + headBytes;
    }
    const copied = chunk.copy(this.#head, this.#headFilled, at);
    this.#headFilled += copied;
    if (this.#headFilled === headBytes) {
      this.#headFilled = 0;
      this.#begin(sizeIn(this.#head, 0));
    }
    return at + copied;
  }

  #begin(size: number): void {
    this.#missing = size;
    if (size <= promptBytes) this.#whole = Buffer.allocUnsafe(size);
  }

  #keep(chunk: Buffer, at: number, end: number): void {
    const missing = this.#missing ?? 0;
    if (this.#whole === undefined) this.#parts.push(Buffer.from(chunk.subarray(at, end)));
    else chunk.copy(this.#whole, this.#whole.length - missing, at, end);
    this.#missing = missing - (end - at);
  }

  #complete(): void {
    this.#message = this.#whole ?? Buffer.concat(this.#parts);
    this.#missing = undefined;
    this.#whole = undefined;
    this.#parts = [];
  }
}

/** Throws as FrameReader does. */
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
