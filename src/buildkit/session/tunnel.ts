// The byte stream inside a Control.Session call: HTTP/2 within HTTP/2, without a copy between the two.
import type { ByteSink, ByteStream } from "../http2/byte-stream.ts";
import { defaultFrameBytes, frameHeadBytes, type HeaderList } from "../http2/protocol.ts";
import type { Http2Stream, StreamSink } from "../http2/stream.ts";
import { callEnd, type CallError } from "../rpc/call-error.ts";
import { BytesMessageReader, bytesMessageHead } from "./bytes-messages.ts";

/** With frames of this size inside, each frame outside holds one of them. */
export const tunnelFrameBytes = defaultFrameBytes - frameHeadBytes;

/** The bytes in a Session call. */
export class Tunnel implements ByteStream {
  readonly #stream: Http2Stream;
  #sink: ByteSink | undefined;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
  }

  open(sink: ByteSink): void {
    this.#sink = sink;
  }

  write(chunks: readonly Uint8Array[]): boolean {
    let length = 0;
    for (const chunk of chunks) length += chunk.length;
    return this.#stream.write(bytesMessageHead(length), ...chunks);
  }

  /** Half-closes the call: during a solve that fails the build, so only the session's end may do it. */
  end(): void {
    this.#stream.end();
  }

  /** Cancels the call. */
  destroy(): void {
    this.#stream.reset();
  }

  /** What the call's stream tells. `ended` hears how the daemon ended the call. */
  streamSink(ended: (error: CallError | undefined) => void): StreamSink {
    const stream = this.#stream;
    const reader = new BytesMessageReader((bytes) => this.#sink?.bytes(bytes));
    let head: HeaderList | undefined;
    let trailers: HeaderList | undefined;
    return {
      headers(headers) {
        if (head === undefined) head = headers;
        else trailers = headers;
      },
      data(chunk) {
        try {
          reader.push(chunk);
        } catch {
          stream.reset();
          return;
        }
        stream.consumed(chunk.length);
      },
      end: () => stream.end(), // a daemon that ends first waits for our end
      drained: () => this.#sink?.drained(),
      closed: (error) => {
        const failure = callEnd({ head, trailers, error });
        this.#sink?.closed(failure);
        ended(failure);
      },
    };
  }
}
