// One small HTTP request with a deadline and a bound on its answer. Follows no redirect: a login must not travel.
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";

/** What is asked for. */
export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Who may end it, and whom to trust. */
export interface HttpOptions {
  readonly signal: AbortSignal;
  /** Default: 15 s. */
  readonly deadlineMs?: number;
  /** PEM of further authorities. */
  readonly ca?: string;
  /** Take any certificate. */
  readonly insecure?: boolean;
}

/** What came back. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** All WWW-Authenticate headers joined. */
  readonly challenge: string;
  readonly body: Buffer;
}

const defaultDeadlineMs = 15_000;
const maxBodyBytes = 8 * 1024 * 1024;

/** Sends it on a connection of its own. Rejects with Node's network error, or TimeoutError at the deadline. */
export async function send(request: HttpRequest, options: HttpOptions): Promise<HttpResponse> {
  const deadline = AbortSignal.timeout(options.deadlineMs ?? defaultDeadlineMs);
  const signal = AbortSignal.any([options.signal, deadline]);
  try {
    return await exchange(request, options, signal);
  } catch (error) {
    signal.throwIfAborted(); // says whether it was the caller or the deadline
    throw error;
  }
}

async function exchange(
  request: HttpRequest,
  options: HttpOptions,
  signal: AbortSignal,
): Promise<HttpResponse> {
  // Imports would load all that these can be asked for, undici and root certificates too: 35 ms of every start.
  const tls = process.getBuiltinModule("node:tls");
  const secure = new URL(request.url).protocol === "https:";
  const trust = {
    ...(options.ca === undefined ? {} : { ca: [...tls.rootCertificates, options.ca] }),
    ...(options.insecure === true ? { rejectUnauthorized: false } : {}),
  };
  const { body = "" } = request;
  const length = typeof body === "string" ? Buffer.byteLength(body) : body.byteLength;
  const hasBody = length > 0 || request.method.startsWith("P");
  const headers = {
    "user-agent": "kiln",
    ...request.headers,
    ...(hasBody ? { "content-length": String(length) } : {}),
  };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const { request: start } = process.getBuiltinModule(secure ? "node:https" : "node:http");
    const sent = start(
      request.url,
      { method: request.method, headers, agent: false, signal, ...(secure ? trust : {}) },
      resolve,
    );
    sent.on("error", reject);
    sent.end(body);
  });
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    challenge: response.headers["www-authenticate"] ?? "",
    body: await bodyOf(response),
  };
}

async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) {
      response.destroy();
      throw new RangeError(`the answer is larger than ${maxBodyBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
