// gRPC's 5-byte message frames, and its header conventions. Pure.
import type { HeaderList } from "../http2/protocol.ts";

/** Messages to 16 MiB: the most a daemon may send us at once. */
export const maxMessageBytes = 16 * 1024 * 1024;

/** A message over `maxMessageBytes`. */
export class OversizedError extends RangeError {}

/** The frame head of a message of `length` bytes. */
export function frameHead(length: number): Buffer {
  const head = Buffer.allocUnsafe(5);
  head[0] = 0; // not compressed
  head.writeUInt32BE(length, 1);
  return head;
}

/** Cuts a byte stream into messages, whatever the chunks are. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #length = 0;

  /**
   * The messages that are complete with this chunk, as parts of the chunks where they lie in one. Throws
   * OversizedError for a message over the limit, another RangeError for a compressed one or what is no frame.
   */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    const messages: Buffer[] = [];
    for (;;) {
      const size = this.#nextSize();
      if (size === undefined || this.#length < 5 + size) return messages;
      messages.push(this.#take(5 + size).subarray(5));
    }
  }

  /** Whether a message was cut off. */
  get partial(): boolean {
    return this.#length > 0;
  }

  #nextSize(): number | undefined {
    if (this.#length < 5) return undefined;
    const first = this.#chunks[0];
    const head = first !== undefined && first.length >= 5 ? first : this.#join();
    if (head[0] !== 0) throw new RangeError("compressed messages are not supported");
    const size = head.readUInt32BE(1);
    if (size > maxMessageBytes)
      throw new OversizedError(`a message of ${size} bytes is larger than ${maxMessageBytes}`);
    return size;
  }

  #join(): Buffer {
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }

  #take(count: number): Buffer {
    const first = this.#chunks[0];
    const all = first !== undefined && first.length >= count ? first : this.#join();
    const rest = all.subarray(count);
    if (rest.length === 0) this.#chunks.shift();
    else this.#chunks[0] = rest;
    this.#length -= count;
    return all.subarray(0, count);
  }
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
