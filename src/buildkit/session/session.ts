// One session with a daemon: opened before a solve, closed after it. Anything between that ends it fails the
// build, so nothing here half-closes early.
import { randomBytes } from "node:crypto";
import { Control } from "../../gen/moby/buildkit/v1/control_pb.ts";
import type { ByteStream } from "../http2/byte-stream.ts";
import { defaultKeepalive, type Keepalive } from "../http2/keepalive.ts";
import { connectionFailed } from "../rpc/call-error.ts";
import { methodPath, type CallHeaders } from "../rpc/channel.ts";
import { requestHead } from "../rpc/http2-channel.ts";
import type { Link } from "../rpc/link.ts";
import { methodTable, type Attachable } from "./attachable.ts";
import { headerValue } from "./frames.ts";
import { healthMethod, serveSession } from "./server.ts";
import { Tunnel, tunnelFrameBytes } from "./tunnel.ts";

const closeDeadlineMs = 5_000;
const dialMs = 20_000;

/** An open session. */
export interface Session {
  /** Names it in a solve request. */
  readonly id: string;
  /** Settles when the daemon is gone from it: with the error of the Session call, or undefined after a clean end. */
  readonly ended: Promise<Error | undefined>;
  /**
   * Ends it and waits for the daemon's end, at most 5 s; then cuts. Waits, at most 5 s again, for what the end cut
   * off, such as the removal of half a file. Only after the solve is over.
   */
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

/** What an opened way of a session can do. */
interface Way {
  readonly ended: Promise<Error | undefined>;
  /** Resolves once no method of ours is in flight. */
  settled(): Promise<void>;
  /** Asks the daemon to end it. */
  end(): void;
  /** Ends it at once. */
  cut(): void;
}

/**
 * Opens a session as a Session call on a link. Returns at once: the daemon waits for a session that a solve names.
 */
export function sessionOnLink(link: Link, options: SessionOptions): Session {
  const id = newSessionId();
  const methods = methodTable(options.attachables);
  return sessionOf(id, async (signal) => {
    const connection = await link.connection(signal);
    const { promise: ended, resolve } = Promise.withResolvers<Error | undefined>();
    const head = requestHead(methodPath(Control.method.session), {
      authority: link.authority,
      headers: sessionHeaders(id, options),
    });
    let tunnel: Tunnel | undefined;
    const stream = connection.request(head, (it) => {
      tunnel = new Tunnel(it);
      return tunnel.streamSink(resolve);
    });
    connection.widen(stream);
    const server = serveSession(tunnel ?? new Tunnel(stream), methods, {
      sendFrameBytes: tunnelFrameBytes,
    });
    void ended.then(() => server.destroy());
    const settled = (): Promise<void> => server.settled();
    return { ended, settled, end: () => stream.end(), cut: () => stream.reset() };
  });
}

/** Dials the way of one session, which its headers describe. */
export type SessionDialer = (headers: CallHeaders, signal: AbortSignal) => Promise<ByteStream>;

/** Opens a session on bytes of its own, on which the daemon is the client: Docker's "/session". */
export function sessionOnBytes(
  dial: SessionDialer,
  options: SessionOptions,
  keepalive: Keepalive = defaultKeepalive,
): Session {
  const id = newSessionId();
  const methods = methodTable(options.attachables);
  return sessionOf(id, async (signal) => {
    const bytes = await dial(sessionHeaders(id, options), signal);
    const server = serveSession(bytes, methods, { keepalive });
    const cut = (): void => server.destroy();
    return { ended: server.closed, settled: () => server.settled(), end: cut, cut };
  });
}

function sessionOf(id: string, open: (signal: AbortSignal) => Promise<Way>): Session {
  const givenUp = new AbortController();
  const opening = open(AbortSignal.any([givenUp.signal, AbortSignal.timeout(dialMs)]));
  const ended = opening.then((way) => way.ended).catch(connectionFailed);
  return {
    id,
    ended,
    async close() {
      givenUp.abort();
      const way = await opening.catch(() => undefined);
      way?.end();
      const cut = setTimeout(() => way?.cut(), closeDeadlineMs);
      await ended;
      clearTimeout(cut);
      await settledOrLate(way);
    },
  };
}

async function settledOrLate(way: Way | undefined): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, closeDeadlineMs);
  await Promise.race([way?.settled(), late.promise]);
  clearTimeout(timer);
}
