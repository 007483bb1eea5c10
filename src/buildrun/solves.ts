// The solves that this process follows: it reads each job's events, keeps the folded progress, and rings the queue when
// there is something to write. It decides nothing.

import type { Logger } from "pino";
import { type Agent, type Job, JobUnknown } from "../agent/agent.ts";
import type { Clock } from "../runtime/clock.ts";
import { fold, noProgress, type Progress } from "./status/progress.ts";
import type { JobView } from "./world.ts";

/** What `Solves` is made of. */
export interface SolvesOptions {
  readonly agent: Agent;
  readonly clock: Clock;
  readonly log: Logger;
  /** Rings for progress are at least this far apart. */
  readonly progressEveryMs: number;
  /** Called with a run's key when its job has news. */
  ring(key: string): void;
}

interface Followed {
  readonly key: string;
  readonly stop: AbortController;
  progress: Progress;
  view: JobView;
  cancelRing: (() => void) | undefined;
  /** Has rung for progress before. */
  rung: boolean;
}

/** When a new job's progress is first worth a write, in milliseconds. */
const firstProgressMs = 1_000;

/** In-flight and finished jobs by ref, until `forget`. */
export class Solves {
  readonly #o: SolvesOptions;
  readonly #followed = new Map<string, Followed>();
  readonly #orphans = new Map<string, number>();

  constructor(o: SolvesOptions) {
    this.#o = o;
  }

  /** Gives the job to the agent and follows it. Returns before the solve ends. */
  async start(key: string, job: Job): Promise<void> {
    await this.#o.agent.start(job);
    this.follow(key, job.ref);
  }

  /** Reads a job's events from the first one. A job that is followed already is left alone. */
  follow(key: string, ref: string): void {
    if (this.#followed.has(ref)) return;
    this.#orphans.delete(ref);
    const view: JobView = { state: "running", followed: true, progress: noProgress };
    const followed: Followed = {
      key,
      stop: new AbortController(),
      progress: noProgress,
      view,
      cancelRing: undefined,
      rung: false,
    };
    this.#followed.set(ref, followed);
    void this.#read(ref, followed);
  }

  /** The job of a ref: followed here, or known to the agent. Undefined when neither knows it. */
  async view(ref: string): Promise<JobView | undefined> {
    const followed = this.#followed.get(ref);
    if (followed !== undefined) return followed.view;
    const jobs = await this.#o.agent.list();
    const known = jobs.some((job) => job.ref === ref);
    return known ? { state: "running", followed: false, progress: noProgress } : undefined;
  }

  /** When this process first asked for a job that nobody has, in milliseconds since the epoch. */
  orphanedSince(ref: string): number {
    const since = this.#orphans.get(ref) ?? this.#o.clock.now();
    this.#orphans.set(ref, since);
    return since;
  }

  /** Asks for the end of a job. */
  async cancel(ref: string): Promise<void> {
    await this.#o.agent.cancel(ref);
  }

  /** The outcome is in the API server: stop following, let the agent forget. */
  async forget(ref: string): Promise<void> {
    this.#drop(ref);
    await this.#o.agent.acknowledge(ref);
  }

  /** How many jobs are followed. */
  get size(): number {
    return this.#followed.size;
  }

  /** Stops reading everywhere. Jobs go on at their agents. */
  close(): void {
    for (const ref of this.#followed.keys()) this.#drop(ref);
  }

  #drop(ref: string): void {
    const followed = this.#followed.get(ref);
    this.#followed.delete(ref);
    this.#orphans.delete(ref);
    followed?.cancelRing?.();
    followed?.stop.abort();
  }

  async #read(ref: string, followed: Followed): Promise<void> {
    try {
      for await (const event of this.#o.agent.attach(ref, 0, followed.stop.signal)) {
        if (event.kind === "solve") this.#progress(followed, fold(followed.progress, event.event));
        if (event.kind === "finished") {
          followed.view = {
            state: "finished",
            outcome: event.outcome,
            progress: followed.progress,
          };
          this.#o.ring(followed.key);
        }
      }
    } catch (error) {
      if (followed.stop.signal.aborted) return;
      // The next look at the run asks the agent and then the daemon.
      if (!(error instanceof JobUnknown))
        this.#o.log.error({ err: error, ref }, "reading a job's events failed");
      this.#drop(ref);
      this.#o.ring(followed.key);
    }
  }

  #progress(followed: Followed, progress: Progress): void {
    if (progress === followed.progress) return;
    followed.progress = progress;
    followed.view = { state: "running", followed: true, progress };
    // Builds that end within a second are not worth a write on the way.
    const delayMs = followed.rung ? this.#o.progressEveryMs : firstProgressMs;
    followed.cancelRing ??= this.#o.clock.after(delayMs, () => {
      followed.cancelRing = undefined;
      followed.rung = true;
      this.#o.ring(followed.key);
    });
  }
}
