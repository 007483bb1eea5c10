// What a connection does with each frame of its peer: the rules of RFC 9113, and limits on what costs the peer
// nothing but us something (floods of PING, SETTINGS, RST_STREAM, empty DATA).
import { controlFrame, unpadded, type ControlFrame } from "./control-frames.ts";
import type { FrameHandler, FrameHead } from "./frame-parser.ts";
import type { FrameWriter } from "./frame-writer.ts";
import { HeaderBlocks, type StreamHeaders } from "./headers/header-blocks.ts";
import { RateLimit } from "./limits.ts";
import { errorCode, frameType, Http2Error, setting, StreamError } from "./protocol.ts";
import type { Http2Stream } from "./stream.ts";

/** What the frames act upon: the connection. */
export interface InboundHost {
  stream(id: number): Http2Stream | undefined;
  /** Whether we opened this stream, now or earlier. */
  opened(id: number): boolean;
  accept(headers: StreamHeaders): void;
  /** Headers or data came. */
  spoke(): void;
  spend(bytes: number): void;
  refund(bytes: number): void;
  grow(stream: Http2Stream | undefined, bytes: number): void;
  configure(values: ReadonlyMap<number, number>): void;
  goneAway(lastStreamId: number, error: Http2Error): void;
}

/** grpc-go measures bandwidth with PINGs: about a thousand for each GiB. */
const frameLimit = { burst: 20_000, perSecond: 10_000 };
const resetLimit = { burst: 1_000, perSecond: 100 };

/** The receiving half of a connection. Its methods throw Http2Error when the connection can't go on. */
export class Inbound implements FrameHandler {
  readonly #host: InboundHost;
  readonly #writer: FrameWriter;
  readonly #role: "client" | "server";
  readonly #blocks = new HeaderBlocks();
  readonly #frames = new RateLimit(frameLimit.burst, frameLimit.perSecond);
  readonly #resets = new RateLimit(resetLimit.burst, resetLimit.perSecond);
  #lastPeerStream = 0;
  #greeted = false;
  #tableChange = false;

  constructor(host: InboundHost, writer: FrameWriter, role: "client" | "server") {
    this.#host = host;
    this.#writer = writer;
    this.#role = role;
  }

  /** The highest stream of the peer that we have seen; what a GOAWAY of ours says. */
  get lastPeerStream(): number {
    return this.#lastPeerStream;
  }

  /** Whether the peer's settings have come. */
  get greeted(): boolean {
    return this.#greeted;
  }

  /** Whether the next header block must say that we use no header table: the peer has changed its size. */
  takeTableChange(): boolean {
    const changed = this.#tableChange;
    this.#tableChange = false;
    return changed;
  }

  data(streamId: number, chunk: Buffer, end: boolean): void {
    this.#expect(frameType.data, streamId);
    if (chunk.length === 0 && !end) this.#count(this.#frames, "empty frames");
    this.#host.spend(chunk.length);
    this.#forStream(streamId, () => this.#deliver(streamId, chunk, end));
  }

