// Endpoint → bytes: dials TCP, TLS and unix sockets, takes other streams as they are, upgrades Docker's API.
import { connect as connectSocket, isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { DuplexBytes, SocketBytes, bufferReader, type ByteStream } from "../http2/byte-stream.ts";
import type { Keepalive } from "../http2/keepalive.ts";
import type { DockerEndpoint, Endpoint, TcpEndpoint, UnixEndpoint } from "./endpoint.ts";
import { Link } from "./link.ts";
import { checkedTls, type CheckedTls } from "./tls.ts";
import { upgrade } from "./upgrade.ts";

const tcpKeepaliveMs = 30_000;

/** How connections are watched; the defaults notice a dead peer within 30 s. */
export interface LinkTuning {
  readonly keepalive?: Keepalive;
  /** The longest that dialling may take, in milliseconds. */
  readonly dialDeadlineMs?: number;
}

/** A lazy connection to BuildKit's API. Throws BuildkitError Builder/TlsInvalid for unusable PEM. */
export function linkTo(endpoint: Endpoint, tuning: LinkTuning = {}): Link {
  const dial = dialerOf(endpoint);
  return new Link({ ...tuning, dial, authority: authorityOf(endpoint) });
}

function dialerOf(endpoint: Endpoint): (signal: AbortSignal) => Promise<ByteStream> {
  switch (endpoint.kind) {
    case "docker":
      return dockerDialer(endpoint, { path: "/grpc", headers: [] });
    case "stream":
      return async (signal) => new DuplexBytes(await endpoint.dial(signal));
    case "tcp":
    case "unix": {
      const tls = checkedTls(endpoint.kind === "tcp" ? endpoint.tls : undefined);
      return async (signal) => {
        const reader = bufferReader();
        const socket = openSocket(endpoint, { tls, alpn: ["h2"], onread: reader.onread });
        const bytes = new SocketBytes(socket, reader);
        await connected(socket, signal);
        return bytes;
      };
    }
  }
}

/** Dials one of the paths of Docker's API that become HTTP/2: "/grpc", or "/session" with a session's headers. */
export function dockerDialer(
  { engine }: DockerEndpoint,
  request: { readonly path: string; readonly headers: readonly (readonly [string, string])[] },
): (signal: AbortSignal) => Promise<ByteStream> {
  const tls = checkedTls(engine.kind === "tcp" ? engine.tls : undefined);
  return async (signal) => {
    const stream = await openEngine(engine, tls, signal);
    const asked = { ...request, host: engineHost(engine) };
    return new DuplexBytes(await upgrade(stream, asked, signal));
  };
}

/** The Host that Docker's own client sends over sockets that have no name. */
const dockerHost = "api.moby.localhost";

/** Where a Docker engine's API is. */
export type Engine = DockerEndpoint["engine"];

/**
 * A fresh connection to an engine's API, for one HTTP/1.1 exchange. Rejects with the socket's error, or when the signal
 * aborts. Throws BuildkitError Builder/TlsInvalid for unusable PEM.
 */
export async function dialEngine(engine: Engine, signal: AbortSignal): Promise<Duplex> {
  return await openEngine(
    engine,
    checkedTls(engine.kind === "tcp" ? engine.tls : undefined),
    signal,
  );
}

/** The Host header of requests to an engine. */
export function engineHost(engine: Engine): string {
  return engine.kind === "tcp" ? `${bracketed(engine.host)}:${engine.port}` : dockerHost;
}

async function openEngine(engine: Engine, tls: CheckedTls, signal: AbortSignal): Promise<Duplex> {
  if (engine.kind === "stream") return engine.dial(signal);
  const socket = openSocket(engine, { tls, alpn: ["http/1.1"] });
  await connected(socket, signal);
  return socket;
}

interface SocketOptions {
  readonly tls: CheckedTls;
  readonly alpn: string[];
  readonly onread?: ReturnType<typeof bufferReader>["onread"];
}

function openSocket(endpoint: TcpEndpoint | UnixEndpoint, options: SocketOptions): Socket {
  const onread = options.onread === undefined ? {} : { onread: options.onread };
  if (endpoint.kind === "unix") return connectSocket({ path: endpoint.path, ...onread });
  const { host, port, tls } = endpoint;
  const address = { host, port, noDelay: true, keepAlive: true, ...onread };
  if (tls === undefined)
    return connectSocket({ ...address, keepAliveInitialDelay: tcpKeepaliveMs });
  const name = tls.serverName ?? host;
  // Not imported, for what it would cost of every start (tls.ts).
  const { checkServerIdentity, connect: connectTls } = process.getBuiltinModule("node:tls");
  return connectTls({
    ...address,
    ...options.tls,
    ALPNProtocols: options.alpn,
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
    ...(isIP(name) === 0 ? { servername: name } : {}), // an address is no server name (RFC 6066)
  }).setKeepAlive(true, tcpKeepaliveMs);
}

/** Settles when the socket can be written to, for TLS after the handshake. Destroys it when it fails. */
function connected(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      socket.off(ready, done).off("error", settle).off("close", gone);
      signal.removeEventListener("abort", abort);
      if (error === undefined) {
        resolve();
        return;
      }
      socket.on("error", () => {}); // what else happens to it is nobody's concern
      socket.destroy();
      reject(error);
    };
    const done = (): void => settle();
    const gone = (): void => settle(new Error("the connection was closed while it was made"));
    const abort = (): void => settle(new Error("dialling was given up"));
    const ready = "encrypted" in socket ? "secureConnect" : "connect";
    socket.on(ready, done).on("error", settle).on("close", gone);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort);
  });
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** What calls say as the name of the server; a path is none that Go's server takes. */
function authorityOf(endpoint: Endpoint): string {
  if (endpoint.kind !== "tcp") return "localhost";
  return endpoint.tls?.serverName ?? `${bracketed(endpoint.host)}:${endpoint.port}`;
}
