// What a person may write in a Builder or a ClusterBuilder: where BuildKit runs, and how much of it.

import { z } from "zod";
import { cel, duration, exactlyOne, listMap, listSet, rules, section, text } from "../../schema.ts";
import { Allow } from "./allow.ts";
import { Buildkitd } from "./buildkitd.ts";
import { DockerContainerDriver, DockerDriver } from "./docker.ts";
import { KubernetesDriver } from "./kubernetes.ts";
import { RemoteDriver } from "./remote.ts";
import { ObjectName, Platform } from "../shared.ts";

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

const drivers = ["kubernetes", "remote", "docker", "dockerContainer"] as const;
const oneDriver = cel(
  [
    `[${drivers.map((name) => `has(self.${name})`).join(", ")}].filter(x, x).size()`,
    "(size(self.nodes) == 0 || has(self.kubernetes) ? 1 : 0)",
  ].join(" == "),
  "spec must set exactly one of kubernetes, remote, docker, dockerContainer, or nodes (alone or beside kubernetes): keep one and remove the others",
);
const podsInOnePlace = cel(
  "!has(self.kubernetes) || !self.nodes.exists(n, has(n.kubernetes))",
  "spec.kubernetes and nodes with kubernetes are both pods: move spec.kubernetes into a node of its own",
  ".kubernetes",
);

const nodeDrivers = drivers;
const oneNodeDriver = exactlyOne("a node", nodeDrivers);
/** What nobody can ask for its platforms until it runs. */
const emptyNamesPlatforms = cel(
  "!has(self.kubernetes) || !has(self.kubernetes.scaling) || self.kubernetes.scaling.min > 0 || size(self.platforms) > 0 || size(self.kubernetes.platforms) > 0",
  "pods that come with the runs (scaling.min 0) must say what they build for: set platforms, or raise min",
  ".platforms",
);

const Node = z
  .object({
    name: text(
      { max: 40 },
      {
        matches: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
        lacks: /^(cluster)?builder-/,
        message:
          "must be lower-case letters, digits and '-', and not begin with builder- as names of pods do",
      },
    ).describe("Name of the instance; of pods, what their names and labels have in common."),
    platforms: listSet(Platform, 16)
      .default([])
      .describe("Platforms that it is used for. None: what BuildKit says of itself."),
    kubernetes: KubernetesDriver.optional().describe(
      "Pods of one kind, made, upgraded and removed by Kiln. Not beside spec.kubernetes.",
    ),
    remote: RemoteDriver.optional().describe("A buildkitd that someone else runs."),
    docker: DockerDriver.optional().describe("The BuildKit inside a Docker engine."),
    dockerContainer: DockerContainerDriver.optional().describe(
      "A buildkitd in a container that Kiln makes on a Docker engine.",
    ),
  })
  .refine(
    (node) => nodeDrivers.filter((name) => node[name] !== undefined).length === 1,
    oneNodeDriver.message,
  )
  .meta(rules(oneNodeDriver, emptyNamesPlatforms));

/** What a Builder and a ClusterBuilder say alike. */
export const BuilderSpec = z
  .object({
    kubernetes: KubernetesDriver.optional().describe(
      "Run buildkitd as pods, made, upgraded and removed by Kiln.",
    ),
    remote: RemoteDriver.optional().describe("Use a buildkitd that someone else runs."),
    docker: DockerDriver.optional().describe("Use the BuildKit inside a Docker engine."),
    dockerContainer: DockerContainerDriver.optional().describe(
      "Run buildkitd in a container on a Docker engine, made, upgraded and removed by Kiln.",
    ),
    nodes: listMap(Node, ["name"], 8)
      .default([])
      .describe(
        "Several daemons, or pods of several kinds; drivers may be mixed. Alone, or beside the pods of kubernetes.",
      ),
    buildkitd: Buildkitd.optional().describe(
      "Configuration of the daemons that Kiln runs: with kubernetes and dockerContainer.",
    ),
    allow: section(Allow).describe("What it lets runs do, whatever a BuildRun says."),
    defaultLoad: z
      .boolean()
      .default(false)
      .describe(
        "Load the result of a run that names no output into the Docker engine behind a docker or dockerContainer node, as an image without a name. On a Builder without an engine such a run is refused, instead of leaving its result in the cache only.",
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
        "Take no new runs. Those that run have kubernetes.drainTimeout to end, or drainTimeout where the daemon is no pod; what is left then is started again once the Builder takes runs, or elsewhere.",
      ),
    drainTimeout: duration("1s", "24h")
      .default("10m")
      .describe(
        "How long daemons that are no pods of kubernetes let running builds end when the Builder drains or is deleted, or a container is made anew.",
      ),
    deletionPolicy: z
      .enum(["WaitForRuns", "CancelRuns"])
      .default("WaitForRuns")
      .describe(
        "What becomes of running builds when the Builder is deleted. WaitForRuns: they have as long to end as with drain; runs that are cut then wait for a Builder of this name. CancelRuns: they are cancelled.",
      ),
    serviceAccountName: ObjectName.default("default").describe(
      "Service account with whose rights the Secrets named here are read. For a ClusterBuilder: in the namespace of Kiln.",
    ),
  })
  .refine(hasOneDriver, oneDriver.message)
  .meta(
    rules(
      oneDriver,
      podsInOnePlace,
      cel(
        "!has(self.buildkitd) || has(self.kubernetes) || has(self.dockerContainer) || self.nodes.exists(n, has(n.kubernetes) || has(n.dockerContainer))",
        "buildkitd needs the kubernetes or the dockerContainer driver: another daemon is configured where it runs, so remove buildkitd",
        ".buildkitd",
      ),
      cel(
        "!has(self.allow.frontends) || !(has(self.remote) || has(self.docker) || self.nodes.exists(n, has(n.remote) || has(n.docker)))",
        "allow.frontends needs daemons that Kiln configures, with kubernetes or dockerContainer: another daemon is told its frontends where it runs, so remove it",
        ".allow",
      ),
      ...gcFitsVolume,
    ),
  );

/** Spec of a Builder, after defaults. */
export type BuilderSpec = z.output<typeof BuilderSpec>;
/** Spec of a Builder, as a person writes it. */
export type BuilderSpecInput = z.input<typeof BuilderSpec>;

function hasOneDriver(
  spec: Readonly<Partial<Record<(typeof drivers)[number], unknown>>> & {
    readonly nodes: readonly unknown[];
  },
): boolean {
  const count = drivers.filter((name) => spec[name] !== undefined).length;
  return count === (spec.nodes.length === 0 || spec.kubernetes !== undefined ? 1 : 0);
}
