// How the process ends: SIGTERM or SIGINT (or a lost lease) stops what was started, in reverse order
// and within a deadline. A second signal, or a step that hangs, does not keep the process alive.

import type { Logger } from "pino";
import { asError, systemClock } from "./clock.ts";
import type { Clock } from "./clock.ts";

/** Where signals come from: `process`, or an EventEmitter in tests. */
export interface SignalSource {
  on(signal: "SIGTERM" | "SIGINT", listener: () => void): unknown;
  off(signal: "SIGTERM" | "SIGINT", listener: () => void): unknown;
}

/** What a `Lifecycle` is made of. */
export interface LifecycleOptions {
  readonly log: Logger;
  /** All steps together get this long. */
  readonly graceMs: number;
  /** Default `process`. */
  readonly signals?: SignalSource;
  readonly clock?: Clock;
  /** Called by a second signal, which does not wait. Default `process.exit`. */
  readonly exit?: (code: number) => void;
}

interface Step {
  readonly name: string;
  readonly stop: (leftMs: number) => Promise<void> | void;
}

/** The end of a process: register steps as things start, then await `ended`. */
export class Lifecycle {
  readonly #o: LifecycleOptions;
  readonly #clock: Clock;
  readonly #steps: Step[] = [];
  readonly #stopping = new AbortController();
  readonly #ended = Promise.withResolvers<number>();
  readonly #onSignal: () => void;

  constructor(o: LifecycleOptions) {
    this.#o = o;
    this.#clock = o.clock ?? systemClock;
    this.#onSignal = () => this.#signalled();
    this.#signals.on("SIGTERM", this.#onSignal);
    this.#signals.on("SIGINT", this.#onSignal);
  }

  /** Aborts as soon as the process is asked to stop, before any step runs. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Resolves with the exit code when all steps ran or the grace time is over. Never rejects. */
  get ended(): Promise<number> {
    return this.#ended.promise;
  }

  /** `stop` runs at the end, before those registered earlier; it is told how much time is left. */
  onStop(name: string, stop: (leftMs: number) => Promise<void> | void): void {
    this.#steps.push({ name, stop });
  }

  /** Begins the end. `error` makes the exit code 1; later calls change nothing. */
  stop(error?: Error): void {
    if (this.#stopping.signal.aborted) return;
    if (error === undefined) this.#o.log.info("stopping");
    else this.#o.log.error({ err: error }, "stopping");
    this.#stopping.abort(error ?? new Error("the process is stopping"));
    void this.#end(error === undefined ? 0 : 1);
  }

  get #signals(): SignalSource {
    return this.#o.signals ?? process;
  }

  #signalled(): void {
    if (!this.#stopping.signal.aborted) {
      this.stop();
      return;
    }
    this.#o.log.warn("second signal: not waiting any longer");
    (this.#o.exit ?? process.exit.bind(process))(1);
  }

  async #end(code: number): Promise<void> {
    const until = this.#clock.now() + this.#o.graceMs;
    let worst = code;
    for (const step of this.#steps.toReversed()) {
      const clean = await this.#step(step, Math.max(0, until - this.#clock.now()));
      if (!clean) worst = 1;
    }
    this.#signals.off("SIGTERM", this.#onSignal);
    this.#signals.off("SIGINT", this.#onSignal);
    this.#o.log.info({ code: worst }, "stopped");
    this.#ended.resolve(worst);
  }

  /** Runs one step; a step that fails or hangs does not keep the others from running. */
  async #step(step: Step, leftMs: number): Promise<boolean> {
    let cancel = (): void => undefined;
    const late = new Promise<"late">((resolve) => {
      cancel = this.#clock.after(leftMs, () => resolve("late"));
    });
    try {
      const ended = await Promise.race([Promise.resolve(step.stop(leftMs)), late]);
      if (ended !== "late") return true;
      this.#o.log.warn({ step: step.name }, "step did not stop in time");
    } catch (error) {
      this.#o.log.error({ step: step.name, err: asError(error) }, "step failed to stop");
    } finally {
      cancel();
    }
    return false;
  }
}