  frame(head: FrameHead, payload: Buffer): void {
    this.#expect(head.type, head.streamId);
    switch (head.type) {
      case frameType.data: {
        const bytes = unpadded(head, payload);
        this.#host.spend(payload.length);
        this.#host.refund(payload.length - bytes.length);
        this.#forStream(head.streamId, () =>
          this.#deliver(head.streamId, bytes, (head.flags & 1) !== 0),
        );
        return;
      }
      case frameType.headers:
      case frameType.continuation: {
        const headers = this.#blocks.push(head, payload);
        if (headers !== undefined) this.#forStream(head.streamId, () => this.#headers(headers));
        return;
      }
      default:
        this.#control(controlFrame(head, payload));
    }
  }

  /** SETTINGS come first, and nothing between the frames of a header block. */
  #expect(type: number, streamId: number): void {
    if (!this.#greeted && type !== frameType.settings)
      throw new Http2Error(errorCode.protocolError, "the peer does not begin with its settings");
    this.#greeted = true;
    this.#blocks.expect(type, streamId);
    const onStream =
      type === frameType.data || type === frameType.headers || type === frameType.continuation;
    if (onStream && streamId === 0)
      throw new Http2Error(errorCode.protocolError, `frame type ${type} names no stream`);
  }

  /** A StreamError resets its stream, and the connection goes on. */
  #forStream(streamId: number, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      this.#count(this.#resets, "faulty streams");
      const stream = this.#host.stream(streamId);
      if (stream === undefined) this.#writer.reset(streamId, error.code);
      else stream.reset(error.code, error);
    }
  }

  #deliver(streamId: number, chunk: Buffer, end: boolean): void {
    const stream = this.#host.stream(streamId);
    if (stream === undefined || stream.remoteEnded) {
      this.#host.refund(chunk.length);
      this.#mustBeKnown(streamId);
      if (stream !== undefined)
        throw new StreamError(streamId, errorCode.streamClosed, "data after the end");
      return;
    }
    stream.receive(chunk);
    if (end) stream.endRemote();
  }

  #headers(list: StreamHeaders): void {
    this.#host.spoke();
    const { streamId, headers, end, fault } = list;
    const stream = this.#host.stream(streamId);
    if (stream === undefined) {
      const isNew = this.#role === "server" && streamId % 2 === 1;
      if (!isNew || streamId <= this.#lastPeerStream) {
        this.#mustBeKnown(streamId);
        return;
      }
      this.#lastPeerStream = streamId;
      if (fault !== undefined) throw fault;
      this.#host.accept(list);
      return;
    }
    if (fault !== undefined) throw fault;
    if (stream.remoteEnded)
      throw new StreamError(streamId, errorCode.streamClosed, "headers after the end");
    stream.sink.headers(headers);
    if (end) stream.endRemote();
  }

  #control(frame: ControlFrame): void {
    switch (frame.kind) {
      case "settings":
        this.#count(this.#frames, "SETTINGS");
        this.#tableChange ||= frame.values.has(setting.headerTableSize);
        this.#host.configure(frame.values);
        this.#writer.settingsAck();
        return;
      case "ping":
        this.#count(this.#frames, "PINGs");
        this.#writer.ping(frame.payload, true);
        return;
      case "reset":
        this.#reset(frame.streamId, frame.code);
        return;
      case "windowUpdate":
        if (frame.streamId === 0) this.#host.grow(undefined, frame.bytes);
        else {
          const stream = this.#host.stream(frame.streamId);
          if (stream === undefined) this.#mustBeKnown(frame.streamId);
          else this.#host.grow(stream, frame.bytes);
        }
        return;
      case "goAway": {
        this.#count(this.#frames, "GOAWAYs");
        const why = frame.why === "" ? `code ${frame.code}` : frame.why;
        const error = new Http2Error(frame.code, `the peer ends the connection: ${why}`);
        this.#host.goneAway(frame.lastStreamId, error);
        return;
      }
      case "ack":
      case "ignored":
        this.#count(this.#frames, "frames without use");
    }
  }

  #reset(streamId: number, code: number): void {
    const stream = this.#host.stream(streamId);
    if (stream === undefined) {
      this.#mustBeKnown(streamId);
      return;
    }
    if (!this.#host.opened(streamId)) this.#count(this.#resets, "resets");
    const unprocessed = code === errorCode.refusedStream;
    stream.close(new Http2Error(code, `the peer reset the stream with code ${code}`, unprocessed));
  }

  /** Frames for streams that are over are old news; those for streams that never were are a violation. */
  #mustBeKnown(streamId: number): void {
    const known = this.#host.opened(streamId) || this.#wasPeers(streamId);
    if (!known)
      throw new Http2Error(errorCode.protocolError, `stream ${streamId} was never opened`);
  }

  #wasPeers(streamId: number): boolean {
    return this.#role === "server" && streamId % 2 === 1 && streamId <= this.#lastPeerStream;
  }

  #count(limit: RateLimit, what: string): void {
    if (!limit.take(performance.now()))
      throw new Http2Error(errorCode.enhanceYourCalm, `too many ${what}`);
  }
}
