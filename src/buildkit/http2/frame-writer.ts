// Frames on their way out: heads and small pieces are copied together, big pieces go as they are. Pure.
import { encodeHeaders } from "./headers/hpack.ts";
import { defaultFrameBytes, flag, frameHeadBytes, frameType, type HeaderList } from "./protocol.ts";
import { markSent } from "./reusable-bytes.ts";

/** Below this, copying costs less than one more entry of a vectored write. */
const copyBelowBytes = 8 * 1024;
const slabBytes = 128 * 1024;
/** An HPACK instruction: a dynamic table of 0 bytes. */
const emptyTable = Uint8Array.of(0x20);

/** Collects bytes into few chunks. */
export class FrameWriter {
  #slab = Buffer.allocUnsafeSlow(slabBytes);
  /** Where the run of copied bytes that is not taken yet begins and ends. */
  #start = 0;
  #end = 0;
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  /** Bytes since the last `take`. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A frame's head; its payload must follow. */
  head(length: number, type: number, flags: number, streamId: number): void {
    this.#room(frameHeadBytes);
    const slab = this.#slab;
    slab.writeUInt32BE(length * 256 + type, this.#end);
    slab[this.#end + 4] = flags;
    slab.writeUInt32BE(streamId, this.#end + 5);
    this.#end += frameHeadBytes;
    this.#bytes += frameHeadBytes;
  }

  /** Payload. Big pieces are not copied: they must not change until they are written. */
  add(piece: Uint8Array): void {
    this.#bytes += piece.length;
    if (piece.length < copyBelowBytes) {
      this.#room(piece.length);
      this.#slab.set(piece, this.#end);
      this.#end += piece.length;
      markSent(piece);
      return;
    }
    this.#closeRun();
    this.#chunks.push(piece);
  }

  /** All since the last call. */
  take(): Uint8Array[] {
    this.#closeRun();
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    return chunks;
  }

  settings(values: readonly (readonly [id: number, value: number])[]): void {
    this.head(values.length * 6, frameType.settings, 0, 0);
    const payload = Buffer.alloc(values.length * 6);
    values.forEach(([id, value], index) => {
      payload.writeUInt16BE(id, index * 6);
      payload.writeUInt32BE(value, index * 6 + 2);
    });
    this.add(payload);
  }

  settingsAck(): void {
    this.head(0, frameType.settings, flag.ack, 0);
  }

  ping(payload: Uint8Array, ack: boolean): void {
    this.head(8, frameType.ping, ack ? flag.ack : 0, 0);
    this.add(payload);
  }

  reset(streamId: number, code: number): void {
    this.head(4, frameType.reset, 0, streamId);
    this.#number(code);
  }

  windowUpdate(streamId: number, bytes: number): void {
    this.head(4, frameType.windowUpdate, 0, streamId);
    this.#number(bytes);
  }

  goAway(lastStreamId: number, code: number, why: string): void {
    const debug = Buffer.from(why, "utf8");
    this.head(8 + debug.length, frameType.goAway, 0, 0);
    this.#number(lastStreamId);
    this.#number(code);
    this.add(debug);
  }

  /**
   * HEADERS, and CONTINUATIONs for what is larger than every peer takes in one. `resetTable` tells the peer that
   * we use no dynamic table, which it must hear after it changed that table's size (RFC 7541, 4.2).
   */
  headers(
    streamId: number,
    headers: HeaderList,
    { end, resetTable }: { readonly end: boolean; readonly resetTable: boolean },
  ): void {
    const encoded = encodeHeaders(headers);
    const block = resetTable ? Buffer.concat([emptyTable, encoded]) : encoded;
    const maxFrameBytes = defaultFrameBytes;
    for (let at = 0; at === 0 || at < block.length; at += maxFrameBytes) {
      const piece = block.subarray(at, at + maxFrameBytes);
      const last = at + maxFrameBytes >= block.length ? flag.endHeaders : 0;
      if (at === 0)
        this.head(piece.length, frameType.headers, last | (end ? flag.endStream : 0), streamId);
      else this.head(piece.length, frameType.continuation, last, streamId);
      this.add(piece);
    }
  }

  #number(value: number): void {
    this.#room(4);
    this.#slab.writeUInt32BE(value, this.#end);
    this.#end += 4;
    this.#bytes += 4;
  }

  #room(count: number): void {
    if (this.#end + count <= this.#slab.length) return;
    this.#closeRun();
    this.#slab = Buffer.allocUnsafeSlow(slabBytes);
    this.#start = 0;
    this.#end = 0;
  }

  #closeRun(): void {
    if (this.#end === this.#start) return;
    this.#chunks.push(this.#slab.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }
}
