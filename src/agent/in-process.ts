// The agent that does the work: a job store, and one solve per job through src/buildkit. It lives in the controller's
// process for daemons that are elsewhere, and behind a wire (`kiln agent`) beside a buildkitd.

import type { Logger } from "pino";
import { KilnError } from "../errors/index.ts";
import type { Agent, Job, JobEvent, JobInfo, RecallQuestion, Recollection } from "./agent.ts";
import { JobUnknown } from "./agent.ts";
import { secretValues } from "./solve/attachables.ts";
import { EventLog, type EventLogLimits } from "./events/event-log.ts";
import { type Connect, recallRef, runJob } from "./solve/execute.ts";
import type { JobLog } from "./journal/job-log.ts";
import type { Journal } from "./journal/journal.ts";
import { lostFailure, resolveLost } from "./solve/lost.ts";
import { eventRedactor } from "./events/redact.ts";

/** What the agent is made of. */
export interface InProcessAgentOptions {
  readonly log: Logger;
  /** How a daemon is reached. */
  readonly connect: Connect;
  readonly limits?: EventLogLimits;
  /** Finished jobs that nobody acknowledged are dropped, oldest first, above this number. Default 1,000. */
  readonly maxFinished?: number;
  /** Folder of local caches (`cache.to[].local`). Without one they are refused. */
  readonly caches?: string | undefined;
  /** Keeps events on disk. Without one they are in memory only. */
  readonly journal?: Journal;
}

interface Stored {
  readonly ref: string;
  readonly startedAt: string;
  readonly events: EventLog;
  readonly disk: JobLog | undefined;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/** Who attaches to a job again after a restart may know events that the disk did not get: offsets go on beyond them. */
const restartGap = 1_000_000;

/** An `Agent` without a wire. */
export class InProcessAgent implements Agent {
  readonly #o: InProcessAgentOptions;
  readonly #jobs = new Map<string, Stored>();
  #draining = false;
  #settled = Promise.withResolvers<void>();

  constructor(o: InProcessAgentOptions) {
    this.#o = o;
  }

