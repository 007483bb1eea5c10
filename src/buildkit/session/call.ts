// One call of the daemon: an HTTP/2 stream as the messages and the status that a method of ours deals with.
import { grpcStatus } from "../errors/grpc-status.ts";
import type { HeaderList, Http2Error } from "../http2/protocol.ts";
import type { Http2Stream, StreamSink } from "../http2/stream.ts";
import {
  SessionError,
  type CallMetadata,
  type FrameTaker,
  type MessageStream,
} from "./attachable.ts";
import { encodeStatusMessage, frameHead, metadataOf } from "./frames.ts";
import { MessageQueue } from "./messages.ts";

const responseHead: HeaderList = [
  [":status", "200"],
  ["content-type", "application/grpc+proto"],
];

/** The server's side of one call. */
export class ServerCall implements StreamSink, MessageStream {
  readonly metadata: CallMetadata;
  readonly signal: AbortSignal;
  readonly #stream: Http2Stream;
  readonly #queue: MessageQueue;
  readonly #end = new AbortController();
  #room: PromiseWithResolvers<void> | undefined;
  #responded = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: Http2Stream, headers: HeaderList) {
    this.#stream = stream;
    this.#queue = new MessageQueue(stream);
    this.metadata = metadataOf(headers);
    this.signal = this.#end.signal;
    const ms = timeoutMs(this.metadata.get("grpc-timeout")?.[0]);
    if (ms !== undefined) this.#timer = setTimeout(() => this.#expire(), ms).unref();
  }

  get messages(): AsyncIterable<Buffer> {
    return this.#queue.messages();
  }

  get batches(): AsyncIterable<readonly Buffer[]> {
    return this.#queue.batches();
  }

  readFrames(take: FrameTaker): Promise<void> {
    return this.#queue.readFrames(take);
  }

  /** Sends the response head, once. */
  respond(): void {
    if (this.#responded) return;
    this.#responded = true;
    this.#stream.respond(responseHead);
  }

  send(...parts: Uint8Array[]): Promise<void> | undefined {
    let length = 0;
    for (const part of parts) length += part.length;
    return this.#paced(this.#stream.write(frameHead(length), ...parts));
  }

  sendFrames(frames: Uint8Array): Promise<void> | undefined {
    return this.#paced(this.#stream.write(frames));
  }

  /** Ends the call with a status; the message reaches the person who builds. */
  finish(status: number, message = ""): void {
    clearTimeout(this.#timer);
    this.#stream.finish([
      ...(this.#responded ? [] : responseHead),
      ["grpc-status", String(status)],
      ...(message === "" ? [] : [["grpc-message", encodeStatusMessage(message)] as const]),
    ]);
  }

  /** Ends the call with what a method failed with. */
  fail(error: unknown): void {
    const { status, message } = statusOf(error);
    this.finish(status, message);
  }

  headers(): void {} // a client of gRPC sends no trailers

  data(chunk: Buffer): void {
    this.#queue.push(chunk);
  }

  end(): void {
    this.#queue.end();
  }

  drained(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  closed(error?: Http2Error): void {
    clearTimeout(this.#timer);
    this.drained();
    this.#end.abort();
    this.#queue.end(error === undefined ? undefined : this.signal.reason);
  }

  #paced(goOn: boolean): Promise<void> | undefined {
    if (goOn) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  #expire(): void {
    this.finish(grpcStatus.deadlineExceeded, "the daemon's deadline for this call is over");
    this.#end.abort();
    this.#queue.end(this.signal.reason);
  }
}

function statusOf(error: unknown): { status: number; message: string } {
  if (error instanceof SessionError) return { status: error.code, message: error.message };
  const { name, message } = error instanceof Error ? error : { name: "", message: "failed" };
  if (name === "AbortError") return { status: grpcStatus.cancelled, message: "cancelled" };
  return { status: grpcStatus.internal, message };
}

const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
const maxTimerMs = 2 ** 31 - 1;

/** `grpc-timeout` in milliseconds; undefined when there is none, or none that a timer can wait for. */
export function timeoutMs(value: string | undefined): number | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(value ?? "") ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  const ms = Math.ceil(Number(digits) * (unitMs[unit] ?? 1));
  return ms > maxTimerMs ? undefined : ms;
}
