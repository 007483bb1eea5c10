// HEADERS and their CONTINUATIONs → one decoded header list, within limits of bytes and of frames. Pure.
import { unpadded } from "../control-frames.ts";
import type { FrameHead } from "../frame-parser.ts";
import { HeaderDecoder } from "./hpack.ts";
import {
  errorCode,
  flag,
  frameType,
  Http2Error,
  StreamError,
  type HeaderList,
} from "../protocol.ts";

/** A daemon sends one header a pattern, so a large `.dockerignore` makes a large list. */
export const maxHeaderListBytes = 4 * 1024 * 1024;
const maxContinuations = 1024;
const headerTableBytes = 4096;

/** A complete header list of a stream. */
export interface StreamHeaders {
  readonly streamId: number;
  /** END_STREAM. */
  readonly end: boolean;
  readonly headers: HeaderList;
  /** The list breaks a rule that costs its stream: what to reset it with. The decoder is in step all the same. */
  readonly fault?: StreamError;
}

/** The header blocks of one direction of one connection. */
export class HeaderBlocks {
  readonly #decoder = new HeaderDecoder({
    maxTableBytes: headerTableBytes,
    maxListBytes: maxHeaderListBytes,
  });
  #open: { readonly streamId: number; readonly end: boolean } | undefined;
  #parts: Buffer[] = [];
  #bytes = 0;

  /** Throws Http2Error PROTOCOL_ERROR when a frame of this kind can't come now: blocks are never interleaved. */
  expect(type: number, streamId: number): void {
    const continues = type === frameType.continuation;
    if (continues ? this.#open?.streamId !== streamId : this.#open !== undefined)
      throw new Http2Error(errorCode.protocolError, "a header block is interrupted");
  }

  /** Takes HEADERS or CONTINUATION; undefined: more has to come. Throws Http2Error. */
  push(head: FrameHead, payload: Buffer): StreamHeaders | undefined {
    if (head.type === frameType.headers) {
      this.#open = { streamId: head.streamId, end: (head.flags & flag.endStream) !== 0 };
      this.#parts = [fragment(head, payload)];
      this.#bytes = payload.length;
    } else {
      this.#parts.push(payload);
      this.#bytes += payload.length;
    }
    if (this.#bytes > maxHeaderListBytes || this.#parts.length > maxContinuations)
      throw new Http2Error(errorCode.enhanceYourCalm, "a header block is too large");
    if ((head.flags & flag.endHeaders) !== 0) return this.#complete();
    // The payload is there during this call only.
    this.#parts.push(Buffer.from(this.#parts.pop() ?? payload));
    return undefined;
  }

  #complete(): StreamHeaders | undefined {
    const open = this.#open;
    if (open === undefined) return undefined;
    const [only] = this.#parts;
    const block =
      this.#parts.length === 1 && only !== undefined ? only : Buffer.concat(this.#parts);
    this.#open = undefined;
    this.#parts = [];
    const { headers, tooLarge } = this.#decoder.decode(block);
    const fault = tooLarge
      ? new StreamError(open.streamId, errorCode.enhanceYourCalm, "too many headers")
      : faultOf(open.streamId, headers);
    return fault === undefined ? { ...open, headers } : { ...open, headers, fault };
  }
}

function fragment(head: FrameHead, payload: Buffer): Buffer {
  const bytes = unpadded(head, payload);
  if ((head.flags & flag.priority) === 0) return bytes;
  if (bytes.length < 5) throw new Http2Error(errorCode.frameSizeError, "HEADERS are too short");
  return bytes.subarray(5);
}

/** Names in lower case, pseudo-headers once and first, nothing that belongs to HTTP/1 (RFC 9113, 8.2). */
function faultOf(streamId: number, headers: HeaderList): StreamError | undefined {
  const pseudo = new Set<string>();
  let regular = false;
  for (const [name] of headers) {
    if (name.startsWith(":")) {
      if (regular || pseudo.has(name)) return malformed(streamId, name);
      pseudo.add(name);
    } else {
      regular = true;
      if (!/^[^A-Z\0-\x20\x7f-\xff]+$/.test(name) || connectionHeaders.has(name))
        return malformed(streamId, name);
    }
  }
  return undefined;
}

const connectionHeaders: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

function malformed(streamId: number, name: string): StreamError {
  const shown = JSON.stringify(name.slice(0, 64));
  return new StreamError(streamId, errorCode.protocolError, `header ${shown} is malformed`);
}
