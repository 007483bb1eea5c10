// The gRPC messages that come in on an HTTP/2 stream, for a reader with a pace of its own.
import { grpcStatus } from "../errors/grpc-status.ts";
import type { Http2Stream } from "../http2/stream.ts";
import { SessionError } from "./attachable.ts";
import { FrameReader, OversizedError } from "./frames.ts";

/** From so many waiting messages on, small ones are copied, for each may keep a whole read buffer alive. */
const copyAfter = 256;
const copyBelowBytes = 8 * 1024;

/**
 * Holds what is not read yet. The peer's credit follows the reader: bytes are given back when it asks for more
 * than it was handed. A message that is larger than the window comes in because a waiting reader is credited for
 * its parts.
 */
export class MessageQueue {
  readonly #stream: Http2Stream;
  readonly #reader = new FrameReader();
  #waiting: Buffer[] = [];
  /** Frame bytes of `#waiting`, of what the reader holds, and of all that is not credited yet. */
  #waitingBytes = 0;
  #handedBytes = 0;
  #uncredited = 0;
  #wake: (() => void) | undefined;
  #over: { readonly error?: unknown } | undefined;
  #left = false;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
  }

  /** Takes bytes of the stream. */
  push(chunk: Buffer): void {
    this.#uncredited += chunk.length;
    if (this.#left || this.#over !== undefined) {
      this.#credit();
      return;
    }
    let messages: Buffer[];
    try {
      messages = this.#reader.push(chunk);
    } catch (error) {
      const why = error instanceof Error ? error.message : "malformed";
      const code =
        error instanceof OversizedError ? grpcStatus.resourceExhausted : grpcStatus.internal;
      this.end(new SessionError(code, why));
      return;
    }
    for (const message of messages) {
      this.#waitingBytes += 5 + message.length;
      const crowded = this.#waiting.length >= copyAfter && message.length < copyBelowBytes;
      this.#waiting.push(crowded ? Buffer.from(message) : message);
    }
    if (this.#wake === undefined) return;
    if (messages.length > 0) this.#wake();
    else this.#credit();
  }

  /** No more comes. With an error, the reader gets it after the messages. A message that is cut off is one, too. */
  end(error?: unknown): void {
    if (this.#over !== undefined) return;
    const cutOff = (): object =>
      this.#reader.partial
        ? { error: new SessionError(grpcStatus.internal, "a message was cut off") }
        : {};
    this.#over = error === undefined ? cutOff() : { error };
    this.#wake?.();
  }

  /** The messages that came in together, in one array each time. */
  async *batches(): AsyncGenerator<readonly Buffer[], void, undefined> {
    try {
      for (;;) {
        this.#handedBytes = 0;
        this.#credit();
        if (this.#waiting.length === 0) {
          if (this.#over !== undefined) break;
          await new Promise<void>((resolve) => (this.#wake = resolve));
          this.#wake = undefined;
          continue;
        }
        const batch = this.#waiting;
        this.#waiting = [];
        this.#handedBytes = this.#waitingBytes;
        this.#waitingBytes = 0;
        yield batch;
      }
      if (this.#over.error !== undefined) throw this.#over.error;
    } finally {
      this.#left = true;
      this.#waiting = [];
      this.#waitingBytes = 0;
      this.#handedBytes = 0;
      this.#credit();
    }
  }

  /** One by one; read either this or `batches`. */
  async *messages(): AsyncGenerator<Buffer, void, undefined> {
    for await (const batch of this.batches()) yield* batch;
  }

  #credit(): void {
    const bytes = this.#uncredited - this.#waitingBytes - this.#handedBytes;
    this.#uncredited -= bytes;
    this.#stream.consumed(bytes);
  }
}
