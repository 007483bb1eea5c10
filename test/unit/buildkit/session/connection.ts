// A daemon's side of a session, in this process: an HTTP/2 client over the same bytes. Does not honour: flow
// control limits of a network, and anything that buildkitd does by itself.
import { connect, type ClientHttp2Session, type OutgoingHttpHeaders } from "node:http2";
import { DuplexBytes } from "../../../../src/buildkit/http2/byte-stream.ts";
import { methodTable, type Attachable } from "../../../../src/buildkit/session/attachable.ts";
import { FrameReader, frameHead } from "../../../../src/buildkit/session/frames.ts";
import { pair } from "../http2/pair.ts";
import { serveSession, type SessionServer } from "../../../../src/buildkit/session/server.ts";

/** What came back from a call. */
export interface Answer {
  readonly status: number;
  readonly message: string;
  readonly messages: Buffer[];
}

/** A session and the daemon's connection to it. */
export interface Connection {
  readonly server: SessionServer;
  readonly client: ClientHttp2Session;
  /** Sends messages, half-closes, waits for the end. */
  call(path: string, messages: Uint8Array[], headers?: OutgoingHttpHeaders): Promise<Answer>;
  close(): Promise<void>;
}

/** Serves the attachables and connects to them. */
export function connection(...attachables: Attachable[]): Connection {
  const [ours, theirs] = pair();
  const server = serveSession(new DuplexBytes(ours), methodTable(attachables));
  const client = connect("http://localhost", { createConnection: () => theirs });
  client.on("error", () => {});
  return {
    server,
    client,
    call: (path, messages, headers) => call(client, path, { messages, headers: headers ?? {} }),
    async close() {
      client.destroy();
      theirs.destroy();
      server.destroy();
      await server.closed;
      await server.settled();
    },
  };
}

function call(
  client: ClientHttp2Session,
  path: string,
  { messages, headers }: { messages: Uint8Array[]; headers: OutgoingHttpHeaders },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = client.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    const reader = new FrameReader();
    const got: Buffer[] = [];
    let last: { [name: string]: unknown } = {};
    stream.on("response", (head) => (last = { ...last, ...head }));
    stream.on("trailers", (trailers) => (last = { ...last, ...trailers }));
    stream.on("data", (chunk: Buffer) => got.push(...reader.push(chunk)));
    stream.on("error", reject);
    stream.on("close", () => {
      const message = decodeURIComponent(messageOf(last));
      resolve({ status: Number(last["grpc-status"] ?? -1), message, messages: got });
    });
    for (const message of messages)
      stream.write(Buffer.concat([frameHead(message.length), message]));
    stream.end();
  });
}

function messageOf(headers: { [name: string]: unknown }): string {
  const message = headers["grpc-message"];
  return typeof message === "string" ? message : "";
}
