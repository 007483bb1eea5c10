// How the log on disk frames its records: length, checksum, type, payload. A record that was cut off ends the file. Pure.

import { crc32 } from "node:zlib";

/** What a record is: how its segment begins, the state that the segment begins with, or an event. */
export type FrameType = "header" | "snapshot" | "event";

/** One record. */
export interface Frame {
  readonly type: FrameType;
  readonly payload: Buffer;
}

const types: readonly FrameType[] = ["header", "snapshot", "event"];
/** Length of type and payload, CRC-32 of type and payload, type; 32-bit numbers are little-endian. */
const headBytes = 9;

/** A record as it stands in the file. */
export function frameOf(type: FrameType, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headBytes + payload.byteLength);
  frame.writeUInt8(types.indexOf(type), 8);
  frame.set(payload, headBytes);
  frame.writeUInt32LE(payload.byteLength + 1, 0);
  frame.writeUInt32LE(crc32(frame.subarray(8)), 4);
  return frame;
}

/** The records of a file up to its end, or to the first that is damaged or cut off. */
export function* framesOf(file: Buffer): Generator<Frame, void, undefined> {
  let at = 0;
  while (at + headBytes <= file.byteLength) {
    const length = file.readUInt32LE(at);
    const body = file.subarray(at + 8, at + 8 + length);
    const type = types[body[0] ?? -1];
    if (length < 1 || body.byteLength < length || type === undefined) return;
    if (crc32(body) !== file.readUInt32LE(at + 4)) return;
    yield { type, payload: body.subarray(1) };
    at += 8 + length;
  }
}
