// The gRPC messages that come in on an HTTP/2 stream, for a reader with a pace of its own.
import { grpcStatus } from "../errors/grpc-status.ts";
import type { Http2Stream } from "../http2/stream.ts";
import { SessionError, type FrameTaker } from "./attachable.ts";
import { FrameReader, OversizedError } from "./frames.ts";

/** How a call fails whose frames can't be read. */
export function frameFault(error: unknown): SessionError {
  const why = error instanceof Error ? error.message : "malformed";
  return new SessionError(
    error instanceof OversizedError ? grpcStatus.resourceExhausted : grpcStatus.internal,
    why,
  );
}

/** How a call fails whose last message is not whole. */
export function cutOff(): SessionError {
  return new SessionError(grpcStatus.internal, "a message was cut off");
}

/**
 * Holds what is not read yet. The peer's credit follows the reader: bytes are given back when it asks for more
 * than it was handed. A message that is larger than the window comes in because a waiting reader is credited for
 * its parts.
 */
export class MessageQueue {
  readonly #stream: Http2Stream;
  readonly #reader = new FrameReader();
  /** What came before it was known how it is read. */
  #early: Buffer[] | undefined = [];
  /** Takes chunks as they come, when that is how they are read. */
  #hand: ((chunk: Buffer) => void) | undefined;
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
    if (this.#left || this.#over !== undefined) this.#stream.consumed(chunk.length);
    else if (this.#early !== undefined) this.#early.push(Buffer.from(chunk));
    else if (this.#hand !== undefined) this.#hand(chunk);
    else this.#cut(chunk);
  }

  /** No more comes. With an error, the reader gets it after the messages. A message that is cut off is one, too. */
  end(error?: unknown): void {
    if (this.#over !== undefined) return;
    this.#over = error === undefined ? {} : { error };
    this.#wake?.();
  }

  /** The messages that came in together, in one array each time. */
  async *batches(): AsyncGenerator<readonly Buffer[], void, undefined> {
    try {
      for (const chunk of this.#takeEarly()) this.#cut(chunk);
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
      if (this.#reader.partial) throw cutOff();
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

  /** As MessageStream says. */
  async readFrames(take: FrameTaker): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const hand = (chunk: Buffer): void => {
      const bytes = chunk.length;
      try {
        const room = this.#left ? undefined : take(chunk);
        if (room === undefined) this.#stream.consumed(bytes);
        else void room.then(() => this.#stream.consumed(bytes), reject);
      } catch (error) {
        this.#left = true;
        this.#stream.consumed(bytes);
        reject(error);
      }
    };
    this.#wake = () => {
      if (this.#over?.error === undefined) resolve();
      else reject(this.#over.error);
    };
    for (const chunk of this.#takeEarly()) hand(chunk);
    this.#hand = hand;
    if (this.#over !== undefined) this.#wake();
    try {
      await promise;
    } finally {
      this.#left = true;
    }
  }

  #takeEarly(): readonly Buffer[] {
    const early = this.#early ?? [];
    this.#early = undefined;
    return early;
  }

  /** Cuts a chunk into messages for `batches`. */
  #cut(chunk: Buffer): void {
    this.#uncredited += chunk.length;
    let messages: Buffer[];
    try {
      messages = this.#reader.push(chunk);
    } catch (error) {
      // What came early may be malformed as well when the stream is over by now.
      this.#over = { error: frameFault(error) };
      this.#wake?.();
      return;
    }
    for (const message of messages) {
      this.#waitingBytes += 5 + message.length;
      this.#waiting.push(message);
    }
    if (this.#wake === undefined) return;
    if (messages.length > 0) this.#wake();
    else this.#credit();
  }

  #credit(): void {
    const bytes = this.#uncredited - this.#waitingBytes - this.#handedBytes;
    this.#uncredited -= bytes;
    this.#stream.consumed(bytes);
  }
}
