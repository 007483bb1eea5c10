// Endpoint → Channel for ordinary calls: grpc-js for sockets, with TLS, names, limits and keepalive; our own HTTP/2
// for what grpc-js can't dial. Nothing is dialled before the first call.
import { Client, credentials, type ChannelCredentials, type ChannelOptions } from "@grpc/grpc-js";
import type { Channel } from "./channel.ts";
import type { Endpoint, TcpEndpoint, UnixEndpoint } from "./endpoint.ts";
import { GrpcJsChannel } from "./grpc.ts";
import { Http2Channel } from "./http2-channel.ts";
import { linkTo } from "./sockets.ts";
import { checkedTls } from "./tls.ts";

const maxMessageBytes = 16 * 1024 * 1024; // what buildkitd takes and sends (v0.34.2, defaults of containerd)
const windowBytes = 16 * 1024 * 1024;

/**
 * A dead peer is noticed within 10 + 10 s while calls run. grpc-go ends a connection that pings more often
 * than every 5 minutes, unless it sent data in between: the health checks of a session (every 5 s) see to
 * that, and calls without a session have deadlines shorter than three pings.
 */
const keepalive: ChannelOptions = {
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.keepalive_permit_without_calls": 0,
};

const base: ChannelOptions = {
  ...keepalive,
  "grpc.max_receive_message_length": maxMessageBytes,
  "grpc.max_send_message_length": maxMessageBytes,
  "grpc-node.flow_control_window": windowBytes,
  "grpc-node.max_session_memory": 64, // megabytes; the default of 10 is less than one window
  "grpc.enable_http_proxy": 0, // a proxy for the internet must not catch a builder's address
  "grpc.service_config_disable_resolution": 1,
  "grpc.use_local_subchannel_pool": 1, // a connection per client: a solve shares it with nobody
  "grpc.initial_reconnect_backoff_ms": 200,
  "grpc.max_reconnect_backoff_ms": 5_000,
};

/** What grpc-js is to dial: "unix:/path", "dns:host:port", "ipv4:…", "ipv6:…". */
export function targetOf(endpoint: TcpEndpoint | UnixEndpoint): string {
  if (endpoint.kind === "unix") return `unix:${endpoint.path}`;
  const { host, port } = endpoint;
  if (host.includes(":")) return `ipv6:[${host}]:${port}`;
  return /^\d+\.\d+\.\d+\.\d+$/.test(host) ? `ipv4:${host}:${port}` : `dns:${host}:${port}`;
}

function tlsCredentials(endpoint: TcpEndpoint): ChannelCredentials {
  const { ca, cert, key } = checkedTls(endpoint.tls);
  return credentials.createSsl(ca ?? null, key ?? null, cert ?? null);
}

/** Options and credentials of an endpoint. */
function channel(endpoint: TcpEndpoint | UnixEndpoint): {
  creds: ChannelCredentials;
  options: ChannelOptions;
} {
  if (endpoint.kind === "unix") {
    // The path is no authority that Go's server takes.
    return {
      creds: credentials.createInsecure(),
      options: { ...base, "grpc.default_authority": "localhost" },
    };
  }
  if (endpoint.tls === undefined) return { creds: credentials.createInsecure(), options: base };
  const name = endpoint.tls.serverName ?? endpoint.host;
  return {
    creds: tlsCredentials(endpoint),
    options: { ...base, "grpc.ssl_target_name_override": name, "grpc.default_authority": name },
  };
}

/** A channel with a connection of its own. Throws BuildkitError Builder/TlsInvalid for unusable PEM. */
export function dial(endpoint: Endpoint): Channel {
  if (endpoint.kind === "stream" || endpoint.kind === "docker")
    return new Http2Channel(linkTo(endpoint));
  const { creds, options } = channel(endpoint);
  return new GrpcJsChannel(new Client(targetOf(endpoint), creds, options));
}
