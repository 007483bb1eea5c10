// Does BuildKit answer, and what is it? Asks every instance the very way that runs take, soon after it appears and then
// every few seconds, and remembers the answer.

import type { Logger } from "pino";
import type { Place } from "../../agent/agent.ts";
import type { GcRule } from "../../buildkit/index.ts";
import { asError, deadline, sleep, type Clock } from "../../runtime/clock.ts";
import { floor, isBelowFloor, probeProblem } from "./answers.ts";
import { advance, type Breaker, type BreakerEvent, pauseMs, unknownBreaker } from "./breaker.ts";
import type { DaemonAnswer, DaemonProbe } from "./ask.ts";
import {
  bytesToFree,
  diskFacts,
  isUnderPressure,
  pressureProblem,
  type DiskFacts,
} from "./disk.ts";
import type { Problem } from "./problem.ts";
import { WatchBook, type Watcher, type WatchTarget } from "./watch-book.ts";

/** A daemon to be asked. */
export interface ProbeTarget extends WatchTarget {
  /** For messages: where it is. */
  readonly address: string;
  /** Kubernetes' own word that it answers: when it becomes true, the daemon is asked at once. */
  readonly isReported?: boolean | undefined;
  /** Percent of its volume above which it takes no run and its cache is pruned; undefined: never. */
  readonly diskPressureThreshold?: number | undefined;
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
  readonly disk?: DiskFacts;
}

/** What a `Prober` is made of. */
export interface ProberOptions {
  readonly connect: (place: Place) => DaemonProbe;
  readonly clock: Clock;
  readonly log: Logger;
  /** An answer of one of the Builder's instances changed. */
  readonly onChange: (builder: string) => void;
}

const deadlineMs = 5_000;
/** While a run waits, one that does not answer is asked at least this often. */
const wantedMs = 1_000;
/** A run that waits says so again within half a minute. */
const wantedForMs = 35_000;
/** A disk that stays full is pruned again after this long: builds that ran may have let go of cache. */
const pruneEveryMs = 30_000;

