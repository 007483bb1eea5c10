// What Kiln says about a BuildRun: enough to know, without another object, where it is, what it
// used, what came out, and why it failed.

import { z } from "zod";
import { listMap, oneOf } from "../../schema.ts";
import {
  Condition,
  Count,
  Milliseconds,
  statusLimits,
  StatusMessage,
  StatusReason,
  Timestamp,
} from "../shared.ts";

const Digest = z.string().max(135);
const Ref = z.string().max(512);
const Name = z.string().max(253);
const Bytes = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const BuilderKindName = z.enum(["Builder", "ClusterBuilder"]);

/** Who has to act on a failure; the same words as `ErrorClass` of src/errors. */
export const FailureClass = z.enum(["User", "Source", "Registry", "Builder", "Infra", "Policy"]);

const Attempt = z.object({
  number: z.int().min(1).max(1000).describe("Which attempt it was: 1 for the first."),
  ref: z.string().min(1).max(128).describe("Reference of the build at BuildKit: <uid>-<number>."),
  builder: z
    .object({
      kind: BuilderKindName.describe("Kind of the builder."),
      name: Name.describe("Name of the builder."),
    })
    .describe("Builder that was chosen."),
  instance: Name.describe("Instance that was chosen."),
  part: Name.optional().describe("Of a run that is split: the run of the part that it is of."),
  startedAt: Timestamp.describe("When it was given to the instance."),
  finishedAt: Timestamp.optional().describe("When its outcome was known."),
  outcome: z
    .enum(["Succeeded", "Failed", "Lost", "Cancelled"])
    .optional()
    .describe("How it ended. Lost: nobody knows of it any more."),
  class: FailureClass.optional().describe("Who has to act, if it failed."),
  reason: StatusReason.optional().describe("Why it ended so, as one word."),
  message: StatusMessage.optional().describe("Why it ended so, as a sentence."),
});

const Progress = z.object({
  total: Count.describe("Steps known so far."),
  completed: Count.describe("Steps that are done, cached ones among them."),
  cached: Count.describe("Steps that were taken from cache."),
  current: z.string().max(statusLimits.step).optional().describe("A step that runs now."),
  updatedAt: Timestamp.describe("When this was written; at most every few seconds."),
});

const Timings = z.object({
  queueMs: Milliseconds.optional().describe("From creation to the first attempt."),
  builderStartMs: Milliseconds.optional().describe(
    "Of queueMs: waiting until the builder could take work.",
  ),
  resolveMs: Milliseconds.optional().describe("Reading Secrets and making the plan."),
  contextMs: Milliseconds.optional().describe("Getting the context."),
  buildMs: Milliseconds.optional().describe("Running the steps."),
  exportMs: Milliseconds.optional().describe("Making the outputs, pushing among them."),
  pushMs: Milliseconds.optional().describe("Of exportMs: pushing."),
  cacheExportMs: Milliseconds.optional().describe("Exporting cache."),
  totalMs: Milliseconds.optional().describe("From creation to the end."),
});

const Source = oneOf("source", {
  git: z
    .object({
      url: z.string().max(2048).describe("Address of the repository."),
      commit: z.string().max(64).optional().describe("Commit that was built."),
      author: z.string().max(512).optional().describe("Who wrote the commit."),
      committedAt: Timestamp.optional().describe("When the commit was made."),
    })
    .describe("The git repository."),
  http: z
    .object({
      url: z.string().max(2048).describe("Address of the archive."),
      checksum: z.string().max(135).optional().describe("Digest of the archive."),
    })
    .describe("The archive."),
});

