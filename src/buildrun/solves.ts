// The solves that this process follows: it reads each job's events, keeps the folded progress, and rings the queue when
// there is something to write. It decides nothing.

import type { Logger } from "pino";
import { type Agent, type Agents, type Job, JobUnknown, type Place } from "../agent/agent.ts";
import type { Clock } from "../runtime/clock.ts";
import { fold, noProgress, type Progress } from "./status/progress.ts";
import type { JobView } from "./reconcile/world.ts";

/** What `Solves` is made of. */
export interface SolvesOptions {
  readonly agents: Agents;
  readonly clock: Clock;
  readonly log: Logger;
  /** Rings for progress are at least this far apart. */
  readonly progressEveryMs: number;
  /** Called with a run's key when its job has news. */
  ring(key: string): void;
}

/** An agent that has a job. */
interface Holder {
  readonly agent: Agent;
  /** It lives in the instance's pod, and dies with it. */
  readonly beside: boolean;
}

interface Followed extends Holder {
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
  /** Agents that have a job which is not followed yet. */
  readonly #found = new Map<string, Holder>();
  readonly #orphans = new Map<string, number>();

  constructor(o: SolvesOptions) {
    this.#o = o;
  }

  /** Gives the job to the agent of its place and follows it. Returns before the solve ends. */
  async start(key: string, place: Place, job: Job): Promise<void> {
    const holder = this.#holder(place);
    await holder.agent.start(job);
    this.#found.set(job.ref, holder);
    this.follow(key, job.ref);
  }

  /** Reads the events of a job that `find` found, from the first one. One that is followed already is left alone. */
  follow(key: string, ref: string): void {
    const holder = this.#found.get(ref);
    if (this.#followed.has(ref) || holder === undefined) return;
    this.#orphans.delete(ref);
    this.#found.delete(ref);
    const view: JobView = { state: "running", followed: true, progress: noProgress };
    const followed: Followed = {
      key,
      ...holder,
      stop: new AbortController(),
      progress: noProgress,
      view,
      cancelRing: undefined,
      rung: false,
    };
    this.#followed.set(ref, followed);
    void this.#read(ref, followed);
  }

  /** The job of a ref, if it is followed here. */
  view(ref: string): JobView | undefined {
    return this.#followed.get(ref)?.view;
  }

  /** Whether the job of a ref is followed, and held by an agent that dies with its instance. */
  isBeside(ref: string): boolean {
    return this.#followed.get(ref)?.beside === true;
  }

  /** The job of a ref that is not followed, if the agent of this place has it. Rejects as `Agent.list`. */
  async find(ref: string, place: Place): Promise<JobView | undefined> {
    const holder = this.#holder(place);
    const jobs = await holder.agent.list();
    if (!jobs.some((job) => job.ref === ref)) return undefined;
    this.#found.set(ref, holder);
    return { state: "running", followed: false, progress: noProgress };
  }

  /** When this process first asked for a job that nobody has, in milliseconds since the epoch. */
  orphanedSince(ref: string): number {
    const since = this.#orphans.get(ref) ?? this.#o.clock.now();
    this.#orphans.set(ref, since);
    return since;
  }

  /** Asks for the end of a job. Rejects as `Agent.cancel`. */
  async cancel(ref: string): Promise<void> {
    await this.#holderOf(ref)?.agent.cancel(ref);
  }

  /** The outcome is in the API server: stop following, let the agent forget. */
  async forget(ref: string): Promise<void> {
    const holder = this.#holderOf(ref);
    this.drop(ref);
    this.#orphans.delete(ref);
    try {
      await holder?.agent.acknowledge(ref);
    } catch (error) {
      // It keeps the job until there are too many, or its pod ends: nothing is wrong with the run.
      this.#o.log.info({ err: error, ref }, "the agent could not be told to forget a job");
    }
  }

  /** Stops following; the agent keeps the job. */
  drop(ref: string): void {
    const followed = this.#followed.get(ref);
    this.#followed.delete(ref);
    this.#found.delete(ref);
    followed?.cancelRing?.();
    followed?.stop.abort();
  }

  /** How many jobs are followed. */
  get size(): number {
    return this.#followed.size;
  }

  /** Stops reading everywhere. Jobs go on at their agents. */
  close(): void {
    for (const ref of [...this.#followed.keys()]) this.drop(ref);
  }

  #holder(place: Place): Holder {
    return { agent: this.#o.agents.at(place), beside: place.kind === "agent" };
  }

  #holderOf(ref: string): Holder | undefined {
    return this.#followed.get(ref) ?? this.#found.get(ref);
  }

  async #read(ref: string, followed: Followed): Promise<void> {
    try {
      for await (const event of followed.agent.attach(ref, 0, followed.stop.signal)) {
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
      this.drop(ref);
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