/** Asks instances, each on its own, from `watch` until they are no longer watched. */
export class Prober {
  readonly #o: ProberOptions;
  readonly #probes = new WatchBook<ProbeTarget, Probe>((builder, target) =>
    this.#begin(builder, target),
  );

  constructor(o: ProberOptions) {
    this.#o = o;
  }

  /** From now on these are the instances of the Builder; others of it are forgotten. */
  watch(builder: string, targets: readonly ProbeTarget[]): void {
    this.#probes.watch(builder, targets);
  }

  /** A run waits for the Builder: those of its instances that do not answer are asked at once, and often from now on. */
  want(builder: string): void {
    for (const probe of this.#probes.of(builder)) probe.want();
  }

  /** The last answer; undefined while the first is awaited. */
  result(builder: string, id: string): ProbeResult | undefined {
    return this.#probes.get(builder, id)?.result;
  }

  /** Ends all questions. */
  stop(): void {
    this.#probes.stop();
  }

  #begin(builder: string, target: ProbeTarget): Probe {
    const log = this.#o.log.child({ builder, instance: target.id });
    return new Probe(target, { ...this.#o, log, onChange: () => this.#o.onChange(builder) });
  }
}

class Probe implements Watcher<ProbeTarget> {
  #target: ProbeTarget;
  readonly #o: Omit<ProberOptions, "onChange"> & { readonly onChange: () => void };
  readonly #stopping = new AbortController();
  #client: DaemonProbe | undefined;
  #breaker: Breaker = unknownBreaker;
  #prunedMs = Number.NEGATIVE_INFINITY;
  #wantedUntilMs = Number.NEGATIVE_INFINITY;
  /** Ends the pause before the next question. */
  #wake = new AbortController();
  result: ProbeResult | undefined;

  constructor(
    target: ProbeTarget,
    o: Omit<ProberOptions, "onChange"> & { readonly onChange: () => void },
  ) {
    this.#target = target;
    this.#o = o;
    void this.#run();
  }

  get target(): ProbeTarget {
    return this.#target;
  }

  set target(target: ProbeTarget) {
    const isNews = target.isReported === true && this.#target.isReported !== true;
    this.#target = target;
    if (isNews && this.#breaker.state !== "closed") this.#wake.abort();
  }

  /** Somebody waits for an answer. */
  want(): void {
    const now = this.#o.clock.now();
    const wasWanted = now < this.#wantedUntilMs;
    this.#wantedUntilMs = now + wantedForMs;
    if (!wasWanted && this.#breaker.state !== "closed") this.#wake.abort();
  }

  stop(): void {
    this.#stopping.abort(new Error("the instance is no longer watched"));
    this.#drop();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const waitMs = await this.#ask();
      if (signal.aborted) return;
      const woken = AbortSignal.any([signal, this.#wake.signal]);
      await sleep(this.#o.clock, waitMs, woken).catch(() => undefined);
    }
  }

  #pauseMs(): number {
    const ms = pauseMs(this.#breaker);
    return this.#o.clock.now() < this.#wantedUntilMs ? Math.min(ms, wantedMs) : ms;
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
      this.#step("asked");
      this.#client ??= this.#o.connect(await this.target.place(limit.signal));
      const answer = await this.#client.ask(limit.signal);
      this.#step("answered");
      const wasFull = this.result?.problem?.reason === "DiskPressure";
      this.#set(resultOf(this.target, answer, wasFull));
      this.#relieve(this.#client);
    } catch (error) {
      if (!this.#stopping.signal.aborted)
        this.#failed(limit.signal.aborted ? limit.signal.reason : error);
    } finally {
      limit.clear();
    }
    return this.#pauseMs();
  }

  /** Prunes in the background while the disk is too full; the next questions show what came of it. */
  #relieve(client: DaemonProbe): void {
    const { diskPressureThreshold: threshold } = this.target;
    const disk = this.result?.facts?.disk;
    const isFull = this.result?.problem?.reason === "DiskPressure";
    const nowMs = this.#o.clock.now();
    if (!isFull || disk === undefined || threshold === undefined) return;
    if (nowMs - this.#prunedMs < pruneEveryMs) return;
    this.#prunedMs = nowMs;
    const minFreeBytes = bytesToFree(disk, threshold);
    client.prune(minFreeBytes, this.#stopping.signal).then(
      (freedBytes) => this.#o.log.info({ minFreeBytes, freedBytes }, "pruned a full disk"),
      (error: unknown) => this.#o.log.warn({ err: asError(error) }, "a full disk was not pruned"),
    );
  }

  #failed(error: unknown): void {
    this.#step("failed");
    // A new connection, with TLS material read anew: a Secret may have been mended.
    this.#drop();
    const problem = probeProblem(error, this.target.address);
    this.#o.log.debug(
      { reason: problem.reason, breaker: this.#breaker, err: asError(error) },
      "probe failed",
    );
    if (this.#breaker.state === "closed") return;
    const facts = this.result?.facts;
    this.#set({ kind: "failed", problem, ...(facts === undefined ? {} : { facts }) });
  }

  #step(event: BreakerEvent): void {
    this.#breaker = advance(this.#breaker, event, this.#o.clock.now());
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

function resultOf(
  target: ProbeTarget,
  { version, workers, draining, disk: asked }: DaemonAnswer,
  wasFull: boolean,
): ProbeResult {
  const [first] = workers;
  const disk = asked && diskFacts(asked);
  const facts: DaemonFacts = {
    version: version === "" ? "" : `v${version.replace(/^v/, "")}`,
    platforms: [...new Set(workers.flatMap((worker) => worker.platforms))],
    labels: first?.labels ?? {},
    gcPolicy: first?.gcPolicy ?? [],
    ...(disk === undefined ? {} : { disk }),
  };
  if (first === undefined) {
    const message = `BuildKit at ${target.address} has no worker: enable the OCI or the containerd worker in its configuration.`;
    return { kind: "answered", facts, problem: { reason: "NotAnswering", message } };
  }
  if (draining) {
    const message = `The instance at ${target.address} is being stopped: it lets running builds end and takes no new one.`;
    return { kind: "answered", facts, problem: { reason: "Draining", message } };
  }
  if (isBelowFloor(version)) {
    const message = `BuildKit at ${target.address} is ${facts.version}, which has known holes: upgrade it to v${floor} or later.`;
    return { kind: "answered", facts, problem: { reason: "BuilderTooOld", message } };
  }
  const { diskPressureThreshold: threshold } = target;
  if (disk === undefined || threshold === undefined || !isUnderPressure(disk, threshold, wasFull))
    return { kind: "answered", facts };
  return { kind: "answered", facts, problem: pressureProblem(disk, threshold, target.address) };
}
