// The Docker engine's API over HTTP/1.1, as little of it as Kiln asks: JSON in and out, tar in, a stream of JSON out, and
// a connection that becomes a raw stream. Each request has a connection of its own: there are few.
import { request, type ClientRequest, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { dialEngine, type Engine, engineHost } from "../buildkit/index.ts";
import { upgradedSocket } from "../buildkit/rpc/upgrade.ts";

/** The engine refused. */
export class EngineRefusal extends Error {
  /** HTTP status: 404 for what is not there, 409 for what is in the way. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "EngineRefusal";
    this.status = status;
  }
}

/** What is asked. */
export interface EngineRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE" | "HEAD";
  /** Begins with "/"; without a version, so that the engine answers in its own. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON; a Buffer as a tar. */
  readonly body?: unknown;
  /** Default: JSON. */
  readonly answer?: "bytes";
}

const maxWordsChars = 300;
const maxAnswerBytes = 16 << 20;

/** Whether the engine refused with this status. */
export function isRefusal(error: unknown, ...statuses: readonly number[]): error is EngineRefusal {
  return (
    error instanceof EngineRefusal && (statuses.length === 0 || statuses.includes(error.status))
  );
}

/**
 * Asks and reads the whole answer; undefined when it is empty. Rejects with `EngineRefusal`, the socket's error, or when the
 * signal aborts.
 */
export async function askEngine(
  engine: Engine,
  asked: EngineRequest,
  signal: AbortSignal,
): Promise<unknown> {
  const bytes = await bytesOf(await send(engine, asked, signal));
  if (asked.answer === "bytes") return bytes;
  return bytes.length === 0 ? undefined : JSON.parse(bytes.toString("utf8"));
}

/** Asks for something that takes long and tells of itself in JSON lines, such as a pull; each is given to `onLine`. */
export async function followEngine(
  engine: Engine,
  asked: EngineRequest,
  { onLine, signal }: { readonly onLine: (line: unknown) => void; readonly signal: AbortSignal },
): Promise<void> {
  const response = await send(engine, asked, signal);
  let rest = "";
  for await (const chunk of response.setEncoding("utf8")) {
    const lines = `${rest}${String(chunk)}`.split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > maxAnswerBytes) throw new Error("the Docker engine's answer has no end");
    for (const line of lines) if (line.trim() !== "") onLine(JSON.parse(line));
  }
}

/** A tar that is sent as it is made. */
export interface Upload {
  /** Resolves when the connection took the bytes, which must stay until then. Rejects as `askEngine`. */
  write(chunk: Uint8Array): Promise<void>;
  /** Ends it; resolves to the lines of JSON that the engine answers. Rejects as `askEngine`. */
  finish(): Promise<readonly unknown[]>;
  /** Ends the connection in the middle. */
  abort(): void;
}

/** Begins to send a tar. Rejects when the engine can't be dialled. */
export async function uploadToEngine(
  engine: Engine,
  asked: Omit<EngineRequest, "body">,
  signal: AbortSignal,
): Promise<Upload> {
  const more = { connection: "close", "content-type": "application/x-tar" };
  const { outgoing } = await open(engine, asked, signal, more);
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.on("error", reject);
    outgoing.on("response", resolve);
  }).then(async (response) => {
    if ((response.statusCode ?? 0) >= 400) throw await refusalOf(response);
    return response;
  });
  answered.catch(() => {}); // told by the call that waits for it
  return {
    async write(chunk) {
      const taken = new Promise<void>((resolve, reject) =>
        outgoing.write(chunk, (error) => (error ? reject(error) : resolve())),
      );
      // An engine that refuses does so before it has read all.
      await Promise.race([taken, answered.then(() => taken)]);
    },
    async finish() {
      outgoing.end();
      const text = (await bytesOf(await answered)).toString("utf8");
      return text
        .split("\n")
        .filter((line) => line.trim() !== "")
        .map((line) => JSON.parse(line) as unknown);
    },
    abort: () => void outgoing.destroy(),
  };
}

/** Asks for a connection that then carries a process's bytes both ways. Rejects as `askEngine`. */
export async function hijackEngine(
  engine: Engine,
  asked: EngineRequest,
  signal: AbortSignal,
): Promise<Duplex> {
  const { outgoing, body } = await open(engine, asked, signal, {
    connection: "Upgrade",
    upgrade: "tcp",
  });
  return await upgradedSocket(outgoing, refusalOf, body);
}

async function send(
  engine: Engine,
  asked: EngineRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { outgoing, body } = await open(engine, asked, signal, { connection: "close" });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.on("error", reject);
    outgoing.on("response", resolve);
    outgoing.end(body);
  });
  if ((response.statusCode ?? 0) >= 400) throw await refusalOf(response);
  return response;
}

interface Opened {
  readonly outgoing: ClientRequest;
  readonly body: Buffer | undefined;
}

async function open(
  engine: Engine,
  { method, path, query = {}, body }: EngineRequest,
  signal: AbortSignal,
  more: Readonly<Record<string, string>>,
): Promise<Opened> {
  const stream = await dialEngine(engine, signal);
  const isTar = Buffer.isBuffer(body);
  const bytes = body === undefined || isTar ? body : Buffer.from(JSON.stringify(body));
  const parameters = new URLSearchParams(query).toString();
  const outgoing = request({
    method,
    path: parameters === "" ? path : `${path}?${parameters}`,
    headers: {
      host: engineHost(engine),
      "user-agent": "kiln",
      ...more,
      ...(bytes === undefined
        ? {}
        : {
            "content-type": isTar ? "application/x-tar" : "application/json",
            "content-length": bytes.length,
          }),
    },
    createConnection: () => stream,
    signal,
  });
  outgoing.on("error", () => stream.destroy());
  return { outgoing, body: bytes };
}

async function bytesOf(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    chunks.push(chunk as Buffer);
    length += (chunk as Buffer).length;
    if (length > maxAnswerBytes) throw new Error("the Docker engine's answer is too long");
  }
  return Buffer.concat(chunks);
}

async function refusalOf(response: IncomingMessage): Promise<EngineRefusal> {
  const text = (await bytesOf(response)).toString("utf8");
  const status = response.statusCode ?? 0;
  return new EngineRefusal(status, messageOf(text) ?? `the Docker engine answers HTTP ${status}`);
}

function messageOf(text: string): string | undefined {
  try {
    const { message } = JSON.parse(text) as { readonly message?: unknown };
    return typeof message === "string" ? message : undefined;
  } catch {
    // A server in front of it, or one that wants TLS, answers in plain text.
    return text.trim() === "" ? undefined : text.trim().slice(0, maxWordsChars);
  }
}
