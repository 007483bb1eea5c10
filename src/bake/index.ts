// The Bake slice put together: what the operator starts, and what it has to be given.

import type { Logger } from "pino";
import { bakeKind } from "../api/kinds.ts";
import type { Bake, BuildRun } from "../api/v1alpha1/index.ts";
import type { ResourceCache } from "../kube/cache.ts";
import type { KubeClient } from "../kube/client.ts";
import type { EventSink } from "../kube/events.ts";
import { controllerOf, type KubeObject } from "../kube/object.ts";
import type { ResourceType } from "../kube/types.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { Controller } from "../runtime/controller.ts";
import type { ControllerMetrics } from "../runtime/metrics.ts";
import type { Priority } from "../runtime/queue.ts";
import { type BakeDeps, reconcile } from "./reconcile/reconcile.ts";

export { rules } from "./rbac.ts";
export { ownFile, planBake } from "./plan/plan.ts";

/** What the slice is made of. */
export interface BakesOptions {
  readonly type: ResourceType<Bake>;
  readonly runType: ResourceType<BuildRun>;
  readonly cache: ResourceCache<Bake>;
  /** Of BuildRuns. */
  readonly runs: ResourceCache<BuildRun>;
  readonly client: KubeClient;
  readonly events: EventSink;
  readonly log: Logger;
  readonly metrics?: ControllerMetrics;
  readonly clock?: Clock;
  /** A missing ConfigMap is waited for this long after the Bake was created. Default 10 s. */
  readonly missingGraceMs?: number;
  readonly concurrency?: number;
}

/** The controller of Bakes. */
export interface Bakes {
  /** The cache saw the Bake under this key, or one of its BuildRuns, come, change or go. */
  changed(key: string, priority?: Priority): void;
  start(): void;
  stop(deadlineMs: number): Promise<void>;
}

/** Puts the slice together; whoever feeds the caches calls `changed`. Nothing runs before `start`. */
export function bakes(o: BakesOptions): Bakes {
  const clock = o.clock ?? systemClock;
  const deps: BakeDeps = {
    ...o,
    missingGraceMs: o.missingGraceMs ?? 10_000,
    now: () => new Date(clock.now()),
  };
  const controller = new Controller({
    name: "bake",
    concurrency: o.concurrency ?? 4,
    reconcile: async (key, signal) => await reconcile(key, deps, { signal, log: o.log }),
    log: o.log,
    clock,
    ...(o.metrics && { metrics: o.metrics }),
  });
  return {
    changed: (key, priority = "normal") => controller.add(key, { priority }),
    start: () => controller.start(),
    stop: async (deadlineMs) => await controller.stop(deadlineMs),
  };
}

/** The key of the Bake that a BuildRun is of; undefined: of none. */
export function bakeOf(run: BuildRun): string | undefined {
  const owner = controllerOf(run as KubeObject);
  if (owner?.kind !== bakeKind.kind) return undefined;
  return `${run.metadata.namespace ?? ""}/${owner.name}`;
}
