// The constants of HTTP/2 and its errors (RFC 9113). Pure.

/** What a client says first. */
export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** Types of frames. */
export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** Flags of frames; `ack` is the bit that `endStream` has on other frames. */
export const flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

/** Identifiers of settings. */
export const setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

/** Error codes of RST_STREAM and GOAWAY. */
export const errorCode = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  enhanceYourCalm: 11,
} as const;

/** The window of a stream and of the connection before anybody says otherwise, in bytes. */
export const defaultWindowBytes = 65_535;
/** The largest window there may be. */
export const maxWindowBytes = 2 ** 31 - 1;
/** The frame payload that everybody must take, and the most that we take, in bytes. */
export const defaultFrameBytes = 16_384;
/** Bytes of a frame's head. */
export const frameHeadBytes = 9;

/** Header names and values in order; a repeated name keeps its values apart. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

/** Why a stream or a connection ended: by its peer's RST_STREAM or GOAWAY, or by what we noticed. */
export class Http2Error extends Error {
  /** One of `errorCode`. */
  readonly code: number;
  /** True: the peer never looked at the stream, so that the call can be sent again. */
  readonly unprocessed: boolean;

  constructor(code: number, message: string, unprocessed = false) {
    super(message);
    this.name = "Http2Error";
    this.code = code;
    this.unprocessed = unprocessed;
  }
}

/** A violation that only one stream pays for; any other Http2Error ends the connection. */
export class StreamError extends Http2Error {
  readonly streamId: number;

  constructor(streamId: number, code: number, message: string) {
    super(code, message);
    this.name = "StreamError";
    this.streamId = streamId;
  }
}
