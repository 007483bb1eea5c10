// The sending half of a connection: which stream sends next, how much, and when bytes leave for the byte stream.
import type { ByteStream } from "./byte-stream.ts";
import { FrameWriter } from "./frame-writer.ts";
import { SendWindow } from "./limits.ts";
import {
  defaultFrameBytes,
  defaultWindowBytes,
  errorCode,
  flag,
  frameType,
  Http2Error,
  type HeaderList,
} from "./protocol.ts";
import type { Http2Stream } from "./stream.ts";

const writeBytes = 256 * 1024;
const packBytes = 64 * 1024;
const maxUnreadBytes = 1024 * 1024;

/** What sending needs of the connection. */
export interface OutboundHost {
  /** Whether the next header block must say that we use no header table. */
  takeTableChange(): boolean;
  /** The peer can't be dealt with any more. */
  fail(error: Http2Error): void;
}

/** Streams take turns of one frame each; control frames go before all of them. */
export class Outbound {
  /** Control frames are written here, and leave with the next flush. */
  readonly writer = new FrameWriter();
  readonly #bytes: ByteStream;
  readonly #host: OutboundHost;
  readonly #frameBytes: number;
  readonly #window = new SendWindow(defaultWindowBytes);
  /** Streams that can send something, the next one first. */
  readonly #ready = new Set<Http2Stream>();
  /** Streams that the connection's window holds back; their own windows are open. */
  readonly #starved = new Set<Http2Stream>();
  #behind = false;
  /** Bytes of control frames that were written although the peer was behind. */
  #unread = 0;
  #busy = false;
  #scheduled = false;
  #stopped = false;

  constructor(bytes: ByteStream, host: OutboundHost, frameBytes = defaultFrameBytes) {
    this.#bytes = bytes;
    this.#host = host;
    this.#frameBytes = frameBytes;
  }

  /** A stream has something to send: much goes at once, little with what else comes before the loop turns. */
  wake(stream: Http2Stream): void {
    this.#ready.add(stream);
    if (stream.queued >= packBytes) this.flush();
    else this.schedule();
  }

  /** Flushes before the loop turns. */
  schedule(): void {
    if (this.#scheduled || this.#busy || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** Does work that makes many frames, and flushes once after it. */
  batch(work: () => void): void {
    const nested = this.#busy;
    this.#busy = true;
    try {
      work();
    } finally {
      this.#busy = nested;
    }
    this.flush();
  }

  /** Sends what can be sent; bulk only as fast as the bytes below take it. */
  flush(): void {
    if (this.#busy || this.#stopped) return;
    this.#busy = true;
    while (!this.#behind) {
      const [stream] = this.#ready;
      if (stream === undefined) break;
      this.#ready.delete(stream);
      if (!stream.closed && !stream.localEnded) this.#sendFrom(stream);
      if (this.writer.bytes >= writeBytes) this.#behind = !this.#bytes.write(this.writer.take());
    }
    this.#busy = false;
    this.#writeRest();
    if (this.#ready.size > 0 && !this.#behind) this.schedule();
  }

  /** The bytes below have room again. */
  drained(): void {
    this.#behind = false;
    this.flush();
  }

  /** The peer lets us send more (or, by its settings, less), on a stream or in all. False: more than there may be. */
  grow(stream: Http2Stream | undefined, bytes: number): boolean {
    if (!(stream?.sendWindow ?? this.#window).grow(bytes)) return false;
    if (stream === undefined) {
      for (const starved of this.#starved) this.#ready.add(starved);
      this.#starved.clear();
    } else if (stream.id !== 0) this.#ready.add(stream);
    return true;
  }

  /** A stream's head, or its trailers. */
  headers(stream: Http2Stream, headers: HeaderList, end = false): void {
    const resetTable = this.#host.takeTableChange();
    this.writer.headers(stream.id, headers, { end, resetTable });
  }

  /** A stream is over. */
  forget(stream: Http2Stream): void {
    this.#ready.delete(stream);
    this.#starved.delete(stream);
  }

  /** Writes the control frames that wait, then nothing any more. */
  stop(): void {
    if (this.writer.bytes > 0) this.#bytes.write(this.writer.take());
    this.#stopped = true;
    this.#ready.clear();
    this.#starved.clear();
  }

  /** What is left in the writer goes out even to a peer that does not read; that much of it is enough. */
  #writeRest(): void {
    const { bytes } = this.writer;
    if (bytes === 0) return;
    this.#unread = this.#behind ? this.#unread + bytes : 0;
    if (!this.#bytes.write(this.writer.take())) this.#behind = true;
    if (this.#unread > maxUnreadBytes)
      this.#host.fail(new Http2Error(errorCode.enhanceYourCalm, "the peer asks and does not read"));
  }

  /** One frame of this stream, which then stands last. */
  #sendFrom(stream: Http2Stream): void {
    const { queued, sendWindow, ending } = stream;
    const window = Math.max(0, Math.min(sendWindow.left, this.#window.left));
    const bytes = Math.min(queued, this.#frameBytes, window);
    if (queued > 0 && bytes === 0) {
      if (sendWindow.left > 0) this.#starved.add(stream);
      return;
    }
    const last = bytes === queued && ending !== undefined;
    const endsHere = last && ending.trailers === undefined;
    if (queued > 0 || endsHere) {
      this.writer.head(bytes, frameType.data, endsHere ? flag.endStream : 0, stream.id);
      this.#window.left -= bytes;
      stream.move(bytes, this.writer);
    }
    if (last) this.#endOf(stream, ending.trailers);
    else if (bytes < queued) this.#ready.add(stream);
  }

  #endOf(stream: Http2Stream, trailers: HeaderList | undefined): void {
    if (trailers !== undefined) this.headers(stream, trailers, true);
    stream.endLocal();
  }
}
