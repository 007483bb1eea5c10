// Keeps the containers of all Builders as they should be: each on its own, so that a slow engine holds up nobody else's, and
// remembers how the last look went.

import type { Logger } from "pino";
import type { Engine } from "../../buildkit/index.ts";
import { asError, sleep, type Clock } from "../../runtime/clock.ts";
import { probeProblem } from "../health/answers.ts";
import { advance, type Breaker, pauseMs, unknownBreaker } from "../health/breaker.ts";
import type { Problem } from "../health/problem.ts";
import { WatchBook, type Watcher, type WatchTarget } from "../health/watch-book.ts";
import type { WantedContainer } from "./container.ts";
import { keepContainer } from "./keep.ts";

/** A container that a Builder wants. */
export interface ContainerTarget extends WatchTarget {
  /** For messages: where the engine is. */
  readonly address: string;
  engine(signal: AbortSignal): Promise<Engine>;
  wanted(signal: AbortSignal): Promise<WantedContainer>;
  isBusy(): boolean;
  /** Whether the container is written down on the Builder. */
  isRecorded(): boolean;
}

/** How the container is: its identity while it runs. */
export interface ContainerResult {
  readonly running?: string;
  readonly problem?: Problem;
  /** Whether the engine ever answered. */
  readonly reached?: boolean;
  /** Since when it waits for its builds, to be made anew; by the clock, in milliseconds. */
  readonly drainingSinceMs?: number;
}

/** After something was done to a container, it is looked at again after this long. */
const actedMs = 250;

/** What a `ContainerKeeper` is made of. */
export interface KeeperOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly onChange: (builder: string) => void;
}

interface Loop extends Watcher<ContainerTarget> {
  readonly signal: AbortSignal;
  result: ContainerResult | undefined;
}

/** Looks after containers, from `watch` until they are no longer watched; never removes one for that. */
export class ContainerKeeper {
  readonly #o: KeeperOptions;
  readonly #loops = new WatchBook<ContainerTarget, Loop>((builder, target, before) =>
    this.#begin(builder, target, before),
  );

  constructor(o: KeeperOptions) {
    this.#o = o;
  }

  /** From now on these are the containers of the Builder. */
  watch(builder: string, targets: readonly ContainerTarget[]): void {
    this.#loops.watch(builder, targets);
  }

  /** Undefined until the first look has ended. */
  result(builder: string, id: string): ContainerResult | undefined {
    return this.#loops.get(builder, id)?.result;
  }

  /** Ends all looking. */
  stop(): void {
    this.#loops.stop();
  }

  #begin(builder: string, target: ContainerTarget, before: Loop | undefined): Loop {
    const isSameEngine = before?.target.address === target.address;
    const result = isSameEngine ? before.result : undefined;
    const stopping = new AbortController();
    const stop = (): void => stopping.abort();
    const loop: Loop = { target, signal: stopping.signal, stop, result };
    void this.#run(builder, loop);
    return loop;
  }

  async #run(builder: string, loop: Loop): Promise<void> {
    const { signal } = loop;
    let breaker: Breaker = unknownBreaker;
    while (!signal.aborted) {
      const result = await this.#look(loop, signal);
      if (signal.aborted) return;
      if (result !== undefined) {
        const event = result.problem === undefined ? "answered" : "failed";
        breaker = advance(breaker, event, this.#o.clock.now());
        this.#set(builder, loop, result);
      }
      const waitMs = result === undefined ? actedMs : pauseMs(breaker);
      await sleep(this.#o.clock, waitMs, signal).catch(() => undefined);
    }
  }

  /** Undefined: something was done, look again. Never rejects. */
  async #look(loop: Loop, signal: AbortSignal): Promise<ContainerResult | undefined> {
    const { target } = loop;
    let reached = loop.result?.reached === true;
    const around = {
      isBusy: () => target.isBusy(),
      isRecorded: () => target.isRecorded(),
      onReached: () => {
        reached = true;
      },
    };
    try {
      const [engine, wanted] = [await target.engine(signal), await target.wanted(signal)];
      const kept = await keepContainer(engine, wanted, around, signal);
      return kept === undefined ? undefined : { running: kept.identity, reached };
    } catch (error) {
      const problem = engineProblem(error, target.address);
      this.#o.log.debug({ reason: problem.reason, err: asError(error) }, "container is not kept");
      if (problem.reason !== "Draining") return { problem, reached };
      const drainingSinceMs = loop.result?.drainingSinceMs ?? this.#o.clock.now();
      return { problem, reached, drainingSinceMs };
    }
  }

  #set(builder: string, loop: Loop, result: ContainerResult): void {
    const isNew = JSON.stringify(result) !== JSON.stringify(loop.result);
    loop.result = result;
    if (isNew) this.#o.onChange(builder);
  }
}

/** The same words as for a daemon that is not reached, about the engine. */
export function engineProblem(error: unknown, address: string): Problem {
  const { reason, message } = probeProblem(error, address);
  return { reason, message: message.replace(/^BuildKit at /, "The Docker engine at ") };
}
