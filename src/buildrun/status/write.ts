// The writes of a run: its status, its cancelling, and the finalizer that holds it. A write of a status or finalizer carries
// the version that was decided upon, so a stale leader's write is refused instead of undoing a newer one.

import type { Logger } from "pino";
import type { Bake, BuildRun } from "../../api/v1alpha1/index.ts";
import type { Fleet } from "../../builder/index.ts";
import type { Applied, KubeClient } from "../../kube/client.ts";
import { isApiError } from "../../kube/errors.ts";
import type { EventSink } from "../../kube/events.ts";
import { changedFinalizers, type KubeObject } from "../../kube/object.ts";
import type { ResourceType } from "../../kube/types.ts";
import { done, type Outcome } from "../../runtime/outcome.ts";
import { solveFinalizer } from "../reconcile/decide.ts";
import type { ClaimWriters } from "../places/writers.ts";
import type { QueueBook } from "../queue.ts";
import type { Solves } from "../solves.ts";
import { type RunWorld, runKey } from "../reconcile/world.ts";
import { type AttemptNotes, type Change, nextStatus, reasonOf } from "./status.ts";

/** What acting needs. */
export interface ActDeps {
  readonly client: KubeClient;
  readonly fleet: Fleet;
  readonly type: ResourceType<BuildRun>;
  /** Told of every answer to a write, so that no decision is made from before it. */
  readonly cache: { wrote(object: BuildRun): void };
  readonly book: QueueBook;
  readonly solves: Solves;
  readonly writers: ClaimWriters;
  readonly events: EventSink;
  now(): Date;
  /** By ref. */
  readonly notes: Map<string, AttemptNotes>;
}

/** Where a step is carried out. */
export interface Scene {
  readonly world: RunWorld;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Writes the terminal state, then lets go of everything that was held for the run. */
export async function end(
  change: Extract<Change, { kind: "ended" }>,
  ref: string | undefined,
  scene: Scene,
  deps: ActDeps,
): Promise<void> {
  const { run } = scene.world;
  const written = await write(change, scene, deps);
  deps.book.forget(runKey(run));
  if (ref !== undefined) {
    await deps.solves.forget(ref);
    deps.notes.delete(ref);
  }
  if (written === undefined) return;
  announce(written, change, scene, deps);
  await letGo(written, scene, deps);
}

function announce(
  run: BuildRun,
  change: Extract<Change, { kind: "ended" }>,
  scene: Scene,
  deps: ActDeps,
): void {
  const { status } = run;
  const reason = status === undefined ? change.result : reasonOf(status);
  const message =
    status?.conditions?.find(({ type }) => type === "Succeeded")?.message ?? change.result;
  const ref = change.attempt?.ref;
  scene.log.info(
    { ref, builder: status?.builder?.name, result: change.result, reason },
    "run ended",
  );
  const type = change.result === "Failed" ? "Warning" : "Normal";
  const told = change.result === "Succeeded" ? "Succeeded" : reason;
  deps.events.event(run, { type, reason: told, action: "Build", message });
}

/** The run needs nothing any more: its place in the queue and our finalizer go. */
export async function letGo(run: BuildRun, scene: Scene, deps: ActDeps): Promise<Outcome> {
  deps.book.forget(runKey(run));
  await deps.writers.remove(run, scene.signal);
  await setFinalizer(run, false, scene, deps);
  return done;
}

/** Puts our finalizer on or takes it off; undefined when the run is gone. */
export async function setFinalizer(
  run: BuildRun,
  wanted: boolean,
  { signal }: Scene,
  deps: ActDeps,
): Promise<BuildRun | undefined> {
  const next = changedFinalizers(run, solveFinalizer, wanted);
  if (next === undefined) return run;
  const updated = await deps.client.setFinalizers(deps.type, run, next, signal);
  if (updated !== undefined) deps.cache.wrote(updated);
  return updated === undefined ? undefined : { ...run, metadata: updated.metadata };
}

/** Writes the status that a change leads to, if it leads to one. The run as written; undefined when nothing was. */
export async function write(
  change: Change,
  { world, signal }: Scene,
  deps: ActDeps,
): Promise<BuildRun | undefined> {
  const { run, now } = world;
  const status = nextStatus(run, change, now);
  if (status === undefined) return undefined;
  return await writeStatus(run, status, { ...deps, signal });
}

/** Where objects of a kind are written. */
export interface WriteTo<T extends KubeObject> {
  readonly client: KubeClient;
  readonly type: ResourceType<T>;
  /** Told of every answer to a write, so that no decision is made from before it. */
  readonly cache: { wrote(object: T): void };
  readonly signal: AbortSignal;
}

/** Server-side apply of a whole status, refused with 409 when the object is no longer the version that was decided upon. */
export async function writeStatus<T extends BuildRun | Bake>(
  object: T,
  status: NonNullable<T["status"]>,
  { client, type, cache, signal }: WriteTo<T>,
): Promise<T> {
  const { namespace, name, uid, resourceVersion } = object.metadata;
  const applied = { metadata: { namespace, name, uid, resourceVersion }, status };
  const written = await client.applyStatus(type, applied as unknown as Applied<T>, {}, signal);
  cache.wrote(written);
  return { ...object, metadata: written.metadata, status };
}

/** Sets `spec.cancel` of these runs. One that is gone or another now is let be. */
export async function cancelRuns(
  runs: readonly BuildRun[],
  { client, type, cache, signal }: WriteTo<BuildRun>,
): Promise<void> {
  for (const { metadata } of runs) {
    const { namespace, name, uid } = metadata;
    const wish = { metadata: { namespace, name, uid }, spec: { cancel: true } };
    try {
      cache.wrote(await client.apply(type, wish as never, {}, signal));
    } catch (error) {
      if (!isApiError(error, "NotFound", "Conflict")) throw error;
    }
  }
}
