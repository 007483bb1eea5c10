// One stream of a connection: what waits to be sent, what was received and not consumed, and its states.
import type { FrameWriter } from "./frame-writer.ts";
import { ReceiveWindow, SendWindow } from "./limits.ts";
import { defaultWindowBytes, errorCode, type HeaderList, type Http2Error } from "./protocol.ts";

/** Who takes what comes in on a stream. Calls come in this order; none may throw. */
export interface StreamSink {
  /** The head of a response, or trailers. A server's request head has come before. */
  headers(headers: HeaderList): void;
  /**
   * Bytes, which are there during this call only. Tell the stream when they are consumed: the peer's credit follows
   * that.
   */
  data(chunk: Buffer): void;
  /** The peer sends no more. */
  end(): void;
  /** There is room again after a `write` that returned false. */
  drained(): void;
  /** Both directions are over, by their ends or by an error; the last call. */
  closed(error?: Http2Error): void;
}

/** What a stream asks of its connection. */
export interface StreamHost {
  /** There is something to send. */
  wake(stream: Http2Stream): void;
  sendHeaders(stream: Http2Stream, headers: HeaderList): void;
  sendReset(stream: Http2Stream, code: number): void;
  /** Bytes were consumed; `grant` of them are given back to the peer on the stream. */
  credit(stream: Http2Stream, bytes: number, grant: number): void;
  sendGrant(stream: Http2Stream, bytes: number): void;
}

const highWaterBytes = 1024 * 1024;
const lowWaterBytes = 512 * 1024;

/** A stream; made by its connection. */
export class Http2Stream {
  /** 0 until it is opened. */
  id = 0;
  readonly sink: StreamSink;
  readonly sendWindow: SendWindow;
  readonly #host: StreamHost;
  readonly #receiveWindow = new ReceiveWindow(defaultWindowBytes);
  #queue: Uint8Array[] = [];
  /** Where the queue begins: chunks, and bytes of the first one, that were sent. */
  #from = 0;
  #offset = 0;
  #queued = 0;
  #full = false;
  #ending: { readonly trailers?: HeaderList } | undefined;
  #abandons = false;
  #unconsumed = 0;
  #localEnded = false;
  #remoteEnded = false;
  #closed = false;

  constructor(
    host: StreamHost,
    sendWindowBytes: number,
    makeSink: (it: Http2Stream) => StreamSink,
  ) {
    this.#host = host;
    this.sendWindow = new SendWindow(sendWindowBytes);
    this.sink = makeSink(this);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes that wait to be sent. */
  get queued(): number {
    return this.#queued;
  }

  /** A server's response head. */
  respond(headers: HeaderList): void {
    if (!this.#closed) this.#host.sendHeaders(this, headers);
  }

  /** Sends bytes, which must not change any more. False: wait for `drained` before more. */
  write(...chunks: readonly Uint8Array[]): boolean {
    if (this.#closed || this.#ending !== undefined) return true;
    for (const chunk of chunks) {
      if (chunk.length === 0) continue;
      this.#queue.push(chunk);
      this.#queued += chunk.length;
    }
    this.#host.wake(this);
    this.#full ||= this.#queued >= highWaterBytes;
    return !this.#full;
  }

  /** Ends our direction after what was written; with trailers, if given. */
  end(trailers?: HeaderList): void {
    if (this.#closed || this.#ending !== undefined) return;
    this.#ending = trailers === undefined ? {} : { trailers };
    this.#host.wake(this);
  }

  /** As `end`, and the whole stream with it: what the peer still sends is not wanted. */
  finish(trailers: HeaderList): void {
    this.#abandons = true;
    this.end(trailers);
  }

  /** Ends it at once in both directions; the sink hears of it. */
  reset(code: number = errorCode.cancel, error?: Http2Error): void {
    if (this.#closed) return;
    this.#host.sendReset(this, code);
    this.close(error);
  }

  /** The sink is done with this many bytes of `data`. */
  consumed(bytes: number): void {
    if (this.#closed || bytes === 0) return;
    this.#unconsumed -= bytes;
    const grant = this.#receiveWindow.consumed(bytes);
    this.#host.credit(this, bytes, this.#remoteEnded ? 0 : grant);
  }

  /** Lets the peer send this much ahead of consumption. */
  widen(bytes: number): void {
    const grant = this.#receiveWindow.widen(bytes);
    if (grant > 0 && !this.#closed) this.#host.sendGrant(this, grant);
  }

  // What follows is for the connection.

  get ending(): { readonly trailers?: HeaderList } | undefined {
    return this.#ending;
  }

  get localEnded(): boolean {
    return this.#localEnded;
  }

  get remoteEnded(): boolean {
    return this.#remoteEnded;
  }

  /** Bytes received that nobody consumed yet. */
  get unconsumed(): number {
    return this.#unconsumed;
  }

  /** Throws Http2Error FLOW_CONTROL_ERROR. */
  receive(chunk: Buffer): void {
    this.#receiveWindow.received(chunk.length);
    this.#unconsumed += chunk.length;
    this.sink.data(chunk);
  }

  /** Moves this many queued bytes into the writer, behind a head that says so. */
  move(bytes: number, writer: FrameWriter): void {
    this.#queued -= bytes;
    this.sendWindow.left -= bytes;
    for (let left = bytes; left > 0; ) {
      const first = this.#queue[this.#from];
      if (first === undefined) return;
      const piece = first.subarray(this.#offset, this.#offset + left);
      writer.add(piece);
      left -= piece.length;
      this.#offset += piece.length;
      if (this.#offset === first.length) {
        this.#from++;
        this.#offset = 0;
      }
    }
    if (this.#from === this.#queue.length || this.#from > 1024) {
      this.#queue = this.#queue.slice(this.#from);
      this.#from = 0;
    }
    if (this.#full && this.#queued <= lowWaterBytes) {
      this.#full = false;
      this.sink.drained();
    }
  }

  /** END_STREAM was sent. */
  endLocal(): void {
    this.#localEnded = true;
    if (this.#remoteEnded) this.close();
    else if (this.#abandons) this.reset(errorCode.noError);
  }

  /** END_STREAM came. */
  endRemote(): void {
    if (this.#remoteEnded || this.#closed) return;
    this.#remoteEnded = true;
    this.sink.end();
    if (this.#localEnded) this.close();
  }

  /** Over, without a frame. */
  close(error?: Http2Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue = [];
    this.#queued = 0;
    const left = this.#unconsumed;
    this.#unconsumed = 0;
    this.#host.credit(this, left, 0);
    this.sink.closed(error);
  }
}
