// The real Transport: node:https with keep-alive pools, credentials from KubeConfig.

import { Agent as HttpAgent, request as httpRequest } from "node:http";
import type { IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { systemClock } from "../../runtime/clock.ts";
import type { Clock } from "../../runtime/clock.ts";
import { Credentials, sameTls } from "./credentials.ts";
import type { Access, AccessSource, TlsMaterial } from "./credentials.ts";
import type { WebSocket } from "ws";
import type { HttpRequest, HttpResponse, SocketRequest, Transport } from "./transport.ts";
import { openWebSocket } from "./web-socket.ts";

/** Connections for requests; more than this wait in line. Watches have one connection each. */
const maxRequestSockets = 64;
/** First TCP keep-alive probe: below the 60 s after which cloud load balancers drop idle connections. */
const keepAliveMsecs = 30_000;

interface Pools {
  readonly tls: TlsMaterial;
  readonly request: HttpAgent;
  readonly watch: HttpAgent;
}

/** Options of `socketTransport`. */
export interface SocketOptions {
  readonly userAgent?: string;
  readonly clock?: Clock;
}

/** A transport to the cluster that `source` (a KubeConfig) names. */
export function socketTransport(source: AccessSource, o: SocketOptions = {}): Transport {
  return new SocketTransport(source, o);
}

class SocketTransport implements Transport {
  readonly #credentials: Credentials;
  readonly #userAgent: string;
  #pools: Pools | undefined;
  #closed = false;

  constructor(source: AccessSource, o: SocketOptions) {
    this.#credentials = new Credentials(source, o.clock ?? systemClock);
    this.#userAgent = o.userAgent ?? "kiln";
  }

  async send(request: HttpRequest): Promise<HttpResponse> {
    const response = await this.#send(request);
    if (response.status !== 401) return response;
    // The token may have been rotated since it was read: ask once more with fresh credentials.
    response.cancel();
    this.#credentials.renew();
    return this.#send(request);
  }

  async openSocket(request: SocketRequest): Promise<WebSocket> {
    const access = await this.#credentials.current();
    request.signal.throwIfAborted();
    if (this.#closed) throw new Error("the connection to the API server is closed");
    const headers = { "user-agent": this.#userAgent, ...request.headers };
    return await openWebSocket(access, { ...request, headers });
  }

  close(): void {
    this.#closed = true;
    this.#pools?.request.destroy();
    this.#pools?.watch.destroy();
  }

  async #send(request: HttpRequest): Promise<HttpResponse> {
    const access = await this.#credentials.current();
    request.signal.throwIfAborted();
    if (this.#closed) throw new Error("the connection to the API server is closed");
    const agent = access.proxy ?? this.#poolsFor(access)[request.pool ?? "request"];
    const prefix = access.server.pathname.replace(/\/$/, "");
    const options = {
      method: request.method,
      host: access.server.hostname.replace(/^\[|\]$/g, ""),
      port: access.server.port,
      path: prefix + request.path,
      headers: {
        accept: "application/json",
        "user-agent": this.#userAgent,
        ...access.headers,
        ...request.headers,
        ...(request.body === undefined
          ? {}
          : { "content-length": Buffer.byteLength(request.body) }),
      },
      agent,
      signal: request.signal,
      ...access.tls,
    };
    const open = access.server.protocol === "http:" ? httpRequest : httpsRequest;
    return new Promise((resolve, reject) => {
      const outgoing = open(options, (incoming) => resolve(responseOf(incoming)));
      outgoing.on("error", (error) =>
        reject(request.signal.aborted ? request.signal.reason : error),
      );
      outgoing.end(request.body);
    });
  }

  /** Idle connections of replaced certificates are ended; those in use end with their exchange. */
  #poolsFor(access: Access): Pools {
    const known = this.#pools;
    if (known !== undefined && (known.tls === access.tls || sameTls(known.tls, access.tls))) {
      return known;
    }
    const make = (maxSockets: number): HttpAgent => {
      const shared = { keepAlive: true, keepAliveMsecs, maxSockets, scheduling: "lifo" as const };
      if (access.server.protocol === "http:") return new HttpAgent(shared);
      return new HttpsAgent({ ...shared, ...access.tls });
    };
    this.#pools = {
      tls: access.tls,
      request: make(maxRequestSockets),
      watch: make(Number.POSITIVE_INFINITY),
    };
    if (known !== undefined) endIdle(known);
    return this.#pools;
  }
}

function endIdle(pools: Pools): void {
  for (const agent of [pools.request, pools.watch]) {
    for (const sockets of Object.values(agent.freeSockets)) {
      for (const socket of sockets ?? []) socket.destroy();
    }
  }
}

function responseOf(incoming: IncomingMessage): HttpResponse {
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return {
    status: incoming.statusCode ?? 0,
    headers,
    body: incoming,
    cancel: () => {
      // Without a listener a late reset of the abandoned connection would end the process.
      incoming.on("error", () => undefined);
      incoming.destroy();
    },
  };
}
