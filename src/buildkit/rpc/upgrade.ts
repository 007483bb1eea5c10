// Docker's way to BuildKit: an HTTP/1.1 request to the engine's API that becomes a raw HTTP/2 connection
// (moby/client, hijack.go: POST with "Upgrade: h2c"; 101 is the answer).
import type { ClientRequest, IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

const maxBodyBytes = 4096;

/** What is asked of the engine. */
export interface UpgradeRequest {
  /** "/grpc" or "/session". */
  readonly path: string;
  readonly host: string;
  /** Repeated names are sent as they are, one header each. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/**
 * Upgrades a fresh stream to the engine. Rejects when the engine answers anything but 101, with its words, or
 * when the signal aborts; the stream is destroyed then.
 */
export async function upgrade(
  stream: Duplex,
  { path, host, headers }: UpgradeRequest,
  signal: AbortSignal,
): Promise<Duplex> {
  // An import would load all that node:http can be asked for, undici too: 20 ms of every start.
  const { request } = process.getBuiltinModule("node:http");
  const repeated: Record<string, string[]> = {};
  for (const [name, value] of headers) (repeated[name] ??= []).push(value);
  const asked = request({
    method: "POST",
    path,
    headers: { ...repeated, host, connection: "Upgrade", upgrade: "h2c", "user-agent": "kiln" },
    createConnection: () => stream,
    signal,
  });
  try {
    return await upgradedSocket(asked, refusal);
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

/**
 * Sends a request that asks for an upgrade, and gives the connection that comes of it. Rejects with the socket's error, or
 * with what `refusal` makes of any other answer.
 */
export function upgradedSocket(
  asked: ClientRequest,
  refusal: (response: IncomingMessage) => Promise<Error>,
  body?: Buffer,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    asked.on("error", reject);
    asked.on("upgrade", (_response, socket: Duplex, head: Buffer) => {
      asked.off("error", reject).on("error", () => {});
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    asked.on("response", (response) => {
      refusal(response).then(reject, reject);
    });
    asked.end(body);
  });
}

async function refusal(response: IncomingMessage): Promise<Error> {
  let body = "";
  for await (const chunk of response) {
    body += String(chunk);
    if (body.length > maxBodyBytes) break;
  }
  const why = body.slice(0, maxBodyBytes).trim();
  return new Error(
    `the Docker engine does not upgrade to BuildKit's protocol: HTTP ${response.statusCode ?? 0} ${why}`,
  );
}
