// A Docker engine's way to BuildKit without the engine: its HTTP/1.1 paths that become HTTP/2, in front of a real
// buildkitd. "/grpc" leads to its socket; "/session" becomes a Session call of it, whose byte stream the daemon
// reads as HTTP/2. Does not honour: anything else of Docker's API.
import { createServer, type IncomingMessage } from "node:http";
import { createConnection } from "node:net";
import type { Duplex } from "node:stream";
import { Control } from "../../../src/gen/moby/buildkit/v1/control_pb.ts";
import { parseEndpoint } from "../../../src/buildkit/index.ts";
import type { CallHeaders } from "../../../src/buildkit/rpc/channel.ts";
import { dial } from "../../../src/buildkit/rpc/dial.ts";

/** A running engine. */
export interface Engine {
  /** What it listens on. */
  readonly path: string;
  /** "POST /grpc", in order. */
  readonly asked: string[];
  stop(): Promise<void>;
}

function sessionHeaders({ rawHeaders }: IncomingMessage): CallHeaders {
  return rawHeaders
    .flatMap((name, index) =>
      index % 2 === 0 ? [[name.toLowerCase(), rawHeaders[index + 1] ?? ""] as const] : [],
    )
    .filter(([name]) => name.startsWith("x-docker-expose-"));
}

/** Starts one on a unix socket; `daemon` is the socket of its BuildKit. */
export async function engine(path: string, daemon: string): Promise<Engine> {
  const asked: string[] = [];
  const streams = new Set<Duplex>();
  const channel = dial(parseEndpoint(`unix://${daemon}`));
  const server = createServer((_request, response) => response.writeHead(404).end("no such page"));
  server.on("upgrade", (request, stream: Duplex, head: Buffer) => {
    asked.push(`${request.method} ${request.url}`);
    streams.add(stream);
    stream.on("error", () => {});
    if (request.url === "/refused") {
      stream.end("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 9\r\n\r\nno worker");
      return;
    }
    stream.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    if (request.url === "/grpc") {
      const socket = createConnection(daemon);
      socket.on("error", () => stream.destroy());
      stream.on("close", () => socket.destroy());
      socket.write(head);
      stream.pipe(socket).pipe(stream);
      return;
    }
    const call = channel.bidi(Control.method.session, sessionHeaders(request));
    if (head.length > 0) void call.send({ data: Uint8Array.from(head) });
    stream.on("data", (data: Buffer) => void call.send({ data: Uint8Array.from(data) }));
    stream.on("close", () => call.end());
    void (async () => {
      for await (const { data } of call.messages) stream.write(data);
      stream.end();
    })().catch(() => stream.destroy());
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    path,
    asked,
    async stop() {
      for (const stream of streams) stream.destroy();
      channel.close();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
