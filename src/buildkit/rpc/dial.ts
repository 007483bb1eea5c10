// Endpoint → Channel for ordinary calls.
import type { Channel } from "./channel.ts";
import type { Endpoint } from "./endpoint.ts";
import { Http2Channel } from "./http2-channel.ts";
import { linkTo } from "./sockets.ts";

/**
 * A channel with a connection of its own. Nothing is dialled before the first call. Throws BuildkitError
 * Builder/TlsInvalid for unusable PEM.
 */
export function dial(endpoint: Endpoint): Channel {
  return new Http2Channel(linkTo(endpoint));
}