  async start(job: Job): Promise<void> {
    if (this.#jobs.has(job.ref)) return;
    if (this.#draining) {
      throw new KilnError({
        class: "Builder",
        reason: "Draining",
        message: "The builder's instance is being stopped and takes no new build.",
        retryable: true,
      });
    }
    const startedAt = new Date().toISOString();
    const context = job.request.frontendAttrs["context"];
    const disk = this.#o.journal?.begin({ ref: job.ref, startedAt, ...(context && { context }) });
    const events = new EventLog({ limits: this.#o.limits, older: disk });
    const stop = new AbortController();
    const done = this.#run(job, events, stop.signal);
    this.#jobs.set(job.ref, { ref: job.ref, startedAt, events, disk, stop, done });
    this.#prune();
  }

  async list(): Promise<readonly JobInfo[]> {
    return [...this.#jobs.values()].map(({ ref, startedAt, events }) => ({
      ref,
      startedAt,
      state: events.outcome === undefined ? "running" : "finished",
      nextOffset: events.nextOffset,
    }));
  }

  attach(ref: string, fromEvent: number, signal: AbortSignal): AsyncIterable<JobEvent> {
    const stored = this.#jobs.get(ref);
    if (stored === undefined) throw new JobUnknown(ref);
    return stored.events.read(fromEvent, signal);
  }

  async cancel(ref: string): Promise<void> {
    this.#jobs.get(ref)?.stop.abort();
  }

  async acknowledge(ref: string): Promise<void> {
    const stored = this.#jobs.get(ref);
    if (stored?.events.outcome !== undefined) await this.#forget(stored);
  }

  async recall(question: RecallQuestion, signal: AbortSignal): Promise<Recollection> {
    return await recallRef(question, this.#o.connect, signal);
  }

  /** Takes no new job from now on. The refs that run. */
  drain(): readonly string[] {
    this.#draining = true;
    return this.#running().map(({ ref }) => ref);
  }

  /** Whether `drain` was called. */
  get draining(): boolean {
    return this.#draining;
  }

  /** Ends the jobs that run as lost, not as cancelled: for a reason that is not theirs. The refs. */
  cut(): readonly string[] {
    const jobs = this.#running();
    for (const { stop, events } of jobs) {
      events.finish(lostFailure("the builder's instance was drained, and its time was up"));
      stop.abort();
    }
    this.#changed();
    return jobs.map(({ ref }) => ref);
  }

  /** Resolves when no job runs, or when the signal fires. */
  async idle(signal: AbortSignal): Promise<void> {
    while (this.#running().length > 0 && !signal.aborted) await this.#change(signal);
  }

  /** Resolves when every job is acknowledged, or when the signal fires. */
  async empty(signal: AbortSignal): Promise<void> {
    while (this.#jobs.size > 0 && !signal.aborted) await this.#change(signal);
  }

  /**
   * Takes over what an earlier process left in the journal: finished jobs as they are; for those that died with it, the
   * daemon of `question` is asked in the background. Call it once, before the first `start`.
   */
  async restore(materials: RecallQuestion["materials"]): Promise<void> {
    for (const restored of (await this.#o.journal?.restore()) ?? []) {
      const { header, vertices, outcome, events: disk } = restored;
      const nextOffset = restored.nextOffset + (outcome === undefined ? restartGap : 0);
      const { limits } = this.#o;
      const events = new EventLog({
        limits,
        older: disk,
        resumed: { nextOffset, vertices, outcome },
      });
      const { ref, startedAt, context } = header;
      const stop = new AbortController();
      const question = { ref, materials, ...(context === undefined ? {} : { context }) };
      const done =
        outcome === undefined ? this.#resolve(question, events, stop.signal) : Promise.resolve();
      this.#jobs.set(ref, { ref, startedAt, events, disk, stop, done });
    }
  }

  /**
   * Takes no new job, ends what runs and waits for it. Never rejects. `lost`: the builds are cut for a reason that is
   * not theirs, and end as lost instead of cancelled.
   */
  async stop({ lost = false } = {}): Promise<void> {
    this.#draining = true;
    const jobs = this.#running();
    for (const { stop, events } of jobs) {
      if (lost) events.finish(lostFailure("the builder's instance was stopped before it ended"));
      stop.abort();
    }
    await Promise.all(jobs.map(({ done }) => done));
    await this.#o.journal?.close();
  }

  async #run(job: Job, events: EventLog, signal: AbortSignal): Promise<void> {
    const { connect, log, caches } = this.#o;
    const redact = eventRedactor(secretValues(job.materials.open()));
    log.info({ ref: job.ref }, "solve started");
    const onEvent = (event: Parameters<typeof redact>[0]): void => events.append(redact(event));
    const outcome = await runJob(job, { connect, caches, onEvent }, signal);
    events.finish(outcome);
    const reason = outcome.kind === "failed" ? outcome.failure.reason : undefined;
    log.info({ ref: job.ref, outcome: outcome.kind, reason }, "solve ended");
    this.#changed();
  }

  async #resolve(question: RecallQuestion, events: EventLog, signal: AbortSignal): Promise<void> {
    const { connect, log } = this.#o;
    const outcome = await resolveLost(question, connect, signal);
    events.finish(outcome);
    log.info({ ref: question.ref, outcome: outcome.kind }, "job of an earlier process resolved");
    this.#changed();
  }

  #running(): Stored[] {
    return [...this.#jobs.values()].filter(({ events }) => events.outcome === undefined);
  }

  async #forget({ ref, disk }: Stored): Promise<void> {
    this.#jobs.delete(ref);
    this.#changed();
    if (disk !== undefined) await this.#o.journal?.remove(disk);
  }

  #changed(): void {
    const settled = this.#settled;
    this.#settled = Promise.withResolvers<void>();
    settled.resolve();
  }

  async #change(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<void>();
    const onAbort = (): void => aborted.resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    await Promise.race([this.#settled.promise, aborted.promise]);
    signal.removeEventListener("abort", onAbort);
  }

  #prune(): void {
    let excess = this.#jobs.size - (this.#o.maxFinished ?? 1_000);
    for (const stored of this.#jobs.values()) {
      if (excess <= 0) return;
      if (stored.events.outcome === undefined) continue;
      void this.#forget(stored).catch((error: unknown) => {
        this.#o.log.warn({ err: error, ref: stored.ref }, "a job's log was not removed");
      });
      excess -= 1;
    }
  }
}
