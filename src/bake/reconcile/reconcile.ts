// One reconcile of a Bake: gather the world, decide, act. Its BuildRuns are driven by the BuildRun slice; here they are
// created, cancelled and told.

import type { Logger } from "pino";
import { bakeKind, buildRunKind } from "../../api/kinds.ts";
import { InvalidResource, parseBake } from "../../api/parse.ts";
import type { Bake, BuildRun } from "../../api/v1alpha1/index.ts";
import { cancelRuns, writeStatus } from "../../buildrun/status/write.ts";
import { isApiError } from "../../kube/errors.ts";
import type { EventSink } from "../../kube/events.ts";
import { controlledBy, type KubeObject } from "../../kube/object.ts";
import type { ResourceType } from "../../kube/types.ts";
import { after, done, type Outcome } from "../../runtime/outcome.ts";
import type { TargetPlan } from "../plan/plan.ts";
import { decide, type Ending, type Step } from "./decide.ts";
import { type Change, nextStatus } from "./status.ts";
import { type BakeWorld, gather, type WorldSources } from "./world.ts";

/** A cache as the slice uses it. */
interface Cached<T> {
  get(key: string): T | undefined;
  /** Told of every answer to a write, so that no decision is made from before it. */
  wrote(object: T): void;
}

/** Everything the slice works with. */
export interface BakeDeps extends WorldSources {
  readonly type: ResourceType<Bake>;
  readonly runType: ResourceType<BuildRun>;
  readonly cache: Cached<Bake> & { isFresh(key: string): boolean };
  readonly runs: Cached<BuildRun>;
  readonly events: EventSink;
}

/** Labels of the BuildRuns of a Bake. */
export const bakeLabel = "kiln.build/bake";
export const targetLabel = "kiln.build/bake-target";

const settleMs = 1_000;
const recheckMs = 30_000;

interface Scene {
  readonly world: BakeWorld;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Moves the Bake named `key` one step on. */
export async function reconcile(
  key: string,
  deps: BakeDeps,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<Outcome> {
  const raw = deps.cache.get(key);
  // The cache is behind a write of ours; what it is missing will ring.
  if (raw === undefined || !deps.cache.isFresh(key)) return done;
  let bake: Bake;
  try {
    bake = parseBake(raw);
  } catch (error) {
    if (!(error instanceof InvalidResource)) throw error;
    // Only a CRD of another version lets such a thing in.
    const failure = { class: "User", reason: "InvalidSpec", message: error.message } as const;
    const world = { bake: raw, now: deps.now(), runs: new Map(), missingGraceMs: 0 };
    if (raw.status?.completionTime !== undefined) return done;
    return await end({ phase: "Failed", failure }, { world, log, signal }, deps);
  }
  const world = await gather(bake, deps, signal);
  return await act(decide(world), { world, log, signal }, deps);
}

async function act(step: Step, scene: Scene, deps: BakeDeps): Promise<Outcome> {
  switch (step.kind) {
    case "rest":
      return done;
    case "wait":
      await write({ ...step, kind: "waiting" }, scene, deps);
      return after(2_000);
    case "plan":
      return await plan(step, scene, deps);
    case "spawn":
      return await spawn(step.targets, scene, deps);
    case "halt":
      await cancelRuns(step.runs, {
        ...deps,
        type: deps.runType,
        cache: deps.runs,
        signal: scene.signal,
      });
      return after(settleMs);
    case "follow":
      await write({ kind: "running" }, scene, deps);
      return after(recheckMs);
    case "fail":
      await write({ kind: "failing", failure: step.failure }, scene, deps);
      return after(1);
    case "end":
      return await end(step.ending, scene, deps);
    case "expire":
      return after(step.inMs);
    case "delete":
      return await remove(scene, deps);
  }
}

/** Targets are written down first, so that whoever comes after a crash makes the same BuildRuns. */
async function plan(
  { plan: made }: Extract<Step, { kind: "plan" }>,
  scene: Scene,
  deps: BakeDeps,
): Promise<Outcome> {
  const written = await write({ kind: "planned", plan: made }, scene, deps);
  if (written === undefined) return after(settleMs);
  const names = made.targets.map(({ name }) => name).join(", ");
  const message = `Builds ${names}.`.slice(0, 900);
  scene.log.info({ targets: made.targets.length }, "bake planned");
  deps.events.event(written, { type: "Normal", reason: "Started", action: "Bake", message });
  return after(1);
}

async function spawn(
  targets: readonly TargetPlan[],
  scene: Scene,
  deps: BakeDeps,
): Promise<Outcome> {
  const { bake } = scene.world;
  for (const target of targets) {
    try {
      const made = await deps.client.create(
        deps.runType,
        targetRun(bake, target) as never,
        scene.signal,
      );
      deps.runs.wrote(made);
      scene.log.info({ target: target.name, run: target.run }, "target's run created");
    } catch (error) {
      if (isApiError(error, "AlreadyExists")) continue;
      if (!isApiError(error, "Invalid", "Forbidden")) throw error;
      const message = `target "${target.name}": the API server refuses its BuildRun: ${error.message}`;
      const failure = {
        class: error.kind === "Forbidden" ? "Policy" : "User",
        reason: "BuildRunRefused",
        message,
        target: target.name,
      } as const;
      await write({ kind: "failing", failure }, scene, deps);
      return after(1);
    }
  }
  return after(settleMs);
}

/** The BuildRun of a target, ready to be created. It is deleted with the Bake. */
function targetRun(bake: Bake, { name, run, spec }: TargetPlan) {
  const { namespace } = bake.metadata;
  const owner = controlledBy({ ...bake, kind: bakeKind.kind } as KubeObject);
  const word = name.slice(0, 63).replaceAll(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, "");
  return {
    apiVersion: buildRunKind.apiVersion,
    kind: buildRunKind.kind,
    metadata: {
      name: run,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { ...bake.metadata.labels, [bakeLabel]: bake.metadata.name, [targetLabel]: word },
      // To block its deletion, Kiln would need a right on finalizers of Bakes.
      ownerReferences: [{ ...owner, blockOwnerDeletion: false }],
    },
    spec,
  };
}

async function end(ending: Ending, scene: Scene, deps: BakeDeps): Promise<Outcome> {
  const written = await write({ kind: "ended", ending }, scene, deps);
  if (written === undefined) return done;
  const condition = written.status?.conditions?.find(({ type }) => type === "Succeeded");
  const { reason = ending.phase, message = ending.phase } = condition ?? {};
  scene.log.info({ result: ending.phase, reason }, "bake ended");
  const type = ending.phase === "Failed" ? "Warning" : "Normal";
  deps.events.event(written, { type, reason, action: "Bake", message: message.slice(0, 900) });
  return after(1);
}

async function remove({ world, log, signal }: Scene, deps: BakeDeps): Promise<Outcome> {
  const { namespace, name, uid } = world.bake.metadata;
  try {
    await deps.client.delete(deps.type, { namespace, name, uid }, signal);
    log.info("bake deleted, its time to live is over");
  } catch (error) {
    // Another Bake of this name is none of our business.
    if (!isApiError(error, "Conflict", "NotFound")) throw error;
  }
  return done;
}

/** Writes the status that a change leads to, refused with 409 when the Bake is no longer the one decided upon. */
async function write(
  change: Change,
  { world, signal }: Scene,
  deps: BakeDeps,
): Promise<Bake | undefined> {
  const status = nextStatus(world, change);
  if (status === undefined) return undefined;
  return await writeStatus(world.bake, status, { ...deps, signal });
}
