// One HTTP exchange with the API server: the seam where tests put faults, and the only file that
// opens sockets to it. Requests and watches have separate pools, so that a burst of requests never
// waits behind watches and a dead watch never takes a request's connection down.

import type { WebSocket } from "ws";

/** The API server answered a request for a WebSocket with an ordinary response. */
export class SocketRefused extends Error {
  readonly status: number;
  readonly body: string;

  constructor(status: number, body: string) {
    super(`the API server opens no stream: HTTP ${status}`);
    this.name = "SocketRefused";
    this.status = status;
    this.body = body;
  }
}

/** One request. */
export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Which pool of connections. Default "request". */
  readonly pool?: "request" | "watch";
  readonly signal: AbortSignal;
}

/** The answer's head; the body is read as it comes, with backpressure. */
export interface HttpResponse {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Read once, or `cancel`. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Gives the connection up without reading the rest. */
  cancel(): void;
}

/** A connection that carries several byte streams both ways, as exec and attach do. */
export interface SocketRequest {
  /** With query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Subprotocols, best first. */
  readonly protocols: readonly string[];
  readonly signal: AbortSignal;
}

/** Sends requests. Rejects only when there is no answer: refused, reset, aborted. */
export interface Transport {
  send(request: HttpRequest): Promise<HttpResponse>;
  /** Opens a WebSocket. Rejects with `SocketRefused` when the server answers with something else. */
  openSocket?(request: SocketRequest): Promise<WebSocket>;
  /** Ends idle connections; nothing may be sent afterwards. */
  close(): void;
}
