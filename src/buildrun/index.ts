// The BuildRun slice put together: what the operator starts, and what it has to be given.

import type { Logger } from "pino";
import type { Agents } from "../agent/agent.ts";
import type { BuildRun } from "../api/v1alpha1/index.ts";
import { type BuilderRef, builderKey, type Fleet } from "../builder/index.ts";
import type { ResourceCache } from "../kube/cache.ts";
import type { KubeClient } from "../kube/client.ts";
import type { EventSink } from "../kube/events.ts";
import type { ResourceType } from "../kube/types.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { Controller } from "../runtime/controller.ts";
import type { ControllerMetrics } from "../runtime/metrics.ts";
import type { Priority } from "../runtime/queue.ts";
import { defaultLimits, openAttempt, type RunLimits } from "./reconcile/attempts.ts";
import { Dependents } from "./reconcile/dependents.ts";
import { wholeOf } from "./parts/act-parts.ts";
import { claimWriters } from "./places/writers.ts";
import { QueueBook } from "./queue.ts";
import { reconcile, type ReconcileDeps } from "./reconcile/reconcile.ts";
import { Solves } from "./solves.ts";
import { progressEveryMs } from "./status/status.ts";
import { runKey } from "./reconcile/world.ts";

export { defaultLimits, type RunLimits } from "./reconcile/attempts.ts";
export { rules } from "./rbac.ts";

/** What the slice is made of. */
export interface BuildRunsOptions {
  readonly type: ResourceType<BuildRun>;
  readonly cache: ResourceCache<BuildRun>;
  readonly client: KubeClient;
  readonly fleet: Fleet;
  readonly agents: Agents;
  /** Kiln's own, for pods that write outputs. */
  readonly image: string;
  readonly events: EventSink;
  readonly log: Logger;
  readonly metrics?: ControllerMetrics;
  readonly clock?: Clock;
  readonly limits?: Partial<RunLimits>;
  /** Reconciles under way at once. Default 16: they wait for the API server, never for builds. */
  readonly concurrency?: number;
}

/** The controller of BuildRuns. */
export interface BuildRuns {
  /** The cache saw the run under this key come, change or go. May be called before `start`. */
  changed(key: string, priority?: Priority): void;
  /** Starts to reconcile. The cache should have synced, so that slots in use are known before new ones are given out. */
  start(): void;
  /** Ends reconciles within the deadline, then stops following solves. Solves themselves are the agent's to end. */
  stop(deadlineMs: number): Promise<void>;
  /** Attempts that this process follows. */
  readonly following: number;
}

/** Puts the slice together; whoever feeds the cache calls `changed`. Nothing runs before `start`. */
export function buildRuns(o: BuildRunsOptions): BuildRuns {
  const clock = o.clock ?? systemClock;
  const ring = (key: string): void => controller.add(key);
  const book = new QueueBook((builder) => book.next(builder, 2).forEach(ring));
  const solves = new Solves({ agents: o.agents, clock, log: o.log, progressEveryMs, ring });
  const now = (): Date => new Date(clock.now());
  const deps: ReconcileDeps = {
    ...o,
    writers: claimWriters({ client: o.client, image: o.image, now }),
    book,
    solves,
    notes: new Map(),
    limits: { ...defaultLimits, ...o.limits },
    now,
  };
  const controller = new Controller({
    name: "buildrun",
    concurrency: o.concurrency ?? 16,
    reconcile: async (key, signal) => await reconcile(key, deps, { signal, log: o.log }),
    log: o.log,
    clock,
    ...(o.metrics && { metrics: o.metrics }),
  });
  const dependents = new Dependents();
  const unhook = doorbells(o, { controller, book });
  return {
    start: () => controller.start(),
    stop: async (deadlineMs) => {
      unhook();
      await controller.stop(deadlineMs);
      solves.close();
    },
    get following() {
      return solves.size;
    },
    changed: (key, priority = "normal") => {
      const run = o.cache.get(key);
      for (const other of dependents.changed(key, run)) controller.add(other);
      if (run === undefined) book.forget(key);
      else if (o.cache.isFresh(key)) book.observe(run);
      controller.add(key, { priority });
      const whole = run && wholeOf(run);
      if (whole !== undefined) controller.add(whole, { priority });
    },
  };
}

interface Bells {
  readonly controller: Controller;
  readonly book: QueueBook;
}

function doorbells(o: BuildRunsOptions, { controller, book }: Bells): () => void {
  const offFleet = o.fleet.onChange((ref) => {
    for (const key of concerned(o.cache, ref, book)) controller.add(key);
    for (const key of bereft(o.cache, ref, o.fleet)) controller.add(key);
  });
  o.fleet.reportLoad(
    (ref, instance) => ({ running: book.running(ref, instance) }),
    (ref) => book.waiting(ref),
    (ref) => book.queuedAt(ref, o.fleet.instances(ref)),
  );
  return offFleet;
}

/** Runs that a change of a Builder may set going: the next in its queue, and those that found no Builder yet. */
function concerned(cache: ResourceCache<BuildRun>, ref: BuilderRef, book: QueueBook): string[] {
  const keys = new Set(book.next(builderKey(ref), 64));
  for (const run of cache.list(ref.namespace)) {
    const { status, metadata } = run;
    const open = status?.completionTime === undefined;
    if (open && (status?.phase ?? "Pending") === "Pending")
      keys.add(`${metadata.namespace}/${metadata.name}`);
  }
  return [...keys];
}

/** Runs with an attempt on an instance of this Builder that is not there any more, or has no more time for it. */
function bereft(cache: ResourceCache<BuildRun>, ref: BuilderRef, fleet: Fleet): string[] {
  const there = new Set(fleet.instances(ref).map(({ id }) => id));
  return cache.list(ref.namespace).flatMap((run) => {
    const attempt = openAttempt(run);
    const concerns = attempt?.builder.kind === ref.kind && attempt.builder.name === ref.name;
    if (!concerns) return [];
    const isOver = !there.has(attempt.instance) || fleet.isOverdue(ref, attempt.instance);
    return isOver ? [runKey(run)] : [];
  });
}
