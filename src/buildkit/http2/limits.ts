// Flow control windows and flood limits: plain arithmetic. Pure; time comes in.
import { errorCode, Http2Error, maxWindowBytes } from "./protocol.ts";

/** What we let the peer send: granted, used, given back as it is consumed. */
export class ReceiveWindow {
  #size: number;
  #left: number;
  #owed = 0;

  constructor(bytes: number) {
    this.#size = bytes;
    this.#left = bytes;
  }

  /** The peer sent this much. Throws Http2Error FLOW_CONTROL_ERROR when it was not allowed to. */
  received(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0)
      throw new Http2Error(errorCode.flowControlError, "the peer sends more than it may");
  }

  /** We are done with this much. The answer is what to grant now: 0 until it is a quarter of the window. */
  consumed(bytes: number): number {
    this.#owed += bytes;
    return this.#owed * 4 >= this.#size ? this.#grant(0) : 0;
  }

  /** Makes the window this large; the answer is what to grant. */
  widen(bytes: number): number {
    const more = Math.max(0, bytes - this.#size);
    this.#size += more;
    return this.#grant(more);
  }

  #grant(more: number): number {
    const bytes = this.#owed + more;
    this.#left += bytes;
    this.#owed = 0;
    return bytes;
  }
}

/** What the peer lets us send. Negative after it made its initial window smaller. */
export class SendWindow {
  left: number;

  constructor(bytes: number) {
    this.left = bytes;
  }

  /** False: the window would become larger than there may be one. */
  grow(bytes: number): boolean {
    this.left += bytes;
    return this.left <= maxWindowBytes;
  }
}

/** So many at once, so many a second after that. */
export class RateLimit {
  readonly #burst: number;
  readonly #perMs: number;
  #tokens: number;
  #at = 0;

  constructor(burst: number, perSecond: number) {
    this.#burst = burst;
    this.#perMs = perSecond / 1000;
    this.#tokens = burst;
  }

  /** Takes one at this time (milliseconds of a steady clock); false: too many. */
  take(now: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perMs);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
