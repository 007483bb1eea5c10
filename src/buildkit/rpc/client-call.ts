// The client's side of one gRPC call over our own HTTP/2.
import { grpcStatus } from "../errors/grpc-status.ts";
import type { HeaderList, Http2Error } from "../http2/protocol.ts";
import type { Http2Stream, StreamSink } from "../http2/stream.ts";
import { SessionError } from "../session/attachable.ts";
import { frameHead } from "../session/frames.ts";
import { MessageQueue } from "../session/messages.ts";
import { CallError, callEnd, notGrpc } from "./call-error.ts";

/** One call; its messages end with status OK or throw a CallError. */
export class ClientCall implements StreamSink {
  readonly #stream: Http2Stream;
  readonly #queue: MessageQueue;
  #head: HeaderList | undefined;
  #trailers: HeaderList | undefined;
  #room: PromiseWithResolvers<void> | undefined;
  #over = false;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
    this.#queue = new MessageQueue(stream);
  }

  send(message: Uint8Array): Promise<void> | undefined {
    if (this.#stream.write(frameHead(message.length), message)) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** Half-closes. */
  endSending(): void {
    this.#stream.end();
  }

  cancel(): void {
    this.#abandon(new CallError(grpcStatus.cancelled, "the call was cancelled"));
  }

  expire(): void {
    this.#abandon(new CallError(grpcStatus.deadlineExceeded, "the deadline of the call is over"));
  }

  /** Leaving the loop cancels the call. */
  async *messages(): AsyncGenerator<Buffer, void, undefined> {
    try {
      yield* this.#queue.messages();
    } catch (error) {
      throw error instanceof SessionError ? new CallError(error.code, error.message) : error;
    } finally {
      this.cancel();
    }
  }

  headers(headers: HeaderList): void {
    if (this.#head === undefined) {
      this.#head = headers;
      const other = notGrpc(headers);
      if (other !== undefined) this.#abandon(other);
    } else this.#trailers = headers;
  }

  data(chunk: Buffer): void {
    this.#queue.push(chunk);
  }

  end(): void {
    this.#finish(undefined);
    this.#stream.end();
  }

  drained(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  closed(error?: Http2Error): void {
    this.#finish(error);
    this.drained();
  }

  #finish(error: Http2Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#queue.end(callEnd({ head: this.#head, trailers: this.#trailers, error }));
  }

  #abandon(error: CallError): void {
    if (!this.#over) {
      this.#over = true;
      this.#queue.end(error);
    }
    this.#stream.reset();
  }
}

/** The one message of a unary call. Throws CallError. */
export async function onlyMessage(call: ClientCall): Promise<Buffer> {
  let only: Buffer | undefined;
  for await (const message of call.messages()) only = message;
  if (only === undefined)
    throw new CallError(grpcStatus.internal, "the call ended without an answer");
  return only;
}
