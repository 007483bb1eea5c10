// Who is told how a Builder is, and how often? Writes its status, and tells of conditions that changed by an Event and a
// line in the log.

import type { Logger } from "pino";
import { findCondition } from "../../api/condition.ts";
import type { BuilderStatus, Condition } from "../../api/v1alpha1/index.ts";
import type { KubeClient } from "../../kube/client.ts";
import { isApiError } from "../../kube/errors.ts";
import type { EventSink } from "../../kube/events.ts";
import { builderTypeOf, cacheOf, type BuilderCaches } from "../caches.ts";
import { contentHash } from "../kubernetes/hash.ts";
import type { BuilderWorld } from "../reconcile/world.ts";

/** What telling needs. */
export interface ReportDeps {
  readonly client: Pick<KubeClient, "applyStatus">;
  readonly caches: BuilderCaches;
  readonly events: EventSink;
  readonly log: Logger;
  readonly now: () => Date;
  /** By uid of the Builder: when its status was written, in milliseconds since the epoch. */
  readonly reported: Map<string, number>;
}

type EventInit = Parameters<EventSink["event"]>[1];

/** Numbers alone (runs, bytes) are written at most this often. */
const numbersMs = 5_000;

/**
 * Writes the status if it says anything new, and tells of conditions that changed. False when it has to wait: numbers
 * alone are written every few seconds at most.
 */
export async function report(
  world: Pick<BuilderWorld, "ref" | "object">,
  status: BuilderStatus,
  deps: ReportDeps,
  signal: AbortSignal,
): Promise<boolean> {
  const before = world.object.status as BuilderStatus | undefined;
  if (before !== undefined && contentHash(before) === contentHash(status)) return true;
  const { name, namespace, uid } = world.object.metadata;
  const nowMs = deps.now().getTime();
  const lastMs = deps.reported.get(uid ?? "") ?? Number.NEGATIVE_INFINITY;
  if (nowMs - lastMs < numbersMs && !isUrgent(before, status)) return false;
  try {
    const object = { metadata: { name, namespace, uid }, status };
    const stored = await deps.client.applyStatus(builderTypeOf(world.ref), object, {}, signal);
    deps.reported.set(uid ?? "", nowMs);
    cacheOf(world.ref, deps.caches).wrote(stored);
  } catch (error) {
    // Gone, or another one of the same name: its own reconcile will speak for it.
    if (isApiError(error, "NotFound", "Conflict")) return true;
    throw error;
  }
  tell(world, before, status, deps);
  return true;
}

/** What somebody waits for. Numbers that move with every build are not. */
function isUrgent(before: BuilderStatus | undefined, status: BuilderStatus): boolean {
  const essence = (of: BuilderStatus | undefined): string =>
    contentHash([
      of?.observedGeneration,
      of?.totalInstances,
      of?.templateHash,
      of?.conditions?.map(({ type, status: is, reason }) => [type, is, reason]),
      of?.instances?.map(({ name, state, outdated }) => [name, state, outdated]),
    ]);
  return essence(before) !== essence(status);
}

/** The conditions that are told, in this order. */
const told = ["Ready", "DiskPressure", "Draining"] as const;

/** One log line and one Event for each condition that changed. */
function tell(
  world: Pick<BuilderWorld, "ref" | "object">,
  before: BuilderStatus | undefined,
  status: BuilderStatus,
  { log, events }: ReportDeps,
): void {
  for (const type of told) {
    const was = findCondition(before?.conditions, type);
    const is = findCondition(status.conditions, type);
    if (was?.status === is?.status && was?.reason === is?.reason) continue;
    const news = newsOf(type, is);
    log.info({ condition: type, ...news }, "builder changed");
    if (was !== undefined || news.reason !== "Starting") events.event(world.object, news);
  }
}

function newsOf(type: (typeof told)[number], is: Condition | undefined): EventInit {
  if (is === undefined) return { type: "Normal", reason: `${type}Over`, message: overText(type) };
  const { reason, message } = is;
  if (type === "Ready" && is.status === "True") return { type: "Normal", reason: "Ready", message };
  const isExpected = reason === "Starting" || type === "Draining";
  return { type: isExpected ? "Normal" : "Warning", reason, message };
}

function overText(type: (typeof told)[number]): string {
  return type === "DiskPressure"
    ? "The disks have room again: all instances take runs."
    : "Runs are taken again.";
}
