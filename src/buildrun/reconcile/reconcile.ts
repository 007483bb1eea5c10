// One reconcile of a run: gather the world, decide, act. Nothing here waits for a build.

import type { Logger } from "pino";
import { InvalidResource, parseBuildRun } from "../../api/parse.ts";
import type { BuildRun } from "../../api/v1alpha1/index.ts";
import type { ResourceCache } from "../../kube/cache.ts";
import { type KubeObject, keyOf } from "../../kube/object.ts";
import { done, type Outcome } from "../../runtime/outcome.ts";
import { act } from "./act.ts";
import { admit, decide, type FinalStep, type Step } from "./decide.ts";
import { prepare, type PrepareSources, rehearse } from "../prepare.ts";
import { writeConfigMaps } from "../places/config-maps.ts";
import { claimOutputs } from "../places/of-output.ts";
import { finalFailure } from "../status/failure.ts";
import { nextStatus } from "../status/status.ts";
import { type ActDeps, type Scene, setFinalizer, writeStatus } from "../status/write.ts";
import { gather, type WorldSources } from "./world.ts";

/** Everything the slice works with. */
export interface ReconcileDeps extends ActDeps, WorldSources, PrepareSources {
  readonly cache: ResourceCache<BuildRun>;
}

/** Moves the run named `key` one step on. */
export async function reconcile(
  key: string,
  deps: ReconcileDeps,
  at: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<Outcome> {
  const raw = deps.cache.get(key);
  if (raw === undefined) {
    deps.book.forget(key);
    return done;
  }
  // The cache is behind a write of ours; what it is missing will ring.
  if (!deps.cache.isFresh(key)) return done;
  let run: BuildRun;
  try {
    run = parseBuildRun(raw);
  } catch (error) {
    if (error instanceof InvalidResource) return await refuse(raw, error, deps, at.signal);
    throw error;
  }
  const world = await gather(run, deps, at.signal);
  const scene: Scene = {
    world,
    signal: at.signal,
    log: at.log.child({ run: key, uid: run.metadata.uid }),
  };
  let started = false;
  try {
    const { step, held } = await settled(decide(world), scene, deps);
    const outcome = await act(step, held, deps);
    started = step.kind === "start";
    return outcome;
  } finally {
    // A slot that did not become an attempt is somebody else's.
    if (world.turn?.kind === "go" && !started) deps.book.release(key);
  }
}

/** The step with the run's Secrets and ConfigMaps taken into account, where it depends on them. */
async function settled(
  step: Step,
  scene: Scene,
  deps: ReconcileDeps,
): Promise<{ readonly step: FinalStep; readonly held: Scene }> {
  if (step.kind !== "claim") return { step: await checked(step, scene, deps), held: scene };
  const { world, signal } = scene;
  const held = await holding(scene, deps);
  const wanted = { ...step, others: world.others };
  const prepared = await prepare(world.run, wanted, { ...deps, signal });
  return { step: admit(step, prepared, world), held };
}

async function checked(
  step: FinalStep,
  { world, signal }: Scene,
  deps: ReconcileDeps,
): Promise<FinalStep> {
  const { run, plan } = world;
  if (step.kind === "finish") return await delivered(step, run, { client: deps.client, signal });
  if (step.kind !== "wait" || !("request" in plan) || !rehearses(run)) return step;
  // What is missing is said at once, not after an hour in the queue.
  const failure = await rehearse(run, plan, deps, signal);
  return failure === undefined ? step : admit(step, failure, world);
}

/** A run that is to have a pod is held before it is made, so that the pod goes with it in any case. */
async function holding(scene: Scene, deps: ReconcileDeps): Promise<Scene> {
  const { world } = scene;
  if (claimOutputs(world.run).length === 0) return scene;
  const run = await setFinalizer(world.run, true, scene, deps);
  return run === undefined ? scene : { ...scene, world: { ...world, run } };
}

type Finish = Extract<FinalStep, { readonly kind: "finish" }>;

/** A run has succeeded when its ConfigMaps are written, too. */
async function delivered(
  step: Finish,
  run: BuildRun,
  to: { readonly client: ReconcileDeps["client"]; readonly signal: AbortSignal },
): Promise<FinalStep> {
  if (step.result !== "Succeeded" || step.outcome?.kind !== "succeeded") return step;
  const failure = await writeConfigMaps(run, step.outcome.facts, to);
  if (failure === undefined) return step;
  const { ref } = step.attempt;
  return { kind: "finish", result: "Failed", attempt: { ref, outcome: "Failed" }, failure };
}

/** The first look at a run, and every look while it waits for a Secret or ConfigMap. */
function rehearses({ status }: BuildRun): boolean {
  if (status?.observedGeneration === undefined) return true;
  return (status.conditions ?? []).some(
    ({ type, reason, status: on }) =>
      type === "Stalled" && on === "True" && reason !== "BuilderNotFound",
  );
}

/** What the API server let through but the schema does not fit ends at once, with the field named. */
async function refuse(
  raw: KubeObject,
  error: InvalidResource,
  deps: ReconcileDeps,
  signal: AbortSignal,
): Promise<Outcome> {
  const run = raw as BuildRun;
  const { message } = error;
  const failure = finalFailure({ class: "User", reason: "InvalidSpec", message });
  const status = nextStatus(run, { kind: "ended", result: "Failed", failure }, deps.now());
  if (status !== undefined) await writeStatus(run, status, { ...deps, signal });
  deps.book.forget(keyOf(raw.metadata));
  return done;
}
