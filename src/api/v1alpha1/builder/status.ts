// What Kiln says about a Builder: what `docker buildx inspect` prints, for every instance.

import { z } from "zod";
import { listMap } from "../../schema.ts";
import {
  Condition,
  Count,
  statusLimits,
  StatusMessage,
  StatusReason,
  Timestamp,
} from "../shared.ts";

const Platforms = z.array(z.string().max(64)).max(statusLimits.platforms);
const Bytes = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

const GcRule = z.object({
  all: z.boolean().optional().describe("Whether internal and frontend images count as well."),
  filters: z
    .array(z.string().max(1024))
    .max(32)
    .optional()
    .describe("Which cache records the rule is about."),
  keepDuration: z
    .string()
    .max(64)
    .optional()
    .describe("How long an unused record is kept, for example 48h."),
  reservedSpace: Bytes.optional().describe("Bytes of cache that are always kept."),
  maxUsedSpace: Bytes.optional().describe("Bytes of cache above which records are removed."),
  minFreeSpace: Bytes.optional().describe("Bytes of disk that should stay free."),
});

const Disk = z.object({
  cacheBytes: Bytes.optional().describe("Bytes of the daemon's cache."),
  volumeBytes: Bytes.optional().describe("Bytes of the volume with cache and state."),
  freeBytes: Bytes.optional().describe("Bytes of the volume that are free."),
});

const InstanceError = z.object({
  reason: StatusReason.describe("What it was, as one word."),
  message: StatusMessage.describe("What it was, and what to do."),
  time: Timestamp.describe("When it was first seen."),
});

const Driver = z.enum(["Kubernetes", "Remote", "Docker", "DockerContainer"]);

const Instance = z.object({
  name: z
    .string()
    .min(1)
    .max(253)
    .describe("Name of the pod or the node; of a single daemon remote-0, docker-0 or container-0."),
  driver: Driver.optional().describe("Driver that it belongs to."),
  fixedPlatforms: z
    .boolean()
    .optional()
    .describe("Whether its platforms are those that its node names, not what BuildKit says."),
  address: z.string().max(512).optional().describe("Where it answers."),
  ready: z.boolean().describe("Whether it takes runs."),
  state: z
    .enum(["Starting", "Ready", "Draining", "DiskPressure", "NotReady", "Terminating"])
    .optional()
    .describe(
      "Where it is in its life. Draining: its runs end and it takes no new one. Terminating: its pod is being deleted.",
    ),
  reason: StatusReason.optional().describe("Why it is not ready, as one word."),
  message: StatusMessage.optional().describe("Why it is not ready, and what to do."),
  version: z.string().max(128).optional().describe("Version of BuildKit."),
  platforms: Platforms.optional().describe("Platforms it can build for."),
  labels: z
    .record(z.string(), z.string().max(1024))
    .meta({ maxProperties: 64 })
    .optional()
    .describe("Labels of its worker, such as the executor and the snapshotter."),
  gcPolicy: z.array(GcRule).max(16).optional().describe("How it removes old cache records."),
  slots: Count.optional().describe("Runs that it builds at once at most."),
  running: Count.optional().describe("Runs that it builds now."),
  queued: Count.optional().describe(
    "Runs that wait and would go to it first: it has the cache of their repository and builds for their platforms.",
  ),
  idleSince: Timestamp.optional().describe("When its last run ended, or when it came."),
  outdated: z
    .boolean()
    .optional()
    .describe("Whether it is of an older template, and waits for its turn to be replaced."),
  disk: Disk.optional().describe("How full its disk is, in steps of 1/256 of the volume."),
  lastError: InstanceError.optional().describe(
    "What last kept it from working, also when that is over.",
  ),
});

/** Status of a Builder or a ClusterBuilder. */
export const BuilderStatus = z.object({
  observedGeneration: Count.optional().describe("The metadata.generation that this speaks about."),
  conditions: listMap(Condition, ["type"], 16)
    .optional()
    .describe("Ready; Reconciling, Stalled, DiskPressure and Draining while they hold."),
  driver: z
    .enum([...Driver.options, "Mixed"])
    .optional()
    .describe("Driver in use; Mixed for several."),
  version: z
    .string()
    .max(128)
    .optional()
    .describe("Version of BuildKit; the oldest if they differ."),
  platforms: Platforms.optional().describe("Platforms that at least one instance can build for."),
  podPlatforms: Platforms.optional().describe(
    "Platforms that BuildKit in the pods of kubernetes last said it builds for; kept while scaling has none.",
  ),
  recentStarts: z
    .array(Timestamp)
    .max(statusLimits.recentStarts)
    .optional()
    .describe("When the last runs started, oldest first: what keepWarm goes by."),
  readyInstances: Count.optional().describe("Instances that take runs."),
  totalInstances: Count.optional().describe("Instances there should be."),
  runningRuns: Count.optional().describe("Runs that build now."),
  queuedRuns: Count.optional().describe("Runs that wait for this Builder."),
  instances: listMap(Instance, ["name"], statusLimits.instances)
    .optional()
    .describe("Each buildkitd."),
  templateHash: z
    .string()
    .max(64)
    .optional()
    .describe("Hash of the pods as they should be; another hash means a roll."),
});

/** Status of a Builder or a ClusterBuilder. */
export type BuilderStatus = z.output<typeof BuilderStatus>;
/** One entry of `status.instances`. */
export type BuilderInstanceStatus = z.output<typeof Instance>;
/** One rule of an instance's GC policy. */
export type GcRule = z.output<typeof GcRule>;
