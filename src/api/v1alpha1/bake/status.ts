// What Kiln says about a Bake: each target with its BuildRun, how far it is and what came out.

import { z } from "zod";
import { listMap } from "../../schema.ts";
import { Condition, Count, StatusMessage, StatusReason, Timestamp } from "../shared.ts";
import { FailureClass } from "../buildrun/status.ts";

const TargetName = z.string().max(128);
const RunName = z.string().max(63);

const Target = z.object({
  name: TargetName.describe("Name of the target in the file."),
  run: RunName.describe("BuildRun that builds it."),
  needs: z
    .array(TargetName)
    .max(16)
    .optional()
    .describe("Targets that it builds from, by target: contexts."),
  phase: z.string().max(32).optional().describe("Where that run is in its life."),
  instance: z.string().max(253).optional().describe("Instance that builds or has built it."),
  attempts: Count.optional().describe("How often it was started."),
  image: z.string().max(512).optional().describe("First reference of the first image."),
  digest: z.string().max(135).optional().describe("Digest of the first image or archive."),
  reason: StatusReason.optional().describe("Why it failed, as one word."),
  message: z.string().max(512).optional().describe("Why it failed."),
});

const Progress = z.object({
  total: Count.describe("Targets that are built."),
  completed: Count.describe("Targets that are over."),
  failed: Count.describe("Of those, targets that failed."),
});

const Failure = z.object({
  class: FailureClass.describe("Who has to act, as in a BuildRun."),
  reason: StatusReason.describe("What went wrong, as one word for programs."),
  message: StatusMessage.describe("What went wrong and what to do; names the target."),
  target: TargetName.optional().describe("Target that failed."),
});

/** Everything Kiln says about a Bake. */
export const BakeStatus = z.object({
  observedGeneration: Count.optional().describe("The metadata.generation that this speaks about."),
  conditions: listMap(Condition, ["type"], 16)
    .optional()
    .describe("Succeeded; Reconciling and Stalled while they hold."),
  phase: z
    .enum(["Pending", "Running", "Succeeded", "Failed", "Cancelled"])
    .optional()
    .describe("One word for people; programs read conditions."),
  startTime: Timestamp.optional().describe("When the file was read."),
  completionTime: Timestamp.optional().describe(
    "When the last build ended. Nothing changes after.",
  ),
  fileDigest: z.string().max(71).optional().describe("Digest of the file with its overrides."),
  progress: Progress.optional().describe("How far it is."),
  targets: z
    .array(Target)
    .max(64)
    .optional()
    .describe("Targets that are built, each after those that it builds from."),
  failure: Failure.optional().describe("Why it failed."),
});

/** Status of a Bake. */
export type BakeStatus = z.output<typeof BakeStatus>;
/** One entry of `status.targets`. */
export type BakeTargetStatus = z.output<typeof Target>;
