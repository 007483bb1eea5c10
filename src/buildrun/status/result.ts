// What came out of a finished solve, in the words of status: outputs, sources, cache, timings. Pure.

import type { SolveFacts } from "../../agent/agent.ts";
import type {
  BuildRun,
  BuildRunStatus,
  OutputStatus,
  Source,
  Timings,
} from "../../api/v1alpha1/index.ts";
import { type Progress, stageMs } from "./progress.ts";

const maxBaseImages = 32;

/** Outputs, source and base images: only known when the solve succeeded. */
export function resultOf(
  run: BuildRun,
  facts: SolveFacts,
): Pick<BuildRunStatus, "outputs" | "source" | "baseImages"> {
  const outputs = outputsOf(run, facts);
  const source = sourceOf(facts);
  return {
    ...(outputs.length === 0 ? {} : { outputs }),
    ...(source === undefined ? {} : { source }),
    ...(facts.baseImages.length === 0
      ? {}
      : { baseImages: facts.baseImages.slice(0, maxBaseImages).map((image) => ({ ...image })) }),
  };
}

function outputsOf(run: BuildRun, { images }: SolveFacts): OutputStatus[] {
  return run.spec.outputs.flatMap(({ image: { tags } }, index) => {
    const made = images[index] ?? (images.length === 1 ? images[0] : undefined);
    if (made === undefined) return [];
    const { digest, size, platforms } = made;
    const image = {
      tags: [...tags],
      digest,
      size,
      platforms: platforms.map((entry) => ({ ...entry })),
    };
    return [{ image }];
  });
}

function sourceOf({ git, http }: SolveFacts): Source | undefined {
  if (git !== undefined) return { git };
  return http === undefined ? undefined : { http };
}

/** How long each stage took, in milliseconds. Stages overlap; each is the wall time in which it had something to do. */
export function timingsOf(
  run: BuildRun,
  progress: Progress,
  { end, resolveMs }: { readonly end: Date; readonly resolveMs: number | undefined },
): Timings {
  const created = Date.parse(run.metadata.creationTimestamp ?? "");
  const start = Date.parse(run.status?.startTime ?? "");
  const contextMs = stageMs(progress, "context");
  const exportMs = stageMs(progress, "export");
  const startMs = Number.isNaN(start) ? end.getTime() : start;
  return {
    queueMs: Math.max(0, Math.round(startMs - created)),
    ...(resolveMs === undefined ? {} : { resolveMs: Math.round(resolveMs) }),
    ...(contextMs === undefined ? {} : { contextMs }),
    buildMs: stageMs(progress, "build") ?? 0,
    ...(exportMs === undefined ? {} : { exportMs }),
    totalMs: Math.max(0, Math.round(end.getTime() - created)),
  };
}
