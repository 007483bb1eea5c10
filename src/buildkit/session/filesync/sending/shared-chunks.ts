// Buffers that a worker fills and the main thread sends, without a copy or a transfer: a transferred buffer is memory
// that the main thread has to collect, which cost it a quarter of its time. Both sides know them by number.
import { SharedReusableBytes } from "../../../http2/reusable-bytes.ts";
import { chunkBufferBytes } from "./batch.ts";
import type { Chunks } from "./chunk-pool.ts";
import { chunkBytes } from "../tree.ts";

/** Enough for what may be on its way; a worker that needs more makes its own. */
const count = 16;

/** The main thread's side; owned by one sync. */
export class SharedChunks {
  readonly memory: readonly SharedReusableBytes[];
  #sent: number[] = [];

  constructor() {
    const length = chunkBufferBytes(chunkBytes);
    this.memory = Array.from(
      { length: count },
      (_, index) => new SharedReusableBytes(length, () => void this.#sent.push(index)),
    );
  }

  /** The bytes that the worker has put there. */
  part(index: number, from: number, length: number): Buffer<SharedReusableBytes> {
    const memory = this.memory[index];
    if (memory === undefined) throw new RangeError(`there is no chunk ${index}`);
    return Buffer.from(memory, from, length);
  }

  /** Those that were sent since the last call, for the worker. */
  takeSent(): readonly number[] {
    const sent = this.#sent;
    this.#sent = [];
    return sent;
  }
}

/** The worker's side. */
export class WorkerChunks implements Chunks {
  readonly #memory: readonly SharedArrayBuffer[];
  readonly #free: number[];

  constructor(memory: readonly SharedArrayBuffer[]) {
    this.#memory = memory;
    this.#free = memory.map((_, index) => index).toReversed();
  }

  take(): Buffer {
    const index = this.#free.pop();
    const memory = index === undefined ? undefined : this.#memory[index];
    if (memory !== undefined) return Buffer.from(memory);
    return Buffer.allocUnsafeSlow(chunkBufferBytes(chunkBytes));
  }

  /** The number of the chunk that bytes lie in; -1: it is of our own. */
  indexOf(bytes: Uint8Array): number {
    return this.#memory.findIndex((memory) => memory === bytes.buffer);
  }

  /** These may be filled again; the last one first, for it is in the processor's cache. */
  give(indices: readonly number[]): void {
    this.#free.push(...indices);
  }
}
