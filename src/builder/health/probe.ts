// Does BuildKit answer, and what is it? Asks every instance the very way that runs take, soon after it appears and then
// every few seconds, and remembers the answer.

import type { Logger } from "pino";
import type { Place } from "../../agent/agent.ts";
import type { GcRule } from "../../buildkit/index.ts";
import { asError, deadline, sleep, type Clock } from "../../runtime/clock.ts";
import { floor, isBelowFloor, probeProblem } from "./answers.ts";
import type { DaemonAnswer, DaemonProbe } from "./ask.ts";
import type { Problem } from "./problem.ts";

/** A daemon to be asked. */
export interface ProbeTarget {
  /** The instance's id. */
  readonly id: string;
  /** For messages: where it is. */
  readonly address: string;
  /** Changes when it is another daemon, or must be dialled differently: what was known is then forgotten. */
  readonly identity: string;
  place(signal: AbortSignal): Promise<Place>;
}

/** What a daemon said, or why it said nothing. */
export type ProbeResult =
  | { readonly kind: "answered"; readonly facts: DaemonFacts; readonly problem?: Problem }
  | { readonly kind: "failed"; readonly problem: Problem; readonly facts?: DaemonFacts };

/** What a daemon says about itself. */
export interface DaemonFacts {
  /** e.g. `v0.34.2`. */
  readonly version: string;
  readonly platforms: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly gcPolicy: readonly GcRule[];
}

/** What a `Prober` is made of. */
export interface ProberOptions {
  readonly connect: (place: Place) => DaemonProbe;
  readonly clock: Clock;
  readonly log: Logger;
  /** An answer of one of the Builder's instances changed. */
  readonly onChange: (builder: string) => void;
}

/** A daemon that answers is asked again after this long. */
const healthyMs = 5_000;
/** One that does not, after this long, doubling up to the longest. */
const firstRetryMs = 250;
const longestRetryMs = 15_000;
const deadlineMs = 5_000;
/** A daemon that answered before may miss one question: the machine may be busy. */
const failuresAllowed = 1;

/** Asks instances, each on its own, from `watch` until they are no longer watched. */
export class Prober {
  readonly #o: ProberOptions;
  readonly #builders = new Map<string, Map<string, Probe>>();

  constructor(o: ProberOptions) {
    this.#o = o;
  }

  /** From now on these are the instances of the Builder; others of it are forgotten. */
  watch(builder: string, targets: readonly ProbeTarget[]): void {
    const before = this.#builders.get(builder) ?? new Map<string, Probe>();
    const after = new Map<string, Probe>();
    for (const target of targets) {
      const known = before.get(target.id);
      const same = known?.target.identity === target.identity;
      after.set(target.id, same ? known : this.#begin(builder, target));
    }
    for (const probe of before.values())
      if (!targets.some(({ id }) => after.get(id) === probe)) probe.stop();
    if (after.size === 0) this.#builders.delete(builder);
    else this.#builders.set(builder, after);
  }

  /** The last answer; undefined while the first is awaited. */
  result(builder: string, id: string): ProbeResult | undefined {
    return this.#builders.get(builder)?.get(id)?.result;
  }

  /** Ends all questions. */
  stop(): void {
    for (const builder of this.#builders.keys()) this.watch(builder, []);
  }

  #begin(builder: string, target: ProbeTarget): Probe {
    const log = this.#o.log.child({ builder, instance: target.id });
    return new Probe(target, { ...this.#o, log, onChange: () => this.#o.onChange(builder) });
  }
}

class Probe {
  readonly target: ProbeTarget;
  readonly #o: Omit<ProberOptions, "onChange"> & { readonly onChange: () => void };
  readonly #stopping = new AbortController();
  #client: DaemonProbe | undefined;
  #failures = 0;
  result: ProbeResult | undefined;

  constructor(
    target: ProbeTarget,
    o: Omit<ProberOptions, "onChange"> & { readonly onChange: () => void },
  ) {
    this.target = target;
    this.#o = o;
    void this.#run();
  }

  stop(): void {
    this.#stopping.abort(new Error("the instance is no longer watched"));
    this.#drop();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const waitMs = await this.#ask();
      if (signal.aborted) return;
      await sleep(this.#o.clock, waitMs, signal).catch(() => undefined);
    }
  }

  /** One question; returns how long to wait before the next. Never rejects. */
  async #ask(): Promise<number> {
    const limit = deadline(
      this.#o.clock,
      deadlineMs,
      this.#stopping.signal,
      () => new ProbeDeadline(this.target.address),
    );
    try {
      this.#client ??= this.#o.connect(await this.target.place(limit.signal));
      const answer = await this.#client.ask(limit.signal);
      this.#failures = 0;
      this.#set(resultOf(this.target, answer));
      return healthyMs;
    } catch (error) {
      if (!this.#stopping.signal.aborted)
        this.#failed(limit.signal.aborted ? limit.signal.reason : error);
      return Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(this.#failures - 1, 10));
    } finally {
      limit.clear();
    }
  }

  #failed(error: unknown): void {
    this.#failures += 1;
    // A new connection, with TLS material read anew: a Secret may have been mended.
    this.#drop();
    const problem = probeProblem(error, this.target.address);
    this.#o.log.debug(
      { reason: problem.reason, failures: this.#failures, err: asError(error) },
      "probe failed",
    );
    const answeredLately = this.result?.kind === "answered" && this.#failures <= failuresAllowed;
    if (answeredLately) return;
    const facts = this.result?.facts;
    this.#set({ kind: "failed", problem, ...(facts === undefined ? {} : { facts }) });
  }

  #set(result: ProbeResult): void {
    const changed = JSON.stringify(result) !== JSON.stringify(this.result);
    this.result = result;
    if (changed && !this.#stopping.signal.aborted) this.#o.onChange();
  }

  #drop(): void {
    this.#client?.close();
    this.#client = undefined;
  }
}

/** BuildKit did not answer in time. */
export class ProbeDeadline extends Error {
  constructor(address: string) {
    super(`BuildKit at ${address} did not answer within ${deadlineMs / 1000} s`);
    this.name = "ProbeDeadline";
  }
}

function resultOf(target: ProbeTarget, { version, workers, draining }: DaemonAnswer): ProbeResult {
  const [first] = workers;
  const facts: DaemonFacts = {
    version: version === "" ? "" : `v${version.replace(/^v/, "")}`,
    platforms: [...new Set(workers.flatMap((worker) => worker.platforms))],
    labels: first?.labels ?? {},
    gcPolicy: first?.gcPolicy ?? [],
  };
  if (first === undefined) {
    const message = `BuildKit at ${target.address} has no worker: enable the OCI or the containerd worker in its configuration.`;
    return { kind: "answered", facts, problem: { reason: "NotAnswering", message } };
  }
  if (draining) {
    const message = `The instance at ${target.address} is being stopped: it lets running builds end and takes no new one.`;
    return { kind: "answered", facts, problem: { reason: "Draining", message } };
  }
  if (!isBelowFloor(version)) return { kind: "answered", facts };
  const message = `BuildKit at ${target.address} is ${facts.version}, which has known holes: upgrade it to v${floor} or later.`;
  return { kind: "answered", facts, problem: { reason: "BuilderTooOld", message } };
}
