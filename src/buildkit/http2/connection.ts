// An HTTP/2 connection in either role over any byte stream (RFC 9113): streams, flow control both ways, limits.
import type { ByteStream } from "./byte-stream.ts";
import { FrameParser } from "./frame-parser.ts";
import { maxHeaderListBytes, type StreamHeaders } from "./headers/header-blocks.ts";
import { Inbound, type InboundHost } from "./inbound.ts";
import { type Keepalive, KeepaliveWatch } from "./keepalive.ts";
import { ReceiveWindow } from "./limits.ts";
import { Outbound, type OutboundHost } from "./outbound.ts";
import {
  defaultWindowBytes,
  errorCode,
  Http2Error,
  preface,
  setting,
  type HeaderList,
} from "./protocol.ts";
import { Http2Stream, type StreamHost, type StreamSink } from "./stream.ts";

/** What a stream that carries bulk is given with `widen`: bandwidth is at most this for each round trip. */
export const bulkWindowBytes = 16 * 1024 * 1024;
/** How many streams of a connection may be so wide at once; the others keep 64 KiB. */
const maxBulkStreams = 8;
const maxPeerStreams = 1024;
/**
 * The connection's own window is the sum of all that streams may hold, so that a stream whose reader is slow
 * never keeps another one waiting: health checks come in whatever else stands still.
 */
const connectionWindowBytes = maxBulkStreams * bulkWindowBytes + maxPeerStreams * 65_536;

const lingerMs = 1000;

/** Begins what streams are told when the peer has not spoken HTTP/2 yet: there never was a connection. */
export const neverGreeted = "no connection";

/** How a connection is run. */
export interface ConnectionOptions {
  readonly role: "client" | "server";
  /** A server's new stream: who takes it. */
  readonly accept?: (stream: Http2Stream, headers: HeaderList) => StreamSink;
  /** Largest payload of the DATA that we send; inside another HTTP/2, so that both kinds of frames meet. */
  readonly sendFrameBytes?: number;
  readonly keepalive?: Keepalive;
}

/** A connection; speaks as soon as it is made. */
export class Http2Connection implements StreamHost, InboundHost, OutboundHost {
  /** Settles when it is over: undefined after a clean end. */
  readonly closed: Promise<Error | undefined>;
  readonly #bytes: ByteStream;
  readonly #options: ConnectionOptions;
  readonly #inbound: Inbound;
  readonly #outbound: Outbound;
  readonly #streams = new Map<number, Http2Stream>();
  /** Requests that wait until the peer allows another stream. */
  readonly #waiting: { readonly stream: Http2Stream; readonly headers: HeaderList }[] = [];
  readonly #receiveWindow = new ReceiveWindow(defaultWindowBytes);
  readonly #bulk = new Set<Http2Stream>();
  readonly #keepalive: KeepaliveWatch | undefined;
  #nextId: number;
  #peerWindowBytes = defaultWindowBytes;
  #peerMaxStreams = Infinity;
  #leaving = false;
  #over = false;
  #cut: NodeJS.Timeout | undefined;
  #settle: (error: Error | undefined) => void = () => {};

