// A peer made of frames: what it says is written by hand, what it hears is kept. Bytes pass at once.
import type { ByteSink, ByteStream } from "../../../../src/buildkit/http2/byte-stream.ts";
import {
  Http2Connection,
  type ConnectionOptions,
} from "../../../../src/buildkit/http2/connection.ts";
import { FrameParser } from "../../../../src/buildkit/http2/frame-parser.ts";
import { FrameWriter } from "../../../../src/buildkit/http2/frame-writer.ts";
import { encodeHeaders } from "../../../../src/buildkit/http2/headers/hpack.ts";
import {
  flag,
  frameType,
  type HeaderList,
  preface,
} from "../../../../src/buildkit/http2/protocol.ts";
import type { Http2Stream, StreamSink } from "../../../../src/buildkit/http2/stream.ts";

/** A frame as the peer heard it. */
export interface Heard {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** A connection of ours and its peer. */
export interface Peer {
  readonly connection: Http2Connection;
  readonly heard: Heard[];
  /** Bytes of DATA that the peer heard. */
  readonly dataBytes: number;
  readonly ended: boolean;
  /** What `write` of the byte stream answers from now on. */
  room: boolean;
  drained(): void;
  say(work: (writer: FrameWriter) => void): void;
  /** HEADERS with END_HEADERS. */
  headers(streamId: number, headers: HeaderList, end?: boolean): void;
  data(streamId: number, bytes: Uint8Array, end?: boolean): void;
  /** The code of the GOAWAY that was heard. */
  readonly goAway: number | undefined;
}

/** The headers of a request. */
export const requestHeaders: HeaderList = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/x.Y/Z"],
  [":authority", "localhost"],
];

/** A peer that has greeted already. */
export function peerOf(options: ConnectionOptions, greets = true): Peer {
  const heard: Heard[] = [];
  let sink: ByteSink | undefined;
  let dataBytes = 0;
  let ended = false;
  let room = true;
  const parser = new FrameParser(
    {
      data: (streamId, payload, end) => {
        dataBytes += payload.length;
        heard.push({ type: frameType.data, flags: end ? flag.endStream : 0, streamId, payload });
      },
      frame: ({ type, flags, streamId }, payload) =>
        void heard.push({ type, flags, streamId, payload: Buffer.from(payload) }),
    },
    options.role === "client",
  );
  const bytes: ByteStream = {
    open: (to) => (sink = to),
    write(chunks) {
      for (const chunk of chunks) parser.push(Buffer.from(chunk));
      return room;
    },
    end: () => (ended = true),
    destroy: () => sink?.closed(),
  };
  const connection = new Http2Connection(bytes, options);
  const say = (work: (writer: FrameWriter) => void): void => {
    const writer = new FrameWriter();
    work(writer);
    for (const chunk of writer.take())
      sink?.bytes(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
  };
  if (greets) {
    say((writer) => {
      if (options.role === "server") writer.add(preface);
      writer.settings([]);
    });
  }
  return {
    connection,
    heard,
    get dataBytes() {
      return dataBytes;
    },
    get ended() {
      return ended;
    },
    get room() {
      return room;
    },
    set room(value) {
      room = value;
    },
    drained: () => sink?.drained(),
    say,
    headers: (streamId, headers, end = false) =>
      say((writer) => {
        const block = encodeHeaders(headers);
        const flags = flag.endHeaders | (end ? flag.endStream : 0);
        writer.head(block.length, frameType.headers, flags, streamId);
        writer.add(block);
      }),
    data: (streamId, payload, end = false) =>
      say((writer) => {
        for (let at = 0; at === 0 || at < payload.length; at += 16_384) {
          const piece = payload.subarray(at, at + 16_384);
          const last = at + 16_384 >= payload.length;
          writer.head(piece.length, frameType.data, last && end ? flag.endStream : 0, streamId);
          writer.add(piece);
        }
      }),
    get goAway() {
      return heard.find(({ type }) => type === frameType.goAway)?.payload.readUInt32BE(4);
    },
  };
}

/** What happened on a stream, in order. */
export interface Recorder extends StreamSink {
  readonly stream: Http2Stream;
  readonly events: string[];
  bytes: number;
}

/** A sink that keeps what it is told; consumes at once when `eager`. */
export function recorder(stream: Http2Stream, eager = false): Recorder {
  const events: string[] = [];
  return {
    stream,
    events,
    bytes: 0,
    headers: (headers) =>
      void events.push(`headers ${headers.map((each) => each.join("=")).join()}`),
    data(chunk) {
      this.bytes += chunk.length;
      if (eager) stream.consumed(chunk.length);
    },
    end: () => void events.push("end"),
    drained: () => void events.push("drained"),
    closed: (error) => void events.push(error === undefined ? "closed" : `closed ${error.code}`),
  };
}

/** A server of ours whose streams are recorded. */
export function server(eager = false): { peer: Peer; streams: Recorder[] } {
  const streams: Recorder[] = [];
  const peer = peerOf({
    role: "server",
    accept(stream) {
      const it = recorder(stream, eager);
      streams.push(it);
      return it;
    },
  });
  return { peer, streams };
}
