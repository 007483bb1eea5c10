// What HTTP/2 runs over: bytes both ways, without the machinery of a Node stream between them.
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { isReusable, markSent } from "./reusable-bytes.ts";

/** Who takes what comes out of a byte stream. */
export interface ByteSink {
  /**
   * Bytes of the peer, which are there during this call only: the next read may overwrite them. They can't be refused:
   * HTTP/2 has its own flow control.
   */
  bytes(chunk: Buffer): void;
  /** There is room again after a `write` that returned false. */
  drained(): void;
  /** The stream is over, in whole; the last call. */
  closed(error?: Error): void;
}

/** Bytes both ways. */
export interface ByteStream {
  /** Called once; nothing is delivered before. */
  open(sink: ByteSink): void;
  /** Takes all the chunks, which must not change any more. False: wait for `drained` before more bulk. */
  write(chunks: readonly Uint8Array[]): boolean;
  /** Ends our direction after what was written. */
  end(): void;
  /** Ends it at once. */
  destroy(): void;
}

const backlogBytes = 512 * 1024;
/** About what a unix socket holds: a larger buffer is never filled by one read. */
const readBytes = 256 * 1024;

/** Any Duplex as a byte stream: a socket, an exec, a WebSocket, a process's stdio. */
export class DuplexBytes implements ByteStream {
  readonly #duplex: Duplex;
  #behind = false;

  constructor(duplex: Duplex) {
    this.#duplex = duplex;
  }

  open(sink: ByteSink): void {
    this.listen(sink);
    this.#duplex.on("data", (chunk: Buffer) => sink.bytes(chunk));
  }

  /** Everything but bytes. */
  protected listen(sink: ByteSink): void {
    const duplex = this.#duplex;
    let failure: Error | undefined;
    let over = false;
    const close = (): void => {
      if (over) return;
      over = true;
      sink.closed(failure);
    };
    duplex.on("error", (error: Error) => {
      failure = error;
    });
    // A peer that half-closes an HTTP/2 connection has left it.
    duplex.on("end", () => {
      close();
      duplex.destroy();
    });
    duplex.on("close", close);
    duplex.on("drain", () => {
      if (!this.#behind) return;
      this.#behind = false;
      sink.drained();
    });
    if (duplex.destroyed) setImmediate(close);
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const duplex = this.#duplex;
    if (duplex.destroyed || duplex.writableEnded) return true;
    duplex.cork();
    this.writeEach(chunks);
    duplex.uncork();
    // Once behind, behind until it is drained: whoever was told so waits for that.
    this.#behind ||= duplex.writableNeedDrain && duplex.writableLength >= backlogBytes;
    return !this.#behind;
  }

  /** Hands chunks to the corked duplex. */
  protected writeEach(chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) this.#duplex.write(chunk);
  }

  end(): void {
    if (!this.#duplex.writableEnded) this.#duplex.end();
  }

  destroy(): void {
    this.#duplex.destroy();
  }
}

/** Options for `net.connect` or `tls.connect`: how bytes are read when a `SocketBytes` takes the socket. */
export interface BufferReader {
  readonly onread: {
    readonly buffer: Uint8Array;
    callback(length: number, buffer: Uint8Array): boolean;
  };
  /** Where bytes go; those that come before it is known wait here. */
  deliver(to: (chunk: Buffer) => void): void;
}

/** Reads into one buffer, again and again: fresh ones of this size cost page faults and collections. */
export function bufferReader(): BufferReader {
  const buffer = Buffer.allocUnsafeSlow(readBytes);
  let sink: ((chunk: Buffer) => void) | undefined;
  const early: Buffer[] = [];
  return {
    onread: {
      buffer,
      callback(length) {
        const chunk = buffer.subarray(0, length);
        if (sink === undefined) early.push(Buffer.from(chunk));
        else sink(chunk);
        return true;
      },
    },
    deliver(to) {
      sink = to;
      for (const chunk of early.splice(0)) to(chunk);
    },
  };
}

/** A socket that was created with a buffer reader's `onread`. */
export class SocketBytes extends DuplexBytes {
  readonly #socket: Socket;
  readonly #reader: BufferReader;

  constructor(socket: Socket, reader: BufferReader) {
    super(socket);
    this.#socket = socket;
    this.#reader = reader;
  }

  override open(sink: ByteSink): void {
    this.listen(sink);
    this.#reader.deliver((chunk) => sink.bytes(chunk));
  }

  /** A socket, unlike other streams, is known to be done with a chunk when it says so. */
  protected override writeEach(chunks: readonly Uint8Array[]): void {
    const reusable = chunks.filter(isReusable);
    if (reusable.length === 0) {
      super.writeEach(chunks);
      return;
    }
    const last = chunks.length - 1;
    for (const [index, chunk] of chunks.entries()) {
      if (index < last) this.#socket.write(chunk);
      else
        this.#socket.write(chunk, (error) => {
          if (error === undefined || error === null) reusable.forEach(markSent);
        });
    }
  }
}
