// Keeps a status under its size, and to what the API server takes. What gives way first is what a person misses least; the terminal state, the digest and
// the reason never give way.

import { BuildRunStatus } from "../../api/v1alpha1/index.ts";
import { cut } from "./text.ts";

/** Bytes of JSON that a status may have. */
export const maxStatusBytes = 32 * 1024 - 1;

type Shrink = (status: BuildRunStatus) => BuildRunStatus;

function bytesOf(status: BuildRunStatus): number {
  return Buffer.byteLength(JSON.stringify(status));
}

function shorterTail(keep: number, width: number): Shrink {
  return (status) =>
    status.failure === undefined
      ? status
      : {
          ...status,
          failure: {
            ...status.failure,
            logTail: (status.failure.logTail ?? []).slice(-keep).map((line) => cut(line, width)),
          },
        };
}

function fewerBaseImages(keep: number): Shrink {
  return (status) =>
    status.baseImages === undefined
      ? status
      : { ...status, baseImages: status.baseImages.slice(0, keep) };
}

function shorterCache(keep: number): Shrink {
  return ({ cache, ...status }) =>
    cache === undefined
      ? status
      : {
          ...status,
          cache: {
            ...cache,
            imports: (cache.imports ?? []).slice(0, keep),
            exports: (cache.exports ?? []).slice(0, keep),
          },
        };
}

function fewerWarnings(keep: number): Shrink {
  return (status) =>
    status.warnings === undefined
      ? status
      : {
          ...status,
          warnings: { ...status.warnings, items: status.warnings.items.slice(0, keep) },
        };
}

/** Without a part of the answer; the builder's history has all of it. */
function shorterCall(part: "text" | "result"): Shrink {
  return (status) => {
    if (status.call?.[part] === undefined) return status;
    const { [part]: _, ...call } = status.call;
    const history = call.history ?? status.attempts?.at(-1)?.ref;
    return { ...status, call: { ...call, ...(history === undefined ? {} : { history }) } };
  };
}

type Image = NonNullable<NonNullable<BuildRunStatus["outputs"]>[number]["image"]>;

function images(change: (image: Image) => Image): Shrink {
  return (status) =>
    status.outputs === undefined
      ? status
      : {
          ...status,
          outputs: status.outputs.map((output) =>
            output.image === undefined ? output : { image: change(output.image) },
          ),
        };
}

// All attempts stay: their number decides about the next one.
const terserAttempts: Shrink = (status) =>
  status.attempts === undefined
    ? status
    : {
        ...status,
        attempts: status.attempts.map((attempt) =>
          attempt.message === undefined
            ? attempt
            : { ...attempt, message: cut(attempt.message, 100) },
        ),
      };

const shorterMessages: Shrink = (status) => ({
  ...status,
  conditions: (status.conditions ?? []).map((condition) => ({
    ...condition,
    message: cut(condition.message, 300),
  })),
  ...(status.failure === undefined
    ? {}
    : { failure: { ...status.failure, message: cut(status.failure.message, 600) } }),
});

const shrinks: readonly Shrink[] = [
  (status) => (status.call?.result === undefined ? status : shorterCall("text")(status)),
  shorterTail(20, 200),
  fewerWarnings(8),
  fewerBaseImages(8),
  shorterCache(4),
  shorterTail(8, 120),
  terserAttempts,
  images((image) => ({ ...image, platforms: (image.platforms ?? []).slice(0, 4) })),
  images((image) => ({ ...image, attestations: undefined })),
  shorterCall("result"),
  shorterCall("text"),
  fewerWarnings(2),
  fewerBaseImages(0),
  (status) => ({
    ...status,
    parts: status.parts?.map((part) => ({ ...part, instance: undefined })),
  }),
  shorterCache(0),
  shorterMessages,
  shorterTail(0, 0),
  fewerWarnings(0),
  (status) => ({ ...status, progress: undefined }),
  // Tags are in the spec; the digests stay.
  images((image) => ({ ...image, tags: image.tags.slice(0, 2), platforms: [] })),
  images((image) => ({ ...image, readBack: undefined })),
];

/** The status, cut step by step until it fits. */
export function bounded(status: BuildRunStatus): BuildRunStatus {
  let result = status;
  for (const shrink of shrinks) {
    if (bytesOf(result) <= maxStatusBytes) return result;
    result = shrink(result);
  }
  return result;
}

/**
 * The status without what its schema refuses: a daemon's odd answer may cost a detail, but never keep a run from
 * ending. The same schema makes the CRD, so the API server takes what is left.
 */
export function accepted(status: BuildRunStatus): BuildRunStatus {
  let result: Record<string, unknown> = status;
  for (const depth of [2, 1]) {
    const { error } = BuildRunStatus.safeParse(result);
    if (error === undefined) return result as BuildRunStatus;
    for (const { path } of error.issues) result = without(result, path.slice(0, depth));
  }
  return result as BuildRunStatus;
}

function without(
  object: Record<string, unknown>,
  path: readonly PropertyKey[],
): Record<string, unknown> {
  const [first, ...rest] = path;
  if (first === undefined) return object;
  const { [String(first)]: inner, ...others } = object;
  const isPlain = typeof inner === "object" && inner !== null && !Array.isArray(inner);
  if (rest.length === 0 || !isPlain) return others;
  return { ...others, [String(first)]: without(inner as Record<string, unknown>, rest) };
}
