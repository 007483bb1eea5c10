// The payloads of SETTINGS, PING, RST_STREAM, WINDOW_UPDATE and GOAWAY, checked (RFC 9113, 6). Pure.
import type { FrameHead } from "./frame-parser.ts";
import { errorCode, flag, frameType, Http2Error, maxWindowBytes, setting } from "./protocol.ts";

/** What a control frame says. */
export type ControlFrame =
  | { readonly kind: "settings"; readonly values: ReadonlyMap<number, number> }
  | { readonly kind: "ping"; readonly payload: Buffer }
  | { readonly kind: "ack" }
  | { readonly kind: "reset"; readonly streamId: number; readonly code: number }
  | { readonly kind: "windowUpdate"; readonly streamId: number; readonly bytes: number }
  | {
      readonly kind: "goAway";
      readonly lastStreamId: number;
      readonly code: number;
      readonly why: string;
    }
  /** PRIORITY, and types that nobody knows. */
  | { readonly kind: "ignored" };

const maxDebugBytes = 1024;

/** Reads one. Throws Http2Error FRAME_SIZE_ERROR, PROTOCOL_ERROR or FLOW_CONTROL_ERROR. */
export function controlFrame(head: FrameHead, payload: Buffer): ControlFrame {
  switch (head.type) {
    case frameType.settings:
      return settingsFrame(head, payload);
    case frameType.ping:
      connectionOnly(head);
      size(payload.length === 8, head);
      return (head.flags & flag.ack) === 0 ? { kind: "ping", payload } : { kind: "ack" };
    case frameType.reset:
      streamOnly(head);
      size(payload.length === 4, head);
      return { kind: "reset", streamId: head.streamId, code: payload.readUInt32BE(0) };
    case frameType.windowUpdate:
      size(payload.length === 4, head);
      return windowUpdate(head, payload);
    case frameType.goAway:
      connectionOnly(head);
      size(payload.length >= 8, head);
      return {
        kind: "goAway",
        lastStreamId: payload.readUInt32BE(0) & maxWindowBytes,
        code: payload.readUInt32BE(4),
        why: payload.toString("utf8", 8, 8 + maxDebugBytes),
      };
    case frameType.pushPromise:
      throw new Http2Error(errorCode.protocolError, "the peer pushes, which we do not allow");
    default:
      return { kind: "ignored" };
  }
}

function settingsFrame(head: FrameHead, payload: Buffer): ControlFrame {
  connectionOnly(head);
  if ((head.flags & flag.ack) !== 0) {
    size(payload.length === 0, head);
    return { kind: "ack" };
  }
  size(payload.length % 6 === 0, head);
  const values = new Map<number, number>();
  for (let at = 0; at < payload.length; at += 6)
    values.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
  if ((values.get(setting.initialWindowSize) ?? 0) > maxWindowBytes)
    throw new Http2Error(errorCode.flowControlError, "the peer's initial window is too large");
  const frameBytes = values.get(setting.maxFrameSize) ?? 16_384;
  if (frameBytes < 16_384 || frameBytes > 2 ** 24 - 1)
    throw new Http2Error(errorCode.protocolError, "the peer's frame size is out of range");
  if ((values.get(setting.enablePush) ?? 0) > 1)
    throw new Http2Error(errorCode.protocolError, "ENABLE_PUSH is neither 0 nor 1");
  return { kind: "settings", values };
}

function windowUpdate(head: FrameHead, payload: Buffer): ControlFrame {
  const bytes = payload.readUInt32BE(0) & maxWindowBytes;
  if (bytes === 0) throw new Http2Error(errorCode.protocolError, "a window grows by nothing");
  return { kind: "windowUpdate", streamId: head.streamId, bytes };
}

function size(right: boolean, head: FrameHead): void {
  if (!right)
    throw new Http2Error(
      errorCode.frameSizeError,
      `a frame of type ${head.type} has ${head.length} bytes`,
    );
}

function connectionOnly(head: FrameHead): void {
  if (head.streamId !== 0)
    throw new Http2Error(errorCode.protocolError, `frame type ${head.type} names a stream`);
}

function streamOnly(head: FrameHead): void {
  if (head.streamId === 0)
    throw new Http2Error(errorCode.protocolError, `frame type ${head.type} names no stream`);
}

/** The payload without its padding. Throws Http2Error PROTOCOL_ERROR when there is more padding than payload. */
export function unpadded(head: FrameHead, payload: Buffer): Buffer {
  if ((head.flags & flag.padded) === 0) return payload;
  const end = payload.length - (payload[0] ?? 0);
  if (payload.length === 0 || end < 1)
    throw new Http2Error(errorCode.protocolError, "a frame has more padding than payload");
  return payload.subarray(1, end);
}
