// Carries a step out: the only file of the slice that writes. Every write carries the version that was decided upon, so
// a stale leader's write is refused instead of undoing a newer one.

import type { Logger } from "pino";
import type { BuildRun, BuildRunStatus } from "../api/v1alpha1/index.ts";
import type { KubeClient } from "../kube/client.ts";
import { isApiError } from "../kube/errors.ts";
import type { EventSink } from "../kube/events.ts";
import type { ResourceType } from "../kube/types.ts";
import { after, done, type Outcome } from "../runtime/outcome.ts";
import { refOf } from "./attempts.ts";
import { type FinalStep, solveFinalizer } from "./decide.ts";
import type { QueueBook } from "./queue.ts";
import type { Solves } from "./solves.ts";
import {
  type AttemptNotes,
  type Change,
  nextStatus,
  progressDueMs,
  progressEveryMs,
  reasonOf,
} from "./status/status.ts";
import { type RunWorld, runKey } from "./world.ts";

/** What acting needs. */
export interface ActDeps {
  readonly client: KubeClient;
  readonly type: ResourceType<BuildRun>;
  /** Told of every answer to a write, so that no decision is made from before it. */
  readonly cache: { wrote(object: BuildRun): void };
  readonly book: QueueBook;
  readonly solves: Solves;
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

type Handlers = {
  readonly [K in FinalStep["kind"]]: (
    step: StepOf<K>,
    scene: Scene,
    deps: ActDeps,
  ) => Promise<Outcome> | Outcome;
};

const handlers: Handlers = {
  rest: () => done,
  reject,
  wait,
  start,
  watch,
  adopt,
  cancel,
  finish,
  retry,
  release: async (_, scene, deps) => await letGo(scene.world.run, scene, deps),
  expire: ({ inMs }) => after(inMs),
  delete: remove,
};

/** Carries out one step and says when to look again. Throws `ApiError` (409: decided upon an old version). */
export async function act(step: FinalStep, scene: Scene, deps: ActDeps): Promise<Outcome> {
  const handle = handlers[step.kind] as (
    step: FinalStep,
    scene: Scene,
    deps: ActDeps,
  ) => Promise<Outcome> | Outcome;
  return await handle(step, scene, deps);
}

type StepOf<K extends FinalStep["kind"]> = Extract<FinalStep, { kind: K }>;

async function reject(
  { result, failure }: StepOf<"reject">,
  scene: Scene,
  deps: ActDeps,
): Promise<Outcome> {
  await end({ kind: "ended", result, failure }, undefined, scene, deps);
  return done;
}

async function wait(
  { why, recheckMs }: StepOf<"wait">,
  scene: Scene,
  deps: ActDeps,
): Promise<Outcome> {
  const builder = scene.world.builder?.ref;
  await write({ kind: "waiting", why, ...(builder && { builder }) }, scene, deps);
  return after(recheckMs);
}

function adopt({ ref }: StepOf<"adopt">, { world, log }: Scene, deps: ActDeps): Outcome {
  deps.solves.follow(runKey(world.run), ref);
  log.info({ ref }, "attempt adopted");
  return after(progressEveryMs);
}

async function cancel({ ref }: StepOf<"cancel">, { log }: Scene, deps: ActDeps): Promise<Outcome> {
  await deps.solves.cancel(ref);
  log.info({ ref }, "attempt is being cancelled");
  return after(1_000);
}

async function start(step: StepOf<"start">, scene: Scene, deps: ActDeps): Promise<Outcome> {
  const { number, builder, instance, prepared } = step;
  const ref = refOf(scene.world.run, number);
  // The order is the promise: finalizer, record, solve. Whoever finds the record knows that a solve may be running.
  const held = await setFinalizer(scene.world.run, true, scene, deps);
  if (held === undefined) return done;
  const claim: Change = { kind: "claimed", number, ref, builder: builder.ref, instance };
  const written = await write(claim, { ...scene, world: { ...scene.world, run: held } }, deps);
  if (written === undefined) return done;
  deps.book.observe(written);
  deps.notes.set(ref, {
    hints: prepared.hints,
    resolveMs: deps.now().getTime() - scene.world.now.getTime(),
  });
  await deps.solves.start(runKey(held), prepared.place, {
    ref,
    request: { ...prepared.request, ref },
    materials: prepared.materials,
  });
  scene.log.info({ ref, builder: builder.ref.name, instance }, "attempt started");
  deps.events.event(held, {
    type: "Normal",
    reason: "Started",
    action: "Build",
    message: `Attempt ${number} started on ${builder.ref.kind} ${builder.ref.name}, instance ${instance}.`,
  });
  return after(progressEveryMs);
}

async function watch(
  { recheckMs }: StepOf<"watch">,
  scene: Scene,
  deps: ActDeps,
): Promise<Outcome> {
  const { job, run, now } = scene.world;
  if (job?.state === "running") {
    const dueMs = progressDueMs(run, job.progress, now) ?? 0;
    // Came too soon after the last write, and nothing more may ever happen to the job's steps until they end.
    if (dueMs > 0) return after(Math.min(recheckMs, dueMs));
    await write({ kind: "running", progress: job.progress }, scene, deps);
  }
  return Number.isFinite(recheckMs) ? after(recheckMs) : done;
}

async function finish(step: StepOf<"finish">, scene: Scene, deps: ActDeps): Promise<Outcome> {
  const { result, attempt, outcome, failure } = step;
  const progress = scene.world.job?.progress;
  const notes = deps.notes.get(attempt.ref);
  const change = {
    kind: "ended" as const,
    result,
    attempt,
    ...(outcome && { outcome }),
    ...(failure && { failure }),
    ...(progress && { progress }),
    ...(notes && { notes }),
  };
  await end(change, attempt.ref, scene, deps);
  return done;
}

/** Writes the terminal state, then lets go of everything that was held for the run. */
async function end(
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

async function retry(
  { attempt, failure }: StepOf<"retry">,
  scene: Scene,
  deps: ActDeps,
): Promise<Outcome> {
  const { run } = scene.world;
  const written = await write({ kind: "retrying", attempt, failure }, scene, deps);
  deps.book.forget(runKey(run));
  await deps.solves.forget(attempt.ref);
  deps.notes.delete(attempt.ref);
  scene.log.info(
    { ref: attempt.ref, outcome: attempt.outcome, reason: failure.reason },
    "attempt ended, the run goes back to the queue",
  );
  if (written !== undefined) {
    const message = `${attempt.outcome === "Lost" ? "Lost" : "Failed"} attempt ${attempt.ref} will be repeated: ${failure.message}`;
    deps.events.event(written, {
      type: "Warning",
      reason: "Retrying",
      action: "Build",
      message: message.slice(0, 900),
    });
    await letGo(written, scene, deps);
  }
  return after(1);
}

async function letGo(run: BuildRun, scene: Scene, deps: ActDeps): Promise<Outcome> {
  deps.book.forget(runKey(run));
  await setFinalizer(run, false, scene, deps);
  return done;
}

async function remove(
  _: StepOf<"delete">,
  { world, log, signal }: Scene,
  { client, type }: ActDeps,
): Promise<Outcome> {
  const { namespace, name, uid } = world.run.metadata;
  try {
    await client.delete(type, { namespace, name, uid }, signal);
    log.info("run deleted, its time to live is over");
  } catch (error) {
    // Another run of this name is none of our business.
    if (!isApiError(error, "Conflict", "NotFound")) throw error;
  }
  return done;
}

async function setFinalizer(
  run: BuildRun,
  wanted: boolean,
  { signal }: Scene,
  deps: ActDeps,
): Promise<BuildRun | undefined> {
  const finalizers = run.metadata.finalizers ?? [];
  if (finalizers.includes(solveFinalizer) === wanted) return run;
  const next = wanted
    ? [...finalizers, solveFinalizer]
    : finalizers.filter((name) => name !== solveFinalizer);
  const updated = await deps.client.setFinalizers(deps.type, run, next, signal);
  if (updated !== undefined) deps.cache.wrote(updated);
  return updated === undefined ? undefined : { ...run, metadata: updated.metadata };
}

/** Writes the status that a change leads to, if it leads to one. The run as written; undefined when nothing was. */
async function write(
  change: Change,
  { world, signal }: Scene,
  deps: ActDeps,
): Promise<BuildRun | undefined> {
  const { run, now } = world;
  const status = nextStatus(run, change, now);
  if (status === undefined) return undefined;
  return await writeStatus(run, status, {
    client: deps.client,
    type: deps.type,
    cache: deps.cache,
    signal,
  });
}

/** Server-side apply of a whole status, refused with 409 when the run is no longer the version that was decided upon. */
export async function writeStatus(
  run: Pick<BuildRun, "metadata">,
  status: BuildRunStatus,
  to: Pick<ActDeps, "client" | "type" | "cache"> & { readonly signal: AbortSignal },
): Promise<BuildRun> {
  const { namespace, name, uid, resourceVersion } = run.metadata;
  const metadata = { namespace, name, uid, resourceVersion };
  const written = await to.client.applyStatus(to.type, { metadata, status }, {}, to.signal);
  to.cache.wrote(written);
  return { ...(run as BuildRun), metadata: written.metadata, status };
}
