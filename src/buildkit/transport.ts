// Endpoint → what one solve runs on: a connection of its own with its calls and its session.
import type { Channel } from "./rpc/channel.ts";
import type { Endpoint } from "./rpc/endpoint.ts";
import { Http2Channel } from "./rpc/http2-channel.ts";
import { dockerDialer, linkTo, type LinkTuning } from "./rpc/sockets.ts";
import {
  sessionOnBytes,
  sessionOnLink,
  type Session,
  type SessionOptions,
} from "./session/session.ts";

/** Calls and sessions to one daemon; nothing is shared with anybody else. */
export interface Transport {
  readonly channel: Channel;
  /** Opens a session. Returns at once: the daemon waits for a session that a solve names. */
  openSession(options: SessionOptions): Session;
  /** Ends the connection; a session should be closed before. */
  close(): void;
}

/**
 * Dials nothing yet; throws BuildkitError Builder/TlsInvalid for unusable PEM. Calls and session share one
 * connection: the daemon's health checks keep it known to be alive, which a call that waits for a long step would
 * not. Only Docker's API has another connection for each.
 */
export function transportOf(endpoint: Endpoint, tuning: LinkTuning = {}): Transport {
  const link = linkTo(endpoint, tuning);
  const channel = new Http2Channel(link);
  return {
    channel,
    openSession(options) {
      if (endpoint.kind !== "docker") return sessionOnLink(link, options);
      return sessionOnBytes(
        (headers, signal) => dockerDialer(endpoint, { path: "/session", headers })(signal),
        options,
        tuning.keepalive,
      );
    },
    close: () => channel.close(),
  };
}
