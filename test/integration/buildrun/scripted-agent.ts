// An agent whose jobs end when the test says so. Honours the interface but for `gap`s; its daemon's history is what the
// test puts into `memory`.

import {
  type Agent,
  type Job,
  type JobEvent,
  type JobInfo,
  type JobOutcome,
  JobUnknown,
  type RecallQuestion,
  type Recollection,
} from "../../../src/agent/agent.ts";
import { EventLog } from "../../../src/agent/events/event-log.ts";
import type { SolveEvent } from "../../../src/buildkit/progress/events.ts";

export class ScriptedAgent implements Agent {
  readonly jobs = new Map<string, { readonly job: Job; readonly events: EventLog }>();
  /** Every ref that was ever started, in order. */
  readonly started: string[] = [];
  readonly memory = new Map<string, Recollection>();
  readonly recalled: string[] = [];
  /** Jobs of these refs ignore `cancel`. */
  deaf = false;

  async start(job: Job): Promise<void> {
    if (this.jobs.has(job.ref)) return;
    this.started.push(job.ref);
    this.jobs.set(job.ref, { job, events: new EventLog() });
  }

  async list(): Promise<readonly JobInfo[]> {
    return [...this.jobs].map(([ref, { events }]) => ({
      ref,
      startedAt: "",
      nextOffset: events.nextOffset,
      state: events.outcome === undefined ? "running" : "finished",
    }));
  }

  attach(ref: string, fromEvent: number, signal: AbortSignal): AsyncIterable<JobEvent> {
    const found = this.jobs.get(ref);
    if (found === undefined) throw new JobUnknown(ref);
    return found.events.read(fromEvent, signal);
  }

  async cancel(ref: string): Promise<void> {
    if (!this.deaf) this.finish(ref, { kind: "cancelled", finishedAt: new Date().toISOString() });
  }

  async acknowledge(ref: string): Promise<void> {
    if (this.jobs.get(ref)?.events.outcome !== undefined) this.jobs.delete(ref);
  }

  async recall({ ref }: RecallQuestion): Promise<Recollection> {
    this.recalled.push(ref);
    return this.memory.get(ref) ?? { kind: "unknown" };
  }

  /** The job reports something. */
  report(ref: string, event: SolveEvent): void {
    this.jobs.get(ref)?.events.append(event);
  }

  /** The job ends. */
  finish(ref: string, outcome: JobOutcome): void {
    this.jobs.get(ref)?.events.finish(outcome);
  }

  /** The process that held the jobs dies. */
  crash(): void {
    this.jobs.clear();
  }
}
