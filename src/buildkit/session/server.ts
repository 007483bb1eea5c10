// The gRPC server that the daemon calls during a solve, over node:http2 inside the session's byte stream.
// Why not grpc-js's server: it joins repeated metadata with commas, and patterns may hold commas (ADR 0003).
import {
  performServerHandshake,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Duplex } from "node:stream";
import { toBinary, create } from "@bufbuild/protobuf";
import { HealthCheckResponseSchema } from "../../gen/grpc/health/v1/health_pb.ts";
import {
  SessionError,
  type MessageStream,
  type StreamMethod,
  type UnaryMethod,
} from "./attachable.ts";
import { encodeStatusMessage, FrameReader, frameHead, metadataOf } from "./frames.ts";
import { Outbox } from "./outbox.ts";

const windowBytes = 16 * 1024 * 1024;
const grpcOk = 0;
const grpcCancelled = 1;
const grpcUnimplemented = 12;
const grpcInternal = 13;
const contentType = "application/grpc+proto";

const serving = Buffer.from(
  toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status: 1 })),
);
const servingFrame = Buffer.concat([frameHead(serving.length), serving]);

/** The running server. */
export interface SessionServer {
  /** Settles when the connection is over, for whatever reason. */
  readonly closed: Promise<void>;
  /** Ends it at once; methods in flight see their signal abort. */
  destroy(): void;
}

/** Serves methods on a byte stream; health checks are answered by itself, before any method's work. */
export function serveSession(
  bytes: Duplex,
  methods: ReadonlyMap<string, UnaryMethod | StreamMethod>,
): SessionServer {
  const session: ServerHttp2Session = performServerHandshake(bytes, {
    settings: { initialWindowSize: windowBytes, maxConcurrentStreams: 1024 },
    maxSessionMemory: 64,
  });
  // A handshake over a Duplex can set the connection's window as soon as the session stands.
  session.setLocalWindowSize(windowBytes);
  session.on("error", () => {}); // `closed` tells; the solve's own error says why
  session.on(
    "stream",
    (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, raw: string[]) => {
      stream.on("error", () => {}); // resets by the daemon are how it ends calls
      const path = headers[":path"] ?? "";
      if (path === "/grpc.health.v1.Health/Check") answerHealth(stream);
      else answer(stream, methods.get(path), { path, metadata: metadataOf(raw) });
    },
  );
  // A session that is destroyed over a Duplex does not always emit its own "close".
  const closed = new Promise<void>((resolve) => {
    session.once("close", resolve);
    bytes.once("close", resolve);
  });
  return {
    closed,
    destroy() {
      session.destroy();
      bytes.destroy();
    },
  };
}

function answerHealth(stream: ServerHttp2Stream): void {
  stream.resume();
  respond(stream, grpcOk, "");
  stream.end(servingFrame);
}

/** Sends the response head; the trailers with the status follow the last byte. */
function respond(stream: ServerHttp2Stream, status: number, message: string): void {
  stream.on("wantTrailers", () => stream.sendTrailers(trailers(status, message)));
  stream.respond({ ":status": 200, "content-type": contentType }, { waitForTrailers: true });
}

function trailers(status: number, message: string): Record<string, string> {
  return {
    "grpc-status": String(status),
    ...(message === "" ? {} : { "grpc-message": encodeStatusMessage(message) }),
  };
}

interface Call {
  readonly path: string;
  readonly metadata: Map<string, string[]>;
}

function answer(
  stream: ServerHttp2Stream,
  method: UnaryMethod | StreamMethod | undefined,
  call: Call,
): void {
  if (method === undefined) {
    fail(stream, new SessionError(grpcUnimplemented, `this session does not answer ${call.path}`));
    return;
  }
  const ended = new AbortController();
  stream.once("close", () => ended.abort());
  const work =
    method.kind === "unary"
      ? answerUnary(stream, method, call.metadata, ended.signal)
      : answerStream(stream, method, call.metadata, ended.signal);
  work.catch((error: unknown) => fail(stream, error));
}

async function answerUnary(
  stream: ServerHttp2Stream,
  method: UnaryMethod,
  metadata: Map<string, string[]>,
  signal: AbortSignal,
): Promise<void> {
  let request: Buffer = Buffer.alloc(0);
  for await (const message of messages(stream)) request = message;
  const response = await method.handle(request, metadata, signal);
  if (stream.destroyed) return;
  respond(stream, grpcOk, "");
  stream.write(frameHead(response.length));
  stream.end(response);
}

async function answerStream(
  stream: ServerHttp2Stream,
  method: StreamMethod,
  metadata: Map<string, string[]>,
  signal: AbortSignal,
): Promise<void> {
  const outbox = new Outbox(stream);
  let status = grpcOk;
  let message = "";
  stream.on("wantTrailers", () => stream.sendTrailers(trailers(status, message)));
  stream.respond({ ":status": 200, "content-type": contentType }, { waitForTrailers: true });
  const open: MessageStream = {
    metadata,
    signal,
    messages: messages(stream),
    batches: batches(stream),
    send: (...parts) => outbox.send(parts),
    sendFrames: (frames) => outbox.sendFrames(frames),
  };
  try {
    await method.handle(open);
  } catch (error) {
    ({ status, message } = statusOf(error));
  }
  outbox.flush();
  stream.resume(); // what the daemon still sends is not read any more
  stream.end();
}

async function* batches(stream: ServerHttp2Stream): AsyncGenerator<Buffer[], void, undefined> {
  const reader = new FrameReader();
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    const complete = [...reader.push(chunk as Buffer)];
    if (complete.length > 0) yield complete;
  }
}

async function* messages(stream: ServerHttp2Stream): AsyncGenerator<Buffer, void, undefined> {
  for await (const batch of batches(stream)) yield* batch;
}

function statusOf(error: unknown): { status: number; message: string } {
  if (error instanceof SessionError) return { status: error.code, message: error.message };
  const name = error instanceof Error ? error.name : "";
  if (name === "AbortError") return { status: grpcCancelled, message: "cancelled" };
  return { status: grpcInternal, message: error instanceof Error ? error.message : "failed" };
}

/** A status instead of a response, as headers only. */
function fail(stream: ServerHttp2Stream, error: unknown): void {
  if (stream.destroyed || stream.headersSent) {
    stream.destroy();
    return;
  }
  const { status, message } = statusOf(error);
  stream.resume();
  stream.respond(
    { ":status": 200, "content-type": contentType, ...trailers(status, message) },
    { endStream: true },
  );
}