const OutputStatus = oneOf("an output", {
  image: z
    .object({
      tags: z.array(Ref).max(32).describe("References that name the image."),
      digest: Digest.describe("Digest of the manifest or, for several platforms, of the index."),
      size: Bytes.optional().describe("Bytes of manifest, configuration and layers."),
      platforms: z
        .array(
          z.object({
            platform: z.string().max(64).describe("Platform, such as linux/arm64."),
            digest: Digest.describe("Digest of its manifest."),
            size: Bytes.optional().describe("Bytes of its manifest, configuration and layers."),
          }),
        )
        .max(statusLimits.platforms)
        .optional()
        .describe("The manifest of each platform."),
      attestations: z
        .array(
          z.object({
            platform: z.string().max(64).optional().describe("Platform that it is about."),
            predicateType: z.string().max(256).describe("What it states."),
            digest: Digest.describe("Digest of the statement."),
          }),
        )
        .max(statusLimits.platforms)
        .optional()
        .describe("Statements about the image that are kept with it."),
      readBack: z
        .array(
          z.object({
            tag: Ref.describe("Reference that was pushed."),
            digest: Digest.optional().describe("What the registry has under it."),
            message: StatusMessage.optional().describe("Why it could not be read."),
          }),
        )
        .max(32)
        .optional()
        .describe("Tags as the registry showed them after the push; another digest fails the run."),
    })
    .describe("A container image."),
  files: z
    .object({
      type: z.enum(["oci", "docker", "tar", "local"]).describe("Kind of the output."),
      location: z
        .string()
        .max(1024)
        .describe(
          "Reference of the artifact with its digest, s3://bucket/key, configmap://name/key, pvc://claim/path or engine://name.",
        ),
      digest: Digest.optional().describe(
        "Digest of the artifact's manifest, or of the file; of several files, of the lines that sha256sum prints for them in the order of their paths.",
      ),
      imageDigest: Digest.optional().describe("Digest of the image in the archive."),
      size: Bytes.optional().describe("Bytes of all files."),
      files: Count.optional().describe("How many files; none for an archive."),
      skipped: Count.optional().describe("Links and devices that have no place there."),
    })
    .describe("Files in a place outside of the builder."),
});

const CacheType = z.enum(["registry", "inline", "s3", "azblob", "gha", "local"]);

const CacheReport = z.object({
  steps: Count.optional().describe("Steps of the build."),
  cached: Count.optional().describe("Steps that were taken from cache."),
  imports: z
    .array(
      z.object({
        type: CacheType.optional().describe("Kind of the cache."),
        ref: Ref.describe("Reference, bucket, scope or name of the cache."),
        ok: z.boolean().describe("Whether it could be read."),
        message: StatusMessage.optional().describe("Why it could not be read."),
      }),
    )
    .max(16)
    .optional()
    .describe("Caches that were to be read."),
  exports: z
    .array(
      z.object({
        type: CacheType.optional().describe("Kind of the cache."),
        ref: Ref.optional().describe("Reference, bucket, scope or name of the cache."),
        inline: z.boolean().optional().describe("True for the cache inside the image."),
        ok: z.boolean().describe("Whether it was written."),
        digest: Digest.optional().describe("Digest of what was written."),
        layers: Count.optional().describe(
          "Layers that it has now, written by this run or found there.",
        ),
        message: StatusMessage.optional().describe("Why it was not written."),
      }),
    )
    .max(16)
    .optional()
    .describe("Caches that were to be written."),
});

const Part = z.object({
  run: Name.describe("BuildRun that builds it."),
  platforms: z.array(z.string().max(64)).max(16).describe("Platforms that it builds for."),
  phase: z.string().max(32).optional().describe("Where that run is in its life."),
  instance: Name.optional().describe("Instance that builds or has built it."),
  attempts: Count.optional().describe("How often it was started."),
  digest: Digest.optional().describe("Digest of the first image that it pushed."),
  reason: StatusReason.optional().describe("Why it failed, as one word."),
});

const Warnings = z.object({
  total: Count.describe("How many there are, those that are not listed among them."),
  items: z
    .array(
      z.object({
        rule: z.string().max(128).optional().describe("Name of the rule."),
        message: StatusMessage.describe("What the frontend has to say."),
        file: z.string().max(1024).optional().describe("File that it is about."),
        line: Count.optional().describe("Its first line there."),
        url: z.string().max(1024).optional().describe("Where the rule is explained."),
      }),
    )
    .max(statusLimits.warnings)
    .describe("The first of them."),
});

const Call = z.object({
  request: z.string().max(256).describe("What was asked, such as frontend.outline."),
  version: z.string().max(64).optional().describe("Version of the form of the answer."),
  statusCode: Count.describe("What a command that shows the answer would exit with."),
  result: z.string().max(statusLimits.answer).optional().describe("The answer as JSON."),
  text: z.string().max(statusLimits.answer).optional().describe("The answer for people."),
  history: Ref.optional().describe(
    "When a part of the answer is too large for status: where the builder's history has all of it.",
  ),
});

