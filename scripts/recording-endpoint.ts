// What does a client ask a buildkitd for? An endpoint in front of one: every call is passed on untouched,
// and the solve requests among them are kept. buildx sends two for a build: Control.Solve without a frontend,
// and LLBBridge.Solve with it, which is answered while the first is open.

import http2 from "node:http2";
import net from "node:net";
import { fromBinary } from "@bufbuild/protobuf";
import { SolveRequestSchema as ControlSolve } from "../src/gen/moby/buildkit/v1/control_pb.ts";
import { SolveRequestSchema as BridgeSolve } from "../src/gen/moby/buildkit/v1/frontend/gateway_pb.ts";
import type { SolveRequest as ControlRequest } from "../src/gen/moby/buildkit/v1/control_pb.ts";
import type { SolveRequest as BridgeRequest } from "../src/gen/moby/buildkit/v1/frontend/gateway_pb.ts";

/** The solve requests of one build, in the order they came. */
export interface Recorded {
  readonly control: ControlRequest[];
  readonly bridge: BridgeRequest[];
}

/** A running endpoint. */
export interface RecordingEndpoint {
  /** tcp://127.0.0.1:port */
  readonly address: string;
  /** What came since the last call. */
  take(): Recorded;
  stop(): Promise<void>;
}

/** Bytes before a gRPC message: a flag, and its length. */
const prefixBytes = 5;
const unavailable = { ":status": 200, "content-type": "application/grpc", "grpc-status": "14" };

/** Header fields as they came: a name that is there twice stays two fields, which joining by commas would not keep. */
function fieldsOf(raw: readonly string[]): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = {};
  for (let at = 0; at < raw.length; at += 2) {
    const [name = "", value = ""] = raw.slice(at, at + 2);
    const before = fields[name];
    fields[name] = before === undefined ? value : [before, value].flat();
  }
  return fields;
}

function passTrailers(from: http2.ClientHttp2Stream, to: http2.ServerHttp2Stream): void {
  let trailers: http2.OutgoingHttpHeaders = { "grpc-status": "14" };
  from.on("trailers", (_, __, raw?: string[]) => {
    if (raw !== undefined) trailers = fieldsOf(raw);
  });
  to.on("wantTrailers", () => {
    if (!to.destroyed) to.sendTrailers(trailers);
  });
}

function passOn(
  stream: http2.ServerHttp2Stream,
  fields: http2.OutgoingHttpHeaders,
  daemon: http2.ClientHttp2Session,
): http2.ClientHttp2Stream {
  const call = daemon.request(fields, { endStream: false });
  passTrailers(call, stream);
  call.on("response", (_, flags, raw?: string[]) => {
    if (stream.destroyed) return;
    const ended = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    stream.respond(fieldsOf(raw ?? []), ended ? { endStream: true } : { waitForTrailers: true });
    if (!ended) call.pipe(stream);
  });
  call.on("error", () => {
    if (!stream.destroyed && !stream.headersSent) stream.respond(unavailable, { endStream: true });
  });
  stream.on("error", () => call.close(http2.constants.NGHTTP2_CANCEL));
  stream.on("aborted", () => call.close(http2.constants.NGHTTP2_CANCEL));
  stream.pipe(call);
  return call;
}

/** Starts an endpoint on a free port, in front of the daemon at a unix socket. */
export async function recordingEndpoint(socket: string): Promise<RecordingEndpoint> {
  let recorded: Recorded = { control: [], bridge: [] };
  const keep = (method: string, body: Buffer): void => {
    const message = body.subarray(prefixBytes);
    if (method === "/moby.buildkit.v1.Control/Solve")
      recorded.control.push(fromBinary(ControlSolve, message));
    if (method === "/moby.buildkit.v1.frontend.LLBBridge/Solve")
      recorded.bridge.push(fromBinary(BridgeSolve, message));
  };
  const server = http2.createServer();
  const open = new Set<http2.Http2Session>();
  server.on("session", (session) => {
    const daemon = http2.connect("http://localhost", {
      createConnection: () => net.connect(socket),
    });
    for (const one of [session, daemon]) {
      open.add(one);
      one.on("error", () => one.destroy());
      one.on("close", () => open.delete(one));
    }
    session.on("close", () => daemon.destroy());
    daemon.on("close", () => session.destroy());
    session.on("stream", (stream, headers, _flags, raw?: string[]) => {
      const method = headers[":path"] ?? "";
      passOn(stream, fieldsOf(raw ?? []), daemon);
      if (!method.endsWith("/Solve")) return;
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => keep(method, Buffer.concat(chunks)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  return {
    address: `tcp://127.0.0.1:${port}`,
    take: () => {
      const taken = recorded;
      recorded = { control: [], bridge: [] };
      return taken;
    },
    stop: async () => {
      for (const session of open) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
