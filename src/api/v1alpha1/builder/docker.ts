// What a person may write about Docker engines: the BuildKit inside one, and a buildkitd in a container on one. Every option
// of buildx's docker-container driver has a field.

import { z } from "zod";
import { cel, listMap, quantity, rules, text, textMap } from "../../schema.ts";
import { connectionRules, engineConnection } from "./connections.ts";
import { ImageRef } from "../shared.ts";

/** The `docker` driver block. */
export const DockerDriver = z.object(engineConnection).meta(connectionRules());

const engineName = (max: number) =>
  text(
    { max },
    {
      matches: /^[A-Za-z0-9][A-Za-z0-9_.-]*$/,
      message: "must be letters, digits, '_', '.' and '-', beginning with a letter or digit",
    },
  );

const cpuSet = text(
  { max: 256 },
  { matches: /^[0-9]+([,-][0-9]+)*$/, message: "must be numbers and ranges, such as 0-3,7" },
);

const Variable = z.object({
  name: text(
    { max: 256 },
    { matches: /^[A-Za-z_][A-Za-z0-9_.-]*$/, message: "must be the name of a variable" },
  ).describe("Name of the variable."),
  value: z.string().max(4096).default("").describe("Its value."),
});

/** The `dockerContainer` driver block. */
export const DockerContainerDriver = z
  .object({
    ...engineConnection,
    containerName: engineName(128)
      .optional()
      .describe(
        "Name of the container; its volume has the same with _state behind it. Default: kiln_<namespace>_<name>.",
      ),
    adopt: z
      .boolean()
      .default(false)
      .describe(
        "Take over a container of that name that was not made for this Builder, such as one of buildx: it is made anew as this Builder says, and its volume is kept.",
      ),
    image: ImageRef.optional().describe("Image of buildkitd. Default: the one of the controller."),
    allowUntrustedImage: z
      .boolean()
      .default(false)
      .describe("Whether image may be another than moby/buildkit. It runs privileged."),
    network: text(
      { max: 128 },
      {
        matches: /^[A-Za-z0-9][A-Za-z0-9_.:-]*$/,
        message: "must be the name of a network, host, none or container:<name>",
      },
    )
      .optional()
      .describe("Network of the container: host, or the name of one. Default: the bridge."),
    memory: quantity().optional().describe("How much memory it may use, for example 4Gi."),
    memorySwap: quantity().optional().describe("How much memory and swap together it may use."),
    unlimitedSwap: z.boolean().default(false).describe("Swap without a limit (memory-swap=-1)."),
    cpuPeriod: z.int().min(1000).max(1_000_000).optional().describe("CFS period, microseconds."),
    cpuQuota: z
      .int()
      .min(1000)
      .max(1_000_000_000)
      .optional()
      .describe("CFS quota, microseconds of each period."),
    cpuShares: z.int().min(2).max(262_144).optional().describe("Weight of its CPU time."),
    cpusetCpus: cpuSet.optional().describe("CPUs it may use, such as 0-3."),
    cpusetMems: cpuSet.optional().describe("Memory nodes it may use."),
    cgroupParent: text(
      { max: 256 },
      { matches: /^[A-Za-z0-9/_.-]+$/, message: "must be the name of a control group" },
    )
      .default("/docker/buildx")
      .describe("Control group above that of the container, where the engine uses cgroupfs."),
    restartPolicy: text(
      { max: 32 },
      {
        matches: /^(no|always|unless-stopped|on-failure(:[0-9]{1,4})?)$/,
        message: "must be no, always, unless-stopped or on-failure[:retries]",
      },
    )
      .default("unless-stopped")
      .describe("When the engine starts the container again."),
    env: listMap(Variable, ["name"], 64)
      .default([])
      .describe("Environment variables of buildkitd."),
    githubContext: textMap({ max: 64, key: 128, value: 4096 })
      .optional()
      .describe(
        "Facts of the GitHub Actions workflow that the Builder belongs to, such as GITHUB_REPOSITORY: they stand in the provenance of its builds.",
      ),
    whenDeleted: z
      .enum(["Retain", "Delete"])
      .default("Delete")
      .describe(
        "What happens to the volume with cache and state when the Builder goes. Retain: a Builder of the same name finds its cache again.",
      ),
  })
  .meta(
    rules(
      ...(connectionRules()["x-kubernetes-validations"] as ReturnType<typeof cel>[]),
      cel(
        "!has(self.image) || self.allowUntrustedImage || self.image.matches('^(docker[.]io/)?moby/buildkit(:[^@]*)?(@.*)?$')",
        "image is none of moby/buildkit and runs privileged: set allowUntrustedImage if you trust it",
        ".image",
      ),
      cel(
        "!self.unlimitedSwap || !has(self.memorySwap)",
        "unlimitedSwap and memorySwap contradict each other: remove one",
        ".memorySwap",
      ),
      cel(
        "has(self.memory) || !(has(self.memorySwap) || self.unlimitedSwap)",
        "swap is limited together with memory: add memory",
        ".memorySwap",
      ),
      cel(
        "!self.adopt || has(self.containerName)",
        "adopt needs containerName: which container is to be taken over",
        ".adopt",
      ),
    ),
  );

/** The `docker` driver block. */
export type DockerDriver = z.output<typeof DockerDriver>;
/** The `dockerContainer` driver block. */
export type DockerContainerDriver = z.output<typeof DockerContainerDriver>;
