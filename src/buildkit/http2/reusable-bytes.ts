// Memory of big chunks that is used again once a socket has taken them: a fresh buffer for every 256 KiB costs page
// faults, and V8 a collection for each 16 MiB. What is never taken is collected as any other memory.

/** Bytes that are lent to whoever sends them; their memory comes back when all of them were sent. */
class Loan {
  readonly #comesBack: () => void;
  #lent = 0;

  constructor(comesBack: () => void) {
    this.#comesBack = comesBack;
  }

  /** This many bytes will be sent, each of them once. */
  lend(bytes: number): void {
    this.#lent = bytes;
  }

  /** This many bytes of what was lent are read by nobody any more. */
  sent(bytes: number): void {
    this.#lent -= bytes;
    if (this.#lent === 0) this.#comesBack();
  }
}

/** Memory that can be lent. */
export class ReusableBytes extends ArrayBuffer {
  readonly loan: Loan;

  constructor(length: number, comesBack: (it: ReusableBytes) => void) {
    super(length);
    this.loan = new Loan(() => comesBack(this));
  }
}

/** The same for memory that a worker fills. V8 does not count it, so that much of it must not be left to be collected. */
export class SharedReusableBytes extends SharedArrayBuffer {
  readonly loan: Loan;

  constructor(length: number, comesBack: () => void) {
    super(length);
    this.loan = new Loan(comesBack);
  }
}

function loanOf({ buffer }: Uint8Array): Loan | undefined {
  const reusable = buffer instanceof ReusableBytes || buffer instanceof SharedReusableBytes;
  return reusable ? buffer.loan : undefined;
}

/** Before a part of such memory is sent, once and whole: then it comes back. Other memory is left as it is. */
export function lent<T extends Uint8Array>(part: T): T {
  loanOf(part)?.lend(part.length);
  return part;
}

/** Whether a chunk is to be handed to `markSent`. */
export function isReusable(chunk: Uint8Array): boolean {
  return loanOf(chunk) !== undefined;
}

/** Nobody reads these bytes any more: they were copied, or the socket has taken them. */
export function markSent(chunk: Uint8Array): void {
  loanOf(chunk)?.sent(chunk.length);
}
