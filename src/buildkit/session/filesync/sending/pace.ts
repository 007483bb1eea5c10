// Some work is cheap a thousand times a second, and dear twenty thousand times: it is done together.

/** Runs an action at once when it did not run lately, else when its pause is over; then for all that came meanwhile. */
export class Pace {
  readonly #pauseMs: number;
  readonly #action: () => void;
  #timer: NodeJS.Timeout | undefined;
  #last = Number.NEGATIVE_INFINITY;

  constructor(pauseMs: number, action: () => void) {
    this.#pauseMs = pauseMs;
    this.#action = action;
  }

  /** There is something to do. */
  ring(): void {
    if (this.#timer !== undefined) return;
    const wait = this.#last + this.#pauseMs - performance.now();
    if (wait <= 0) this.#run();
    else this.#timer = setTimeout(() => this.#run(), wait);
  }

  /** Nothing runs any more. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #run(): void {
    this.#timer = undefined;
    this.#last = performance.now();
    this.#action();
  }
}
