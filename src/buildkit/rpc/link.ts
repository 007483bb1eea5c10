// One connection to a daemon that is dialled when it is needed, and anew, with a growing pause, after it broke.
import { grpcStatus } from "../errors/grpc-status.ts";
import type { ByteStream } from "../http2/byte-stream.ts";
import { Http2Connection } from "../http2/connection.ts";
import { defaultKeepalive, type Keepalive } from "../http2/keepalive.ts";
import { CallError, connectionFailed } from "./call-error.ts";

const firstPauseMs = 200;
const maxPauseMs = 5_000;
const dialMs = 20_000;

/** How a link dials. */
export interface LinkOptions {
  /** Gives a fresh byte stream. Must give up when the signal aborts. */
  readonly dial: (signal: AbortSignal) => Promise<ByteStream>;
  /** The name that calls name as theirs. */
  readonly authority: string;
  readonly keepalive?: Keepalive;
  /** The longest that dialling may take, in milliseconds. Default: 20 s. */
  readonly dialDeadlineMs?: number;
}

/** The current connection to one daemon. */
export class Link {
  readonly authority: string;
  readonly #options: LinkOptions;
  #current: Promise<Http2Connection> | undefined;
  #connection: Http2Connection | undefined;
  /** All that are not over: one that its peer leaves still carries the calls that it had. */
  readonly #open = new Set<Http2Connection>();
  #dialling = new AbortController();
  #failures = 0;
  #notBefore = 0;
  #failure: CallError | undefined;
  #closed = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.authority = options.authority;
  }

  /**
   * The connection, dialled if there is none. Rejects with CallError 14 when it can't be made, or could not be
   * made a moment ago: the pause after a failure grows from 200 ms to 5 s. Code 4 when the signal aborts.
   */
  async connection(signal: AbortSignal): Promise<Http2Connection> {
    if (this.#closed) throw new CallError(grpcStatus.unavailable, "the channel is closed");
    if (this.#connection?.usable === true) return this.#connection;
    if (this.#current === undefined) {
      if (this.#failure !== undefined && performance.now() < this.#notBefore) throw this.#failure;
      this.#current = this.#connect();
      this.#current.catch(() => {});
    }
    return await orAbort(this.#current, signal);
  }

  /** Ends every connection and all that runs on it. */
  close(): void {
    this.#closed = true;
    this.#dialling.abort();
    for (const connection of this.#open) connection.destroy();
  }

  async #connect(): Promise<Http2Connection> {
    const { dial, dialDeadlineMs = dialMs, keepalive = defaultKeepalive } = this.#options;
    this.#dialling = new AbortController();
    const late = AbortSignal.timeout(dialDeadlineMs);
    try {
      const dialled = dial(AbortSignal.any([this.#dialling.signal, late]));
      const bytes = await orAbort(dialled, late).catch((error: unknown) => {
        dialled.then((tooLate) => tooLate.destroy()).catch(() => {});
        throw error;
      });
      const connection = new Http2Connection(bytes, { role: "client", keepalive });
      this.#open.add(connection);
      this.#connection = connection;
      this.#watch(connection);
      if (this.#closed) connection.destroy();
      return connection;
    } catch (error) {
      throw this.#failed(late.aborted ? new Error("dialling takes too long") : error);
    } finally {
      this.#current = undefined;
    }
  }

  /** A connection that ends before the peer has said anything counts as a failed dial. */
  #watch(connection: Http2Connection): void {
    void connection.closed.then((error) => {
      this.#open.delete(connection);
      if (this.#connection === connection) this.#connection = undefined;
      if (!connection.greeted) this.#failed(error ?? new Error("the peer hung up"));
      else {
        this.#failures = 0;
        this.#failure = undefined;
      }
    });
  }

  #failed(error: unknown): CallError {
    const pause = Math.min(firstPauseMs * 2 ** this.#failures++, maxPauseMs);
    this.#notBefore = performance.now() + pause;
    this.#failure = connectionFailed(error);
    return this.#failure;
  }
}

/** The promise, or a CallError when the signal aborts first. */
async function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    const abort = (): void =>
      reject(new CallError(grpcStatus.deadlineExceeded, "there was no connection in time"));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    stop = () => signal.removeEventListener("abort", abort);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    stop();
  }
}
