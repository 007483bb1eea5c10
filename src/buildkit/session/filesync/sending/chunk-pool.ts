// Buffers for what one sync sends, used again when their bytes have gone.
import { ReusableBytes } from "../../../http2/reusable-bytes.ts";

/** As many as may be waiting for the socket; more than that is not kept. */
const maxFree = 32;

/** Where a sender gets its buffers. */
export interface Chunks {
  /** A buffer with any bytes in it; it is given away with what is sent of it. */
  take(): Buffer;
}

/** Buffers of one size. Owned by one sync. */
export class ChunkPool implements Chunks {
  readonly #length: number;
  readonly #free: ReusableBytes[] = [];

  constructor(length: number) {
    this.#length = length;
  }

  take(): Buffer<ReusableBytes> {
    const memory =
      this.#free.pop() ??
      new ReusableBytes(this.#length, (it) => {
        if (this.#free.length < maxFree) this.#free.push(it);
      });
    return Buffer.from(memory);
  }
}
