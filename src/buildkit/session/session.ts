// One session with a daemon: the Session call, the tunnel in it, the server in that. Opened before a solve,
// closed after it; anything between that ends it fails the build, so nothing here half-closes early.
import { randomBytes } from "node:crypto";
import { Control } from "../../gen/moby/buildkit/v1/control_pb.ts";
import type { CallHeaders, Channel } from "../rpc/channel.ts";
import { methodTable, type Attachable } from "./attachable.ts";
import { headerValue } from "./frames.ts";
import { serveSession } from "./server.ts";
import { Tunnel } from "./tunnel.ts";

const closeDeadlineMs = 5_000;
const healthMethod = "/grpc.health.v1.Health/Check";

/** An open session. */
export interface Session {
  /** Names it in a solve request. */
  readonly id: string;
  /** Settles when the daemon is gone from it: with the error of the Session call, or undefined after a clean end. */
  readonly ended: Promise<Error | undefined>;
  /** Half-closes and waits for the daemon's end, at most 5 s; then cuts. Only after the solve is over. */
  close(): Promise<void>;
}

/** How a session opens. */
export interface SessionOptions {
  readonly attachables: readonly Attachable[];
  readonly sharedKey?: string | undefined;
  /** Further headers of the Session call; tests ask for quick health checks with one. */
  readonly headers?: CallHeaders | undefined;
}

/** 25 base36 digits from a good source, as BuildKit's own ids. */
export function newSessionId(): string {
  const number = BigInt(`0x${randomBytes(17).toString("hex")}`);
  return number.toString(36).padStart(25, "0").slice(-25);
}

function sessionHeaders(id: string, options: SessionOptions): CallHeaders {
  // Without a key, files of one session must not be taken for those of another: the daemon would compare just
  // size and time.
  const { value, encoded } = headerValue(options.sharedKey ?? id);
  const methods = [...methodTable(options.attachables).keys(), healthMethod];
  return [
    ["x-docker-expose-session-uuid", id],
    ["x-docker-expose-session-sharedkey", value],
    ...(encoded ? [["x-docker-expose-session-sharedkey-encoded", "1"] as const] : []),
    ...methods.map((path) => ["x-docker-expose-session-grpc-method", path] as const),
    ...(options.headers ?? []),
  ];
}

/** Opens a session on a connection. Returns at once: the daemon waits for a session that a solve names. */
export function openSession(channel: Channel, options: SessionOptions): Session {
  const id = newSessionId();
  const call = channel.bidi(Control.method.session, sessionHeaders(id, options));
  let failure: Error | undefined;
  call.on("error", (error: Error) => (failure = error));
  const ended = new Promise<Error | undefined>((resolve) => {
    call.on("status", () => setImmediate(() => resolve(failure)));
  });
  const tunnel = new Tunnel(call);
  tunnel.on("error", () => {}); // `ended` carries it
  const server = serveSession(tunnel, methodTable(options.attachables));
  void ended.then(() => server.destroy());
  return {
    id,
    ended,
    async close() {
      call.end();
      const cut = setTimeout(() => call.cancel(), closeDeadlineMs);
      await ended;
      clearTimeout(cut);
      server.destroy();
      await server.closed;
    },
  };
}
