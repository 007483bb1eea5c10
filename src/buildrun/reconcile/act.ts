// Carries a step out: what each kind of step writes, starts and ends.

import { isApiError } from "../../kube/errors.ts";
import { after, done, type Outcome } from "../../runtime/outcome.ts";
import { refOf } from "./attempts.ts";
import type { FinalStep } from "./decide.ts";
import { follow, halt, merge, spawn, split } from "../parts/act-parts.ts";
import { type Change, progressDueMs, progressEveryMs } from "../status/status.ts";
import { type ActDeps, end, letGo, type Scene, setFinalizer, write } from "../status/write.ts";
import { runKey } from "./world.ts";

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
  split,
  spawn,
  halt,
  follow,
  merge,
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
  { result, failure, told }: StepOf<"reject">,
  scene: Scene,
  deps: ActDeps,
): Promise<Outcome> {
  await end({ kind: "ended", result, failure, ...(told && { told }) }, undefined, scene, deps);
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
