// Where a buildkitd is, and how it proves who it is. Pure.
import type { Duplex } from "node:stream";
import { KilnError } from "../../errors/index.ts";

/** PEM texts for a TLS connection. `cert` and `key` come together: the client certificate of mutual TLS. */
export interface TlsMaterial {
  readonly ca: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /** The name the server's certificate must hold. Default: the host that is dialled. */
  readonly serverName?: string;
}

/** A listener on TCP; with `tls`, behind TLS. */
export interface TcpEndpoint {
  readonly kind: "tcp";
  readonly host: string;
  readonly port: number;
  readonly tls?: TlsMaterial;
}

/** A listener on a unix socket. */
export interface UnixEndpoint {
  readonly kind: "unix";
  readonly path: string;
}

/** Any bytes that lead to a buildkitd: an exec, a WebSocket, the stdio of ssh. */
export interface StreamEndpoint {
  readonly kind: "stream";
  /** What to call it in messages, such as "kube-pod://builder-0". */
  readonly name: string;
  /** Opens a fresh one. Must give up when the signal aborts. */
  readonly dial: (signal: AbortSignal) => Promise<Duplex>;
}

/** The BuildKit inside a Docker engine, behind the engine's API. */
export interface DockerEndpoint {
  readonly kind: "docker";
  readonly engine: TcpEndpoint | UnixEndpoint | StreamEndpoint;
}

/** A buildkitd that can be dialled. */
export type Endpoint = TcpEndpoint | UnixEndpoint | StreamEndpoint | DockerEndpoint;

/** What an endpoint may look like, for messages. */
export const endpointForms = '"tcp://host:port" or "unix:///path/to/buildkitd.sock"';

function invalid(text: string, why: string): KilnError {
  return new KilnError({
    class: "User",
    reason: "InvalidEndpoint",
    message: `Endpoint "${text}" ${why}; write ${endpointForms}.`,
  });
}

/**
 * Reads `tcp://host:port` (IPv6 hosts in brackets) or `unix:///path`.
 * Throws KilnError User/InvalidEndpoint for anything else, and for TLS on a unix socket.
 */
export function parseEndpoint(text: string, tls?: TlsMaterial): TcpEndpoint | UnixEndpoint {
  const unix = /^unix:\/\/(\/.+)$/.exec(text);
  if (unix?.[1] !== undefined) {
    if (tls !== undefined) throw invalid(text, "is a unix socket, which takes no TLS");
    return { kind: "unix", path: unix[1] };
  }
  const tcp = /^tcp:\/\/(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text);
  if (tcp === null) throw invalid(text, "is not one Kiln can dial");
  const port = Number(tcp[3]);
  if (port < 1 || port > 65_535) throw invalid(text, `has no valid port`);
  const host = tcp[1] ?? tcp[2] ?? "";
  return tls === undefined ? { kind: "tcp", host, port } : { kind: "tcp", host, port, tls };
}

/** A tcp or unix endpoint as `parseEndpoint` reads it, others by name; never shows TLS material. */
export function endpointText(endpoint: Endpoint): string {
  switch (endpoint.kind) {
    case "unix":
      return `unix://${endpoint.path}`;
    case "tcp": {
      const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
      return `tcp://${host}:${endpoint.port}`;
    }
    case "stream":
      return endpoint.name;
    case "docker":
      return `docker+${endpointText(endpoint.engine)}`;
  }
}
