// Carries out decisions about parts: creates, cancels and follows their runs, and puts their images together.

import type { BuildRun } from "../../api/v1alpha1/index.ts";
import { isApiError } from "../../kube/errors.ts";
import { KilnError } from "../../errors/index.ts";
import { after, done, type Outcome } from "../../runtime/outcome.ts";
import { failureOf } from "../status/failure.ts";
import { type ActDeps, cancelRuns, end, type Scene, write } from "../status/write.ts";
import { partsProgress, partsStatus, type PartsStep } from "./decide-parts.ts";
import { inherited } from "./inherit.ts";
import { mergeParts } from "./merge.ts";
import { partRun } from "./split.ts";

type StepOf<K extends PartsStep["kind"]> = Extract<PartsStep, { readonly kind: K }>;

const settleMs = 1_000;
const mergeAgainMs = 5_000;

/** Writes down which parts there will be; the next look creates them. */
export async function split(
  { parts }: StepOf<"split">,
  scene: Scene,
  deps: ActDeps,
): Promise<Outcome> {
  const { builder } = scene.world;
  if (builder === undefined) return after(settleMs);
  const written = await write({ kind: "split", parts, builder: builder.ref }, scene, deps);
  if (written === undefined) return after(settleMs);
  const all = parts.map(({ platforms }) => platforms.join(" and ")).join("; ");
  const message = `No instance of ${builder.ref.kind} ${builder.ref.name} builds for all platforms: one run each for ${all}.`;
  scene.log.info({ parts: parts.length }, "run split");
  deps.events.event(written, { type: "Normal", reason: "Split", action: "Build", message });
  return after(1);
}

/** Creates runs of parts; one that is there already is an answer. */
export async function spawn(
  { parts }: StepOf<"spawn">,
  { world, signal, log }: Scene,
  deps: ActDeps,
): Promise<Outcome> {
  const { run, builder } = world;
  if (builder === undefined) return after(settleMs);
  for (const part of parts) {
    try {
      const made = await deps.client.create(
        deps.type,
        partRun(run, part, builder.ref) as never,
        signal,
      );
      deps.cache.wrote(made);
      log.info({ part: part.run, platforms: part.platforms }, "part created");
    } catch (error) {
      if (!isApiError(error, "AlreadyExists")) throw error;
    }
  }
  return after(settleMs);
}

/** Cancels runs of parts. */
export async function halt(
  { runs }: StepOf<"halt">,
  { signal }: Scene,
  deps: ActDeps,
): Promise<Outcome> {
  await cancelRuns(runs, { ...deps, signal });
  return after(settleMs);
}

/** Tells how far the parts are. */
export async function follow(
  { recheckMs }: StepOf<"follow">,
  scene: Scene,
  deps: ActDeps,
): Promise<Outcome> {
  const { parts = [] } = scene.world;
  const progress = partsProgress(parts);
  const change = {
    kind: "parts",
    parts: partsStatus(parts),
    ...(progress && { progress }),
  } as const;
  await write(change, scene, deps);
  return after(Math.max(1, recheckMs));
}

/** Puts the images together. A registry that fails for now is asked again until the run is out of time. */
export async function merge(_: StepOf<"merge">, scene: Scene, deps: ActDeps): Promise<Outcome> {
  const { world, log, signal } = scene;
  const { parts = [] } = world;
  const told = inherited(parts);
  try {
    const facts = await mergeParts(world, parts, { ...deps, signal });
    const finishedAt = deps.now().toISOString();
    const outcome = { kind: "succeeded", facts, finishedAt } as const;
    await end({ kind: "ended", result: "Succeeded", outcome, told }, undefined, scene, deps);
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    if (error.retryable) {
      log.warn({ err: error }, "the images of the parts could not be put together yet");
      return after(mergeAgainMs);
    }
    const failure = failureOf(error);
    await end({ kind: "ended", result: "Failed", failure, told }, undefined, scene, deps);
  }
  return done;
}

/** The key of the run that a part is of, to ring when the part changes. */
export function wholeOf({ metadata }: BuildRun): string | undefined {
  const owner = metadata.ownerReferences?.find(({ kind }) => kind === "BuildRun");
  return owner === undefined ? undefined : `${metadata.namespace ?? ""}/${owner.name}`;
}
