// Buffers that collect bytes for large writes, used again when they are written: fresh ones cost page faults and
// collections, and what comes in over the network is there for a moment only.

/** As many as are kept when nobody needs them. */
const maxFree = 8;

/** Buffers of one size. Owned by one transfer. */
export class SlabPool {
  readonly #bytes: number;
  readonly #free: Buffer[] = [];

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** A buffer with any bytes in it. */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#bytes);
  }

  /** Gives one back that nobody reads any more. */
  give(slab: Buffer): void {
    if (this.#free.length < maxFree) this.#free.push(slab);
  }
}
