// The agent that lives in the controller's process: a job store, and one solve per job through src/buildkit. The same
// code is meant to run beside buildkitd later, behind a wire.

import type { Logger } from "pino";
import type { Agent, Job, JobEvent, JobInfo, RecallQuestion, Recollection } from "./agent.ts";
import { JobUnknown } from "./agent.ts";
import { EventLog, type EventLogLimits } from "./event-log.ts";
import { recallRef, runJob, type Connect } from "./execute.ts";

/** What the agent is made of. */
export interface InProcessAgentOptions {
  readonly log: Logger;
  /** How a daemon is reached. */
  readonly connect: Connect;
  readonly limits?: EventLogLimits;
  /** Finished jobs that nobody acknowledged are dropped, oldest first, above this number. Default 1,000. */
  readonly maxFinished?: number;
}

interface Stored {
  readonly ref: string;
  readonly startedAt: string;
  readonly events: EventLog;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/** An `Agent` without a wire. */
export class InProcessAgent implements Agent {
  readonly #o: InProcessAgentOptions;
  readonly #jobs = new Map<string, Stored>();
  #stopped = false;

  constructor(o: InProcessAgentOptions) {
    this.#o = o;
  }

  async start(job: Job): Promise<void> {
    if (this.#jobs.has(job.ref)) return;
    if (this.#stopped) throw new Error("the agent is stopping and takes no job");
    const events = new EventLog(this.#o.limits);
    const stop = new AbortController();
    const done = this.#run(job, events, stop.signal);
    this.#jobs.set(job.ref, {
      ref: job.ref,
      startedAt: new Date().toISOString(),
      events,
      stop,
      done,
    });
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
    if (this.#jobs.get(ref)?.events.outcome !== undefined) this.#jobs.delete(ref);
  }

  async recall(question: RecallQuestion, signal: AbortSignal): Promise<Recollection> {
    return await recallRef(question, this.#o.connect, signal);
  }

  /** Takes no new job, cancels what runs and waits for it to end. Never rejects. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const jobs = [...this.#jobs.values()];
    for (const { stop } of jobs) stop.abort();
    await Promise.all(jobs.map(({ done }) => done));
  }

  async #run(job: Job, events: EventLog, signal: AbortSignal): Promise<void> {
    const { connect, log } = this.#o;
    log.info({ ref: job.ref }, "solve started");
    const outcome = await runJob(
      job,
      { connect, onEvent: (event) => events.append(event) },
      signal,
    );
    events.finish(outcome);
    const reason = outcome.kind === "failed" ? outcome.failure.reason : undefined;
    log.info({ ref: job.ref, outcome: outcome.kind, reason }, "solve ended");
  }

  #prune(): void {
    let excess = this.#jobs.size - (this.#o.maxFinished ?? 1_000);
    for (const [ref, { events }] of this.#jobs) {
      if (excess <= 0) return;
      if (events.outcome === undefined) continue;
      this.#jobs.delete(ref);
      excess -= 1;
    }
  }
}