  constructor(bytes: ByteStream, options: ConnectionOptions) {
    this.#bytes = bytes;
    this.#options = options;
    this.#nextId = options.role === "client" ? 1 : 2;
    this.closed = new Promise((resolve) => (this.#settle = resolve));
    this.#outbound = new Outbound(bytes, this, options.sendFrameBytes);
    this.#inbound = new Inbound(this, this.#outbound.writer, options.role);
    if (options.keepalive !== undefined) this.#keepalive = this.#watch(options.keepalive);
    this.#greet();
    const parser = new FrameParser(this.#inbound, options.role === "server");
    bytes.open({
      bytes: (chunk) => this.#take(parser, chunk),
      drained: () => this.#outbound.drained(),
      closed: (error) => this.#end(error),
    });
    this.#outbound.flush();
  }

  /** Whether new requests can be made. */
  get usable(): boolean {
    return !this.#leaving && !this.#over;
  }

  /** Whether the peer has shown that it speaks HTTP/2. */
  get greeted(): boolean {
    return this.#inbound.greeted;
  }

  /** Opens a stream, at once or when the peer allows one more. The sink hears `closed` when it can't be opened. */
  request(headers: HeaderList, makeSink: (stream: Http2Stream) => StreamSink): Http2Stream {
    const stream = new Http2Stream(this, this.#peerWindowBytes, makeSink);
    if (!this.usable) {
      const error = new Http2Error(errorCode.refusedStream, "the connection has ended", true);
      setImmediate(() => stream.close(error));
    } else if (this.#streams.size >= this.#peerMaxStreams) this.#waiting.push({ stream, headers });
    else this.#openStream(stream, headers);
    return stream;
  }

  /** Takes no more streams; ends when those in flight have ended. */
  close(): void {
    if (this.#leaving || this.#over) return;
    this.#leaving = true;
    this.#outbound.writer.goAway(this.#inbound.lastPeerStream, errorCode.noError, "");
    this.#endIfIdle();
    this.#outbound.flush();
  }

  /** Ends it at once, streams and all. */
  destroy(error?: Error): void {
    this.#end(error);
    this.#bytes.destroy();
  }

  // What streams ask for.

  wake(stream: Http2Stream): void {
    if (stream.id !== 0 && !this.#over) this.#outbound.wake(stream);
  }

  sendHeaders(stream: Http2Stream, headers: HeaderList): void {
    this.#outbound.headers(stream, headers);
    this.#outbound.schedule();
  }

  sendReset(stream: Http2Stream, code: number): void {
    if (stream.id === 0) return;
    this.#outbound.writer.reset(stream.id, code);
    this.#outbound.schedule();
  }

  credit(stream: Http2Stream, bytes: number, grant: number): void {
    if (stream.closed) this.#forget(stream);
    if (this.#over) return;
    if (grant > 0) this.#outbound.writer.windowUpdate(stream.id, grant);
    this.refund(bytes);
    if (this.#outbound.writer.bytes > 0) this.#outbound.schedule();
  }

  sendGrant(stream: Http2Stream, bytes: number): void {
    if (stream.id !== 0 && !this.#over) this.#outbound.writer.windowUpdate(stream.id, bytes);
    this.#outbound.schedule();
  }

  /** Gives a stream the window for bulk, unless many have it already. */
  widen(stream: Http2Stream): void {
    if (this.#bulk.size >= maxBulkStreams || stream.closed) return;
    this.#bulk.add(stream);
    stream.widen(bulkWindowBytes);
  }

  // What comes in, for Inbound.

  spoke(): void {
    this.#keepalive?.spoke();
  }

  /** Data came on any stream; throws Http2Error when the peer may not send so much. */
  spend(bytes: number): void {
    this.spoke();
    this.#receiveWindow.received(bytes);
  }

  /** The connection's window is given back. */
  refund(bytes: number): void {
    const grant = this.#receiveWindow.consumed(bytes);
    if (grant > 0 && !this.#over) this.#outbound.writer.windowUpdate(0, grant);
  }

  stream(id: number): Http2Stream | undefined {
    return this.#streams.get(id);
  }

  /** Whether we may have opened this stream once. */
  opened(id: number): boolean {
    return id % 2 === this.#nextId % 2 && id < this.#nextId;
  }

  /** A new stream of the peer. */
  accept({ streamId, headers, end }: StreamHeaders): void {
    const { accept } = this.#options;
    if (accept === undefined || this.#leaving || this.#streams.size >= maxPeerStreams) {
      this.#outbound.writer.reset(streamId, errorCode.refusedStream);
      return;
    }
    const stream = new Http2Stream(this, this.#peerWindowBytes, (it) => {
      it.id = streamId;
      this.#streams.set(streamId, it);
      return accept(it, headers);
    });
    if (end) stream.endRemote();
  }

  /** The peer's settings; throws Http2Error FLOW_CONTROL_ERROR. */
  configure(values: ReadonlyMap<number, number>): void {
    this.#peerMaxStreams = values.get(setting.maxConcurrentStreams) ?? this.#peerMaxStreams;
    const window = values.get(setting.initialWindowSize);
    if (window !== undefined) {
      const change = window - this.#peerWindowBytes;
      this.#peerWindowBytes = window;
      for (const stream of [...this.#streams.values(), ...this.#waiting.map((it) => it.stream)])
        this.grow(stream, change);
    }
    this.#openWaiting();
  }

  /** The peer lets us send more (or, by its settings, less): on a stream, or in all. */
  grow(stream: Http2Stream | undefined, bytes: number): void {
    if (this.#outbound.grow(stream, bytes)) return;
    const error = new Http2Error(errorCode.flowControlError, "a window is too large");
    if (stream === undefined) throw error;
    stream.reset(errorCode.flowControlError, error);
  }

  /**
   * The peer leaves: it has not looked at our streams above this one. With an error it must hang up as well (RFC 9113,
   * 5.4.1); one that does not would keep our streams waiting for ever.
   */
  goneAway(lastStreamId: number, error: Http2Error): void {
    this.#leaving = true;
    const refused = new Http2Error(error.code, error.message, true);
    for (const { stream } of this.#waiting.splice(0)) stream.close(refused);
    for (const stream of [...this.#streams.values()])
      if (this.opened(stream.id) && stream.id > lastStreamId) stream.close(refused);
    if (error.code !== errorCode.noError)
      this.#cutSoon(new Http2Error(errorCode.noError, error.message));
    this.#endIfIdle();
  }

  takeTableChange(): boolean {
    return this.#inbound.takeTableChange();
  }

  /** Tells the peer why, then ends. */
  fail(error: Http2Error): void {
    if (this.#over) return;
    this.#outbound.writer.goAway(this.#inbound.lastPeerStream, error.code, error.message);
    this.#hangUp();
    this.#end(error);
  }

  #greet(): void {
    const common = [[setting.maxHeaderListSize, maxHeaderListBytes]] as const;
    if (this.#options.role === "client") {
      this.#outbound.writer.add(preface);
      this.#outbound.writer.settings([[setting.enablePush, 0], ...common]);
    } else
      this.#outbound.writer.settings([[setting.maxConcurrentStreams, maxPeerStreams], ...common]);
    this.#outbound.writer.windowUpdate(0, this.#receiveWindow.widen(connectionWindowBytes));
  }

  #watch(times: Keepalive): KeepaliveWatch {
    return new KeepaliveWatch(times, {
      ping: () => {
        this.#outbound.writer.ping(Buffer.alloc(8), false);
        this.#outbound.flush();
      },
      dead: () => {
        const ms = times.idleMs + times.answerMs;
        this.destroy(new Http2Error(errorCode.noError, `the peer was silent for ${ms} ms`));
      },
    });
  }

  #take(parser: FrameParser, chunk: Buffer): void {
    if (this.#over) return;
    this.#keepalive?.heard();
    this.#outbound.batch(() => {
      try {
        parser.push(chunk);
      } catch (error) {
        const message = error instanceof Error ? error.message : "";
        this.fail(
          error instanceof Http2Error ? error : new Http2Error(errorCode.internalError, message),
        );
      }
    });
  }

  #hangUp(): void {
    this.#outbound.stop();
    this.#bytes.end();
    this.#cutSoon();
  }

  /** What the peer does meanwhile is its own affair. */
  #cutSoon(error?: Error): void {
    if (this.#cut !== undefined) return;
    this.#cut = setTimeout(() => this.destroy(error), lingerMs).unref();
  }

  #end(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#keepalive?.stop();
    const why = this.#reasonOf(error);
    for (const { stream } of this.#waiting.splice(0)) stream.close(why);
    for (const stream of [...this.#streams.values()]) stream.close(why);
    this.#outbound.stop();
    this.#settle(error);
  }

  /** What streams are told. */
  #reasonOf(error: Error | undefined): Http2Error {
    const text = error?.message ?? "the connection has ended";
    if (!this.greeted) return new Http2Error(errorCode.noError, `${neverGreeted}: ${text}`);
    return error instanceof Http2Error ? error : new Http2Error(errorCode.noError, text);
  }

  #openStream(stream: Http2Stream, headers: HeaderList): void {
    stream.id = this.#nextId;
    this.#nextId += 2;
    this.#streams.set(stream.id, stream);
    this.#outbound.headers(stream, headers);
    this.#outbound.wake(stream);
  }

  #openWaiting(): void {
    while (this.#streams.size < this.#peerMaxStreams) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      if (!next.stream.closed) this.#openStream(next.stream, next.headers);
    }
  }

  #forget(stream: Http2Stream): void {
    this.#outbound.forget(stream);
    this.#bulk.delete(stream);
    if (!this.#streams.delete(stream.id)) return;
    this.#openWaiting();
    this.#endIfIdle();
  }

  #endIfIdle(): void {
    if (this.#leaving && this.#streams.size === 0 && !this.#over) this.#hangUp();
  }
}
