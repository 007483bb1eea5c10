// The control loop: keys in, one reconcile at a time per key, the outcome back to the queue. All
// requeue policy of Kiln is the one switch in `#settle`.

import type { Logger } from "pino";
import type { BackoffPolicy } from "./backoff.ts";
import { asError, deadline, systemClock } from "./clock.ts";
import type { Clock } from "./clock.ts";
import type { ControllerMetrics, ReconcileResult } from "./metrics.ts";
import { isExpected, outcomeOf } from "./outcome.ts";
import type { Outcome } from "./outcome.ts";
import { KeyedQueue } from "./queue.ts";
import type { AddOptions } from "./queue.ts";

/** What a reconcile is given besides its key and signal. */
export interface ReconcileContext {
  /** Carries `controller`, `key` and `reconcile` on every line. */
  readonly log: Logger;
  /** Unique within the process; ties the log lines of one reconcile together. */
  readonly reconcileId: string;
}

/** What a `Controller` is made of. */
export interface ControllerOptions {
  /** In log lines and metric labels. */
  readonly name: string;
  /** Reconciles under way at once, each of a different key. */
  readonly concurrency: number;
  /**
   * Moves the thing named `key` one step towards what was asked. Must tolerate being run again at
   * any time, and must return soon after `signal` aborts.
   */
  reconcile(key: string, signal: AbortSignal, context: ReconcileContext): Promise<Outcome>;
  readonly log: Logger;
  readonly metrics?: ControllerMetrics;
  readonly clock?: Clock;
  readonly backoff?: BackoffPolicy;
  /** In [0, 1); for jitter. */
  readonly random?: () => number;
  /** One reconcile is aborted after this many milliseconds. Default 60 000. */
  readonly deadlineMs?: number;
}

/** The abort reason of a reconcile that ran past `deadlineMs`. It is retried with backoff. */
export class ReconcileDeadline extends Error {
  constructor(ms: number) {
    super(`the reconcile took longer than ${ms} ms`);
    this.name = "ReconcileDeadline";
  }
}

/** The abort reason of reconciles in flight when the controller is stopped. They are not retried. */
export class ControllerStopping extends Error {
  constructor() {
    super("the controller is stopping");
    this.name = "ControllerStopping";
  }
}

/** Runs `reconcile` for every key that is added, until stopped. Keys may be added before `start`. */
export class Controller {
  readonly #o: ControllerOptions;
  readonly #clock: Clock;
  readonly #queue: KeyedQueue;
  readonly #stopping = new AbortController();
  #workers: Promise<void>[] = [];
  #reconciles = 0;

  constructor(o: ControllerOptions) {
    this.#o = o;
    this.#clock = o.clock ?? systemClock;
    this.#queue = new KeyedQueue({
      clock: this.#clock,
      ...(o.backoff === undefined ? {} : { backoff: o.backoff }),
      ...(o.random === undefined ? {} : { random: o.random }),
      onWaited: (ms) => o.metrics?.waited(o.name, ms / 1000),
    });
    o.metrics?.depth(o.name, () => this.#queue.depth);
  }

  /** Asks for a reconcile of `key`; see `KeyedQueue` for what is promised. */
  add(key: string, o?: AddOptions): void {
    this.#queue.add(key, o);
  }

  /** Keys that are due and wait for a worker. */
  get depth(): number {
    return this.#queue.depth;
  }

  /** Reconciles under way. */
  get active(): number {
    return this.#queue.active;
  }

  /** Starts the workers; a second call does nothing. */
  start(): void {
    if (this.#workers.length > 0 || this.#stopping.signal.aborted) return;
    this.#workers = Array.from({ length: this.#o.concurrency }, () => this.#work());
  }

  /**
   * Gives out no more keys, lets reconciles in flight finish for `deadlineMs`, then aborts them and
   * waits once more as long for them to notice. Never rejects.
   */
  async stop(deadlineMs: number): Promise<void> {
    this.#queue.shutDown();
    const idle = Promise.all(this.#workers).then(() => true);
    if (await this.#within(idle, deadlineMs)) {
      this.#stopping.abort(new ControllerStopping());
      return;
    }
    this.#stopping.abort(new ControllerStopping());
    if (await this.#within(idle, Math.max(deadlineMs, 1))) return;
    this.#o.log.error(
      { controller: this.#o.name, reconciles: this.#queue.active },
      "reconciles ignored their abort signal",
    );
  }

  async #within(idle: Promise<boolean>, ms: number): Promise<boolean> {
    let cancel = (): void => undefined;
    const late = new Promise<boolean>((resolve) => {
      cancel = this.#clock.after(ms, () => resolve(false));
    });
    const finished = await Promise.race([idle, late]);
    cancel();
    return finished;
  }

  async #work(): Promise<void> {
    for (;;) {
      const key = await this.#queue.take();
      if (key === undefined) return;
      await this.#run(key);
    }
  }

  async #run(key: string): Promise<void> {
    this.#reconciles += 1;
    const reconcileId = String(this.#reconciles);
    const log = this.#o.log.child({ controller: this.#o.name, key, reconcile: reconcileId });
    const deadlineMs = this.#o.deadlineMs ?? 60_000;
    const limit = deadline(this.#clock, deadlineMs, this.#stopping.signal, () => {
      this.#o.metrics?.overran(this.#o.name);
      log.warn({ deadlineMs }, "reconcile passed its deadline and was aborted");
      return new ReconcileDeadline(deadlineMs);
    });
    const started = this.#clock.now();
    let outcome: Outcome;
    try {
      outcome = await this.#o.reconcile(key, limit.signal, { log, reconcileId });
    } catch (error) {
      outcome = outcomeOf(error);
    }
    limit.clear();
    const result = this.#settle(key, outcome, log);
    this.#queue.finish(key);
    const elapsedMs = this.#clock.now() - started;
    this.#o.metrics?.reconciled(this.#o.name, result, elapsedMs / 1000);
    log.debug({ result, ms: Math.round(elapsedMs) }, "reconciled");
  }

  #settle(key: string, outcome: Outcome, log: Logger): ReconcileResult {
    if (this.#stopping.signal.aborted) return "aborted";
    switch (outcome.kind) {
      case "done":
        this.#queue.forget(key);
        return "done";
      case "after":
        this.#queue.forget(key);
        this.#queue.add(key, { delayMs: outcome.ms });
        return "after";
      case "retry": {
        const retryInMs = this.#queue.retry(key);
        const retries = this.#queue.failures(key);
        const err = asError(outcome.cause);
        if (isExpected(outcome.cause)) {
          log.info({ reason: err.message, retries, retryInMs }, "reconcile will be retried");
        } else {
          log.error({ err, retries, retryInMs }, "reconcile failed");
        }
        return "retry";
      }
    }
  }
}
