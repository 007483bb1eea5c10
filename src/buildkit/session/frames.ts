// gRPC's 5-byte message frames, and its header conventions. Pure.

/** Messages to 16 MiB: the most a daemon may send us at once. */
export const maxMessageBytes = 16 * 1024 * 1024;

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

  /** The messages that are complete with this chunk. Throws RangeError for compressed or oversized ones. */
  *push(chunk: Buffer): Generator<Buffer, void, undefined> {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    for (;;) {
      const size = this.#nextSize();
      if (size === undefined || this.#length < 5 + size) return;
      yield this.#take(5 + size).subarray(5);
    }
  }

  /** Whether a message was cut off. */
  get partial(): boolean {
    return this.#length > 0;
  }

  #nextSize(): number | undefined {
    if (this.#length < 5) return undefined;
    const head = this.#peek();
    if (head[0] !== 0) throw new RangeError("compressed messages are not supported");
    const size = head.readUInt32BE(1);
    if (size > maxMessageBytes) throw new RangeError(`a message of ${size} bytes is too large`);
    return size;
  }

  #peek(): Buffer {
    const first = this.#chunks[0] ?? Buffer.alloc(0);
    return first.length >= 5 ? first : this.#join();
  }

  #join(): Buffer {
    const all = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    this.#chunks = [all ?? Buffer.alloc(0)];
    return this.#chunks[0] ?? Buffer.alloc(0);
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

/**
 * A raw HTTP/2 header list → metadata. Go's clients send one header per value, and query-escape values that
 * are not printable ASCII, with `<key>-encoded: 1` beside them (session/filesync, BuildKit v0.34.2).
 */
export function metadataOf(rawHeaders: readonly string[]): Map<string, string[]> {
  const metadata = new Map<string, string[]>();
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? "").toLowerCase();
    if (name.startsWith(":")) continue;
    const values = metadata.get(name);
    if (values === undefined) metadata.set(name, [rawHeaders[index + 1] ?? ""]);
    else values.push(rawHeaders[index + 1] ?? "");
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
