// The gRPC server that the daemon calls during a solve, over our own HTTP/2 (ADR 0009).
import { toBinary, create } from "@bufbuild/protobuf";
import { HealthCheckResponseSchema } from "../../gen/grpc/health/v1/health_pb.ts";
import type { ByteStream } from "../http2/byte-stream.ts";
import { Http2Connection, type ConnectionOptions } from "../http2/connection.ts";
import type { HeaderList } from "../http2/protocol.ts";
import type { Http2Stream, StreamSink } from "../http2/stream.ts";
import type { StreamMethod, UnaryMethod } from "./attachable.ts";
import { ServerCall } from "./call.ts";
import { grpcStatus } from "../errors/grpc-status.ts";

const serving = toBinary(
  HealthCheckResponseSchema,
  create(HealthCheckResponseSchema, { status: 1 }),
);

/** The daemon asks this every 5 s and gives up on a session that does not answer. */
export const healthMethod = "/grpc.health.v1.Health/Check";

/** The running server. */
export interface SessionServer {
  /** Settles when the connection is over, for whatever reason. */
  readonly closed: Promise<Error | undefined>;
  /** Resolves once no method is in flight: what a cut one had begun, such as half a file, is removed by then. */
  settled(): Promise<void>;
  /** Ends it at once; methods in flight see their signal abort. */
  destroy(): void;
}

/** Serves methods on a byte stream; health checks are answered by itself, before any method's work. */
export function serveSession(
  bytes: ByteStream,
  methods: ReadonlyMap<string, UnaryMethod | StreamMethod>,
  options: Pick<ConnectionOptions, "keepalive" | "sendFrameBytes"> = {},
): SessionServer {
  const connection: Http2Connection = new Http2Connection(bytes, {
    ...options,
    role: "server",
    accept: (stream, headers) => accept(stream, headers),
  });
  const running = new Set<Promise<void>>();
  const accept = (stream: Http2Stream, headers: HeaderList): StreamSink => {
    const call = new ServerCall(stream, headers);
    const path = headers.find(([name]) => name === ":path")?.[1] ?? "";
    const method = methods.get(path);
    if (path === healthMethod) answerHealth(call);
    else if (method === undefined)
      call.finish(grpcStatus.unimplemented, `this session does not answer ${path}`);
    else {
      if (method.kind === "stream") connection.widen(stream);
      const answered = answer(call, method)
        .catch((error: unknown) => call.fail(error))
        .finally(() => running.delete(answered));
      running.add(answered);
    }
    return call;
  };
  return {
    closed: connection.closed,
    settled: async () => void (await Promise.all(running)),
    destroy: () => connection.destroy(),
  };
}

function answerHealth(call: ServerCall): void {
  call.respond();
  void call.send(serving);
  call.finish(grpcStatus.ok);
}

async function answer(call: ServerCall, method: UnaryMethod | StreamMethod): Promise<void> {
  if (method.kind === "stream") {
    call.respond();
    await method.handle(call);
  } else {
    let request: Buffer = Buffer.alloc(0);
    for await (const message of call.messages) request = message;
    const response = await method.handle(request, call.metadata, call.signal);
    call.respond();
    void call.send(response);
  }
  call.finish(grpcStatus.ok);
}
