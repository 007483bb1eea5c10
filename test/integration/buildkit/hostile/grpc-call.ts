// gRPC by hand over one HTTP/2 stream, for tests that play a peer: framing, statuses, and every way to get them wrong.
import type { ClientHttp2Stream, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { frame, frameType, u32 } from "./raw.ts";

/** A message in its gRPC frame. */
export function framed(message: Uint8Array, flag = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Cuts what a stream receives into messages. */
export function onMessages(
  stream: ClientHttp2Stream | ServerHttp2Stream,
  listener: (message: Buffer) => void,
): void {
  let chunks: Buffer[] = [];
  let length = 0;
  let wanted = 5;
  stream.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    if (length < wanted) return;
    let rest = chunks.length === 1 ? chunk : Buffer.concat(chunks);
    while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
      const end = 5 + rest.readUInt32BE(1);
      listener(rest.subarray(5, end));
      rest = rest.subarray(end);
    }
    chunks = [rest];
    length = rest.length;
    wanted = length < 5 ? 5 : 5 + rest.readUInt32BE(1);
  });
}

/** Writes at the pace of the reader: a promise when it is behind. Settles, too, when the stream is gone. */
export function paced(
  stream: ClientHttp2Stream | ServerHttp2Stream,
  bytes: Uint8Array,
): Promise<void> | undefined {
  if (stream.destroyed || stream.closed || stream.writableEnded) return undefined;
  if (stream.write(bytes)) return undefined;
  return new Promise((resolve) => {
    const go = (): void => {
      stream.off("drain", go).off("close", go);
      resolve();
    };
    stream.on("drain", go).on("close", go);
  });
}

/** A call at the daemon. Nothing is answered before something is sent. */
export interface DaemonCall {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  /** The first message of the client. */
  readonly request: Promise<Buffer>;
  /** From now on this gets every message. */
  onMessage(listener: (message: Buffer) => void): void;
  /** Sends one message, after the response head; waits for slow readers. */
  send(message: Uint8Array): Promise<void> | undefined;
  /** Ends with a status: trailers, or headers alone when nothing was sent. */
  end(status?: number, message?: string, more?: Readonly<Record<string, string>>): void;
  /** Breaks the stream: RST_STREAM with an HTTP/2 error code, INTERNAL_ERROR by default. */
  reset(code?: number): void;
  /** Says with this code that the connection ends, and that calls that there are will be answered; and stays. */
  goAway(code: number): void;
}

/** The call that a stream of an HTTP/2 server on this socket is. */
export function daemonCall(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  socket: Socket | undefined,
): DaemonCall {
  let trailers: Record<string, string> = {};
  stream.on("error", () => {}); // clients leave when they like
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
  const { promise: request, resolve } = Promise.withResolvers<Buffer>();
  let listener = resolve as (message: Buffer) => void;
  onMessages(stream, (message) => listener(message));
  return {
    stream,
    headers,
    request,
    onMessage: (next) => (listener = next),
    send(message) {
      if (stream.destroyed) return undefined;
      if (!stream.headersSent)
        stream.respond(
          { ":status": 200, "content-type": "application/grpc" },
          { waitForTrailers: true },
        );
      return paced(stream, framed(message));
    },
    end(status = 0, message = "", more = {}) {
      if (stream.destroyed) return;
      trailers = {
        "grpc-status": String(status),
        "grpc-message": encodeURIComponent(message),
        ...more,
      };
      if (stream.headersSent) stream.end();
      else {
        stream.respond(
          { ":status": 200, "content-type": "application/grpc", ...trailers },
          { endStream: true },
        );
      }
    },
    reset: (code = 2) => stream.close(code),
    // By hand: a session of Node's that has said it reads no more, and never sees that the client is gone.
    goAway: (code) =>
      void socket?.write(
        frame(frameType.goaway, 0, 0, Buffer.concat([u32(0x7fffffff), u32(code)])),
      ),
  };
}

/** How a call of the daemon's ended: gRPC status (-1: none came), its message, and what was answered. */
export interface Answer {
  readonly status: number;
  readonly message: string;
  readonly messages: readonly Buffer[];
}

/** A call into a session. */
export interface PeerCall {
  readonly stream: ClientHttp2Stream;
  send(message: Uint8Array): Promise<void> | undefined;
  /** From now on this gets every message, and `answer` has none of them. */
  onMessage(listener: (message: Buffer) => void): void;
  /** Cancels it; what was not sent yet is not waited for. */
  leave(): void;
  /** Resolves when the call is over, however it ended. */
  readonly answer: Promise<Answer>;
}

/** The call that a stream of an HTTP/2 client is. */
export function peerCall(stream: ClientHttp2Stream): PeerCall {
  const messages: Buffer[] = [];
  let listener = (message: Buffer): void => void messages.push(message);
  let status = -1;
  let text = "";
  const note = (headers: NodeJS.Dict<string | string[]>): void => {
    if (headers["grpc-status"] === undefined) return;
    status = Number(headers["grpc-status"]);
    text = decodeURIComponent(String(headers["grpc-message"] ?? ""));
  };
  stream.on("response", note);
  stream.on("trailers", note);
  stream.on("error", () => {}); // `answer` says how it ended
  onMessages(stream, (message) => listener(message));
  // As grpc-go does: the status ends the call in both directions.
  stream.once("end", () => stream.destroy());
  const answer = new Promise<Answer>((resolve) => {
    stream.once("close", () => resolve({ status, message: text, messages }));
  });
  return {
    stream,
    send: (message) => paced(stream, framed(message)),
    onMessage: (next) => (listener = next),
    leave() {
      stream.close(8);
      stream.destroy();
    },
    answer,
  };
}
