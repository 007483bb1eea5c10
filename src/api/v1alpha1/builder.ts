// What a person may write in a Builder or a ClusterBuilder: where BuildKit runs, and how much of it.

import { z } from "zod";
import { cel, exactlyOne, only, type OneOf, rules, section } from "../schema.ts";
import { Allow } from "./allow.ts";
import { Buildkitd } from "./buildkitd.ts";
import { KubernetesDriver } from "./kubernetes.ts";
import { RemoteDriver } from "./remote.ts";
import { ObjectName } from "./shared.ts";

/** The sizes that a volume has to hold; both of `size` and the space are quantities. */
const gcFitsVolume = ["reservedSpace", "maxUsedSpace"].flatMap((space) =>
  ["storage", "tmpfs"].map((place) =>
    cel(
      [
        `!has(self.kubernetes) || !has(self.kubernetes.${place})`,
        "!has(self.buildkitd) || !has(self.buildkitd.gc)",
        `!has(self.buildkitd.gc.${space})`,
        `quantity(string(self.buildkitd.gc.${space})).compareTo(quantity(string(self.kubernetes.${place}.size))) <= 0`,
      ].join(" || "),
      `buildkitd.gc.${space} must not be larger than kubernetes.${place}.size: lower it or make the volume larger`,
      ".buildkitd",
    ),
  ),
);

const oneDriver = exactlyOne("spec", ["kubernetes", "remote"]);

/** What a Builder and a ClusterBuilder say alike. */
export const BuilderSpec = z
  .object({
    kubernetes: KubernetesDriver.optional().describe(
      "Run buildkitd as pods, made, upgraded and removed by Kiln.",
    ),
    remote: RemoteDriver.optional().describe("Use a buildkitd that someone else runs."),
    buildkitd: Buildkitd.optional().describe("Configuration of the daemon; only with kubernetes."),
    allow: section(Allow).describe("What it lets runs do, whatever a BuildRun says."),
    defaultLoad: z
      .boolean()
      .default(false)
      .describe(
        "Results that name no output are meant for the Docker engine of whoever builds. A BuildRun has no engine, so one without outputs is refused instead of leaving its result in the cache only.",
      ),
    maxConcurrentRuns: z
      .int()
      .min(1)
      .max(256)
      .default(4)
      .describe("How many runs an instance builds at once; the others wait in the queue."),
    drain: z
      .boolean()
      .default(false)
      .describe(
        "Take no new runs. Those that run have kubernetes.drainTimeout to end; what is left then is started again once the Builder takes runs, or elsewhere.",
      ),
    deletionPolicy: z
      .enum(["WaitForRuns", "CancelRuns"])
      .default("WaitForRuns")
      .describe(
        "What becomes of running builds when the Builder is deleted. WaitForRuns: they have kubernetes.drainTimeout to end; runs that are cut then wait for a Builder of this name. CancelRuns: they are cancelled.",
      ),
    serviceAccountName: ObjectName.default("default").describe(
      "Service account with whose rights the Secrets named here are read. For a ClusterBuilder: in the namespace of Kiln.",
    ),
  })
  .refine(
    (spec) => (spec.kubernetes === undefined) !== (spec.remote === undefined),
    oneDriver.message,
  )
  .meta(
    rules(
      oneDriver,
      cel(
        "!has(self.buildkitd) || has(self.kubernetes)",
        "buildkitd needs the kubernetes driver: a remote daemon is configured where it runs, so remove buildkitd",
        ".buildkitd",
      ),
      cel(
        "!has(self.allow.frontends) || has(self.kubernetes)",
        "allow.frontends needs the kubernetes driver: a remote daemon is told its frontends where it runs, so remove it",
        ".allow",
      ),
      ...gcFitsVolume,
    ),
  );

/** Spec of a Builder, after defaults. */
export type BuilderSpec = z.output<typeof BuilderSpec>;
/** Spec of a Builder, as a person writes it. */
export type BuilderSpecInput = z.input<typeof BuilderSpec>;

/** The driver block that a Builder sets; the API server refuses none and both. */
export function driverOf(spec: BuilderSpec) {
  const { kubernetes, remote } = spec;
  return only({ kubernetes, remote } as OneOf<{
    kubernetes: KubernetesDriver;
    remote: RemoteDriver;
  }>);
}
