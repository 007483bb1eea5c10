// What came out of a finished solve, in the words of status: outputs, sources, cache, timings. Pure.

import type { SolveFacts } from "../../agent/agent.ts";
import type {
  BuildRun,
  BuildRunStatus,
  CacheReport,
  OutputStatus,
  Source,
  Timings,
} from "../../api/v1alpha1/index.ts";
import { counts, exportResults, importResults, type Progress, stageMs } from "./progress.ts";
import { cut } from "./text.ts";

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

/** What the cache did. An export that the daemon says nothing of is left out: nobody knows. */
export function cacheOf(run: BuildRun, progress: Progress, facts?: SolveFacts): CacheReport {
  const { total, cached } = counts(progress);
  const imports = importResults(progress).map(({ name, ok, message }) => ({
    ref: cut(name, 300),
    ok,
    ...(message === undefined ? {} : { message }),
  }));
  const named = exportResults(progress);
  const digest = facts?.cacheDigest;
  const exports = run.spec.cache.to.flatMap(
    ({ registry, inline }): NonNullable<CacheReport["exports"]> => {
      // Inline cache is part of the image: it has no step of its own, and fails with the export or not at all.
      if (inline !== undefined) return facts === undefined ? [] : [{ inline: true, ok: true }];
      if (registry === undefined) return [];
      // Vertex names don't tell two registries apart: the first failure counts for all of them.
      const results = named.filter(({ name }) => name === "exporting cache to registry");
      const told = results.find(({ ok }) => !ok) ?? results[0];
      if (told === undefined) return [];
      return [
        {
          ref: registry.ref,
          ok: told.ok,
          ...(told.ok && digest !== undefined ? { digest } : {}),
          ...(told.message === undefined ? {} : { message: told.message }),
        },
      ];
    },
  );
  return { steps: total, cached, imports: imports.slice(0, 16), exports };
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
