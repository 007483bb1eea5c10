// The daemon's side of a session, for tests that play a daemon: an HTTP/2 client over the byte stream of the
// Session call, which calls what the client under test serves.
import { connect, type ClientHttp2Session } from "node:http2";
import { Duplex } from "node:stream";
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { BytesMessageSchema } from "../../../../src/gen/moby/buildkit/v1/control_pb.ts";
import { peerCall, type Answer, type DaemonCall, type PeerCall } from "./grpc-call.ts";

const healthPath = "/grpc.health.v1.Health/Check";
const windowBytes = 16 * 1024 * 1024;

/** Bytes as a BytesMessage. */
export function bytesMessage(data: Uint8Array): Uint8Array {
  return toBinary(BytesMessageSchema, create(BytesMessageSchema, { data: Uint8Array.from(data) }));
}

/** The Session call as a byte stream, read at the pace of its reader. */
export function bytesOf(call: DaemonCall): Duplex {
  const bytes = new Duplex({
    read: () => void call.stream.resume(),
    write: (chunk: Buffer, _encoding, done) => {
      const full = call.send(bytesMessage(chunk));
      if (full === undefined) done();
      else void full.then(() => done());
    },
    final: (done) => {
      call.end();
      done();
    },
  });
  call.onMessage((message) => {
    if (!bytes.push(Buffer.from(fromBinary(BytesMessageSchema, message).data))) call.stream.pause();
  });
  call.stream.on("end", () => void bytes.push(null));
  call.stream.on("close", () => void bytes.destroy());
  return bytes;
}

/** A session as the daemon has it. */
export interface SessionPeer {
  readonly id: string;
  /** The Session call itself, to be dropped, ended or flooded. */
  readonly call: DaemonCall;
  readonly http: ClientHttp2Session;
  /** Begins a call; a header with an array is sent once for each value. */
  open(path: string, headers?: Readonly<Record<string, string | string[]>>): PeerCall;
  /** One message there, the answer back. */
  unary(path: string, message: Uint8Array): Promise<Answer>;
  /** The same for a generated method. Rejects when the status is not 0. */
  ask<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>>;
  /** Milliseconds until a health check was answered with SERVING; rejects when it was not. */
  health(): Promise<number>;
}

/** Becomes the HTTP/2 client of the session that a Session call opens. */
export function sessionPeer(call: DaemonCall): SessionPeer {
  const http = connect("http://session", {
    createConnection: () => bytesOf(call),
    settings: { initialWindowSize: windowBytes, enablePush: false },
  });
  http.on("error", () => {}); // tests drop sessions on purpose
  http.once("connect", () => http.setLocalWindowSize(windowBytes));
  const open: SessionPeer["open"] = (path, headers = {}) =>
    peerCall(
      http.request(
        {
          ":method": "POST",
          ":path": path,
          "content-type": "application/grpc",
          te: "trailers",
          ...headers,
        },
        { endStream: false },
      ),
    );
  const unary: SessionPeer["unary"] = (path, message) => {
    const asked = open(path);
    void asked.send(message);
    asked.stream.end();
    return asked.answer;
  };
  return {
    id: String(call.headers["x-docker-expose-session-uuid"]),
    call,
    http,
    open,
    unary,
    async ask(method, request) {
      const bytes = toBinary(method.input, create(method.input, request));
      const answer = await unary(`/${method.parent.typeName}/${method.name}`, bytes);
      if (answer.status !== 0) throw new Error(`status ${answer.status}: ${answer.message}`);
      return fromBinary(method.output, answer.messages[0] ?? Buffer.alloc(0));
    },
    async health() {
      const begun = performance.now();
      const { status, messages } = await unary(healthPath, Buffer.alloc(0));
      // 08 01: status = SERVING.
      if (status !== 0 || messages[0]?.toString("hex") !== "0801")
        throw new Error(`a health check ended with status ${status}`);
      return performance.now() - begun;
    },
  };
}
