// Memory of big chunks that is used again once a socket has taken them: a fresh buffer for every 256 KiB costs page
// faults, and V8 a collection for each 16 MiB. What is never taken is collected as any other memory.

/** Memory that is lent to whoever sends it, and comes back when all of it was sent. Shared: a worker may fill it. */
export class ReusableBytes extends SharedArrayBuffer {
  readonly #comesBack: (it: ReusableBytes) => void;
  #lent = 0;

  constructor(length: number, comesBack: (it: ReusableBytes) => void) {
    super(length);
    this.#comesBack = comesBack;
  }

  /** This many bytes will be sent, each of them once. */
  lend(bytes: number): void {
    this.#lent = bytes;
  }

  /** This many bytes of what was lent are read by nobody any more. */
  sent(bytes: number): void {
    this.#lent -= bytes;
    if (this.#lent === 0) this.#comesBack(this);
  }
}

/** Before a part of such memory is sent, once and whole: then it comes back. Other memory is left as it is. */
export function lent<T extends Uint8Array>(part: T): T {
  if (part.buffer instanceof ReusableBytes) part.buffer.lend(part.length);
  return part;
}

/** Whether a chunk is to be handed to `markSent`. */
export function isReusable(chunk: Uint8Array): boolean {
  return chunk.buffer instanceof ReusableBytes;
}

/** Nobody reads these bytes any more: they were copied, or the socket has taken them. */
export function markSent(chunk: Uint8Array): void {
  if (chunk.buffer instanceof ReusableBytes) chunk.buffer.sent(chunk.length);
}
