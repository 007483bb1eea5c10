// What came out of a finished solve, in the words of status: outputs, sources, cache, timings. Pure.

import type { CallFacts, ImageFacts, SolveFacts, WarningFact } from "../../agent/agent.ts";
import { only } from "../../api/schema.ts";
import type {
  BuildRun,
  BuildRunStatus,
  Call,
  OutputStatus,
  Source,
  Timings,
  Warnings,
} from "../../api/v1alpha1/index.ts";
import { type Progress, pushMs, stageMs } from "./progress.ts";
import { oneLine, plainText } from "./text.ts";

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

function outputsOf(run: BuildRun, facts: SolveFacts): OutputStatus[] {
  // What a Builder with `defaultLoad` has loaded.
  if (run.spec.outputs.length === 0)
    return filesOf("docker", facts, { index: 0, image: facts.images[0] });
  return run.spec.outputs.flatMap((output, index): OutputStatus[] => {
    const { kind, value } = only(output);
    return kind === "image"
      ? imageOf(value.tags, imageAt(run, facts, index))
      : filesOf(kind, facts, { index, image: imageAt(run, facts, index) });
  });
}

/** What the exporter at this place made; some daemons tell one image without saying whose it is. */
function imageAt(run: BuildRun, { images }: SolveFacts, index: number): ImageFacts | undefined {
  const told = images.find(({ exporter }) => exporter === index);
  if (told !== undefined || images.some(({ exporter }) => exporter !== undefined)) return told;
  const { image, oci, docker } = run.spec.outputs[index] ?? {};
  if (image === undefined && oci === undefined && docker === undefined) return undefined;
  return images[index] ?? (images.length === 1 ? images[0] : undefined);
}

function imageOf(tags: readonly string[], made: ImageFacts | undefined): OutputStatus[] {
  return made === undefined ? [] : [{ image: imageStatus(made, tags) }];
}

function filesOf(
  type: "oci" | "docker" | "tar" | "local",
  { files = [] }: SolveFacts,
  { index, image }: { readonly index: number; readonly image: ImageFacts | undefined },
): OutputStatus[] {
  // Of a split run each part has made some.
  const made = files.filter(({ exporter }) => exporter === index);
  return made.map((one) => {
    const { exporter: _, data: __, ...rest } = one;
    return { files: { type, ...rest, ...(image && { imageDigest: image.digest }) } };
  });
}

const maxAttestations = 32;

function imageStatus(
  { digest, size, platforms, attestations, readBack }: ImageFacts,
  tags: readonly string[],
): NonNullable<OutputStatus["image"]> {
  return {
    tags: [...tags],
    digest,
    size,
    platforms: platforms.map((entry) => ({ ...entry })),
    ...(attestations && {
      attestations: attestations.slice(0, maxAttestations).map((entry) => ({ ...entry })),
    }),
    ...(readBack && {
      readBack: readBack.map(({ tag, digest: found, message }) => ({
        tag,
        ...(found === undefined ? {} : { digest: found }),
        ...(message === undefined ? {} : { message: oneLine(message, 300) }),
      })),
    }),
  };
}

const maxWarnings = 20;

/** What the frontend warned of, while it built or when it was asked to. */
export function warningsOf(
  progress: Progress | undefined,
  call: CallFacts | undefined,
): Warnings | undefined {
  const all: readonly WarningFact[] = call?.lint?.warnings ?? [
    ...(progress?.warnings.values() ?? []),
  ];
  if (all.length === 0) return undefined;
  const items = all.slice(0, maxWarnings).map(({ rule, message, file, line, url }) => ({
    ...(rule === undefined ? {} : { rule: oneLine(rule, 128) }),
    message: oneLine(message, 300),
    ...(file === undefined ? {} : { file: oneLine(file, 200) }),
    ...(line === undefined ? {} : { line }),
    ...(url === undefined ? {} : { url: oneLine(url, 300) }),
  }));
  return { total: all.length, items };
}

/** The answer to `spec.call`; `ref` is where the daemon's history has it. */
export function callOf(facts: CallFacts, ref: string): Call {
  const { request, version, statusCode, result, text } = facts;
  return {
    request,
    statusCode,
    ...(version === "" ? {} : { version: oneLine(version, 64) }),
    ...(result === undefined ? {} : { result: result.toWellFormed() }),
    ...(text === undefined ? {} : { text: plainText(text, 16_000) }),
    ...(facts.cut ? { history: ref } : {}),
  };
}

function sourceOf({ git, http }: SolveFacts): Source | undefined {
  if (git !== undefined) {
    const { author, ...rest } = git;
    return { git: { ...rest, ...(author === undefined ? {} : { author: oneLine(author, 300) }) } };
  }
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
  const pushingMs = pushMs(progress);
  const cacheExportMs = stageMs(progress, "cacheExport");
  const builderStartMs = run.status?.timings?.builderStartMs;
  const startMs = Number.isNaN(start) ? end.getTime() : start;
  return {
    queueMs: Math.max(0, Math.round(startMs - created)),
    ...(builderStartMs === undefined ? {} : { builderStartMs }),
    ...(resolveMs === undefined ? {} : { resolveMs: Math.round(resolveMs) }),
    ...(contextMs === undefined ? {} : { contextMs }),
    buildMs: stageMs(progress, "build") ?? 0,
    ...(exportMs === undefined ? {} : { exportMs }),
    ...(pushingMs === undefined ? {} : { pushMs: pushingMs }),
    ...(cacheExportMs === undefined ? {} : { cacheExportMs }),
    totalMs: Math.max(0, Math.round(end.getTime() - created)),
  };
}
