// Buffers for the big chunks of one sync, used again when their bytes have gone.
import { ReusableBytes } from "../../../http2/reusable-bytes.ts";

/** As many as may be waiting for the socket; more than that is not kept. */
const maxFree = 16;

/** Buffers of one size. Owned by one sync. */
export class ChunkPool {
  readonly #length: number;
  readonly #free: ReusableBytes[] = [];

  constructor(length: number) {
    this.#length = length;
  }

  /** A buffer with any bytes in it. */
  take(): Buffer<ReusableBytes> {
    const memory =
      this.#free.pop() ??
      new ReusableBytes(this.#length, (it) => {
        if (this.#free.length < maxFree) this.#free.push(it);
      });
    return Buffer.from(memory);
  }
}

/** Before a part of a taken buffer is sent, once and whole: then the buffer may come back. */
export function lent(part: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
  if (part.buffer instanceof ReusableBytes) part.buffer.lend(part.length);
  return part;
}