const Failure = z.object({
  class: FailureClass.describe(
    "Who has to act: User (the build), Source, Registry, Builder, Infra or Policy.",
  ),
  reason: StatusReason.describe("What went wrong, as one word for programs."),
  message: StatusMessage.describe("What went wrong and what to do."),
  step: z.string().max(statusLimits.step).optional().describe("Step that failed."),
  dockerfile: z
    .object({
      path: z.string().max(1024).describe("Path of the Dockerfile."),
      line: Count.describe("Line of the instruction."),
      endLine: Count.optional().describe("Its last line."),
    })
    .optional()
    .describe("Where the step is written."),
  exitCode: z
    .int()
    .min(-2_147_483_648)
    .max(4_294_967_295)
    .optional()
    .describe("Exit code of the step."),
  logTail: z
    .array(z.string().max(statusLimits.logLine))
    .max(statusLimits.logLines)
    .optional()
    .describe("Last lines that the step printed."),
});

/** Status of a BuildRun. */
export const BuildRunStatus = z.object({
  observedGeneration: Count.optional().describe("The metadata.generation that this speaks about."),
  conditions: listMap(Condition, ["type"], 16)
    .optional()
    .describe(
      "Succeeded; Reconciling and Stalled while they hold; CacheExported at the end of a run with cache.to.",
    ),
  phase: z
    .enum(["Pending", "Queued", "Running", "Succeeded", "Failed", "Cancelled"])
    .optional()
    .describe("One word for people; programs read conditions."),
  builder: z
    .object({
      kind: BuilderKindName.describe("Kind of the builder."),
      namespace: Name.optional().describe("Namespace of the Builder; none for a ClusterBuilder."),
      name: Name.describe("Name of the builder."),
      instance: Name.optional().describe("Instance that builds or has built."),
    })
    .optional()
    .describe("Where it builds."),
  queue: z
    .object({
      position: Count.describe("Runs before this one."),
      reason: StatusReason.describe("Why it waits, as one word."),
      message: StatusMessage.describe("Why it waits."),
      since: Timestamp.optional().describe("Since when it waits for this reason."),
    })
    .optional()
    .describe("While it waits: where and why."),
  startTime: Timestamp.optional().describe("When the first attempt began."),
  completionTime: Timestamp.optional().describe("When it ended. Nothing changes after."),
  attempts: listMap(Attempt, ["number"], statusLimits.attempts)
    .optional()
    .describe("Each start on a builder, first to last."),
  parts: listMap(Part, ["run"], 16)
    .optional()
    .describe("When no instance builds for all platforms: the runs that build for some each."),
  progress: Progress.optional().describe("How far it is."),
  timings: Timings.optional().describe("Where the time went, in milliseconds."),
  source: Source.optional().describe("What exactly was built."),
  outputs: z
    .array(OutputStatus)
    .max(128)
    .optional()
    .describe("What came out, in the order of the spec; of a split run, the files of each part."),
  baseImages: z
    .array(
      z.object({
        ref: Ref.describe("Reference in the Dockerfile."),
        digest: Digest.describe("Digest it meant."),
      }),
    )
    .max(statusLimits.baseImages)
    .optional()
    .describe("Images that the build began with."),
  cache: CacheReport.optional().describe("What the cache did."),
  warnings: Warnings.optional().describe("What the frontend warns of."),
  call: Call.optional().describe("The answer to spec.call."),
  failure: Failure.optional().describe("Why it failed."),
});

/** Status of a BuildRun. */
export type BuildRunStatus = z.output<typeof BuildRunStatus>;
/** One entry of `status.attempts`. */
export type Attempt = z.output<typeof Attempt>;
/** `status.failure`. */
export type Failure = z.output<typeof Failure>;
/** `status.progress`. */
export type Progress = z.output<typeof Progress>;
/** `status.timings`, in milliseconds. */
export type Timings = z.output<typeof Timings>;
/** `status.source`; narrow it with `only`. */
export type Source = z.output<typeof Source>;
/** One entry of `status.outputs`; narrow it with `only`. */
export type OutputStatus = z.output<typeof OutputStatus>;
/** `status.cache`. */
export type CacheReport = z.output<typeof CacheReport>;
/** `status.warnings`. */
export type Warnings = z.output<typeof Warnings>;
/** `status.call`. */
export type Call = z.output<typeof Call>;
