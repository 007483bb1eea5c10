// Notices a peer that is gone without a word: a PING after silence, and a deadline for any sign of life.

/** When to ask, in milliseconds. */
export interface Keepalive {
  /** Silence after which a PING goes out. */
  readonly idleMs: number;
  /** How long the peer may stay silent after that. */
  readonly answerMs: number;
  /**
   * The least time between two PINGs when the peer sent no headers or data in between. grpc-go cuts a
   * connection whose PINGs come quicker than every 5 minutes, and forgets them when it sends something.
   */
  readonly politeMs: number;
}

/** A dead peer is noticed within 20 s, as long as it had something to say before. */
export const defaultKeepalive: Keepalive = {
  idleMs: 10_000,
  answerMs: 10_000,
  politeMs: 5 * 60_000 + 10_000, // what the way adds or takes must not make it less than 5 minutes
};

/** Watches one connection. Its timers keep no process alive. */
export class KeepaliveWatch {
  readonly #times: Keepalive;
  readonly #ping: () => void;
  readonly #dead: () => void;
  #timer: NodeJS.Timeout;
  #heardAt = performance.now();
  #pingedAt = -Infinity;
  #spokeSincePing = true;

  constructor(times: Keepalive, { ping, dead }: { ping: () => void; dead: () => void }) {
    this.#times = times;
    this.#ping = ping;
    this.#dead = dead;
    this.#timer = this.#in(times.idleMs);
  }

  /** Any bytes came. */
  heard(): void {
    this.#heardAt = performance.now();
  }

  /** Headers or data came: from here on a PING is welcome again. */
  spoke(): void {
    this.#spokeSincePing = true;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #in(ms: number): NodeJS.Timeout {
    return setTimeout(() => this.#check(), Math.max(1, ms)).unref();
  }

  #check(): void {
    const now = performance.now();
    const { idleMs, answerMs, politeMs } = this.#times;
    if (this.#pingedAt > this.#heardAt) {
      const left = this.#pingedAt + answerMs - now;
      if (left > 0) this.#timer = this.#in(left);
      else this.#dead();
      return;
    }
    const due = Math.max(
      this.#heardAt + idleMs,
      this.#spokeSincePing ? 0 : this.#pingedAt + politeMs,
    );
    if (now < due) {
      // Not longer: the peer may speak meanwhile, and then fall silent.
      this.#timer = this.#in(Math.min(due - now, idleMs));
      return;
    }
    this.#pingedAt = now;
    this.#spokeSincePing = false;
    this.#ping();
    this.#timer = this.#in(answerMs);
  }
}
