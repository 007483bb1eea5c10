// What a person may say about the pods of a Builder: every option of buildx's kubernetes driver, and
// what a Deployment can be told besides.

import { z } from "zod";
import {
  cel,
  duration,
  listMap,
  listSet,
  open,
  quantity,
  type Rule,
  rules,
  section,
  textMap,
} from "../../schema.ts";
import {
  CertificateSource,
  EnvVar,
  Proxy,
  Qemu,
  Toleration,
  TopologySpread,
  Volume,
  VolumeMount,
} from "./pod-parts.ts";
import { ImageRef, ObjectName, Platform, SecretRef } from "../shared.ts";

const Quantities = z
  .record(z.string(), quantity())
  .refine((map) => Object.keys(map).length <= 16, "at most 16 entries")
  .meta({ maxProperties: 16 });

const reservedKeys = (what: string): Rule =>
  cel(
    "self.all(k, !k.startsWith('kiln.build/') && !k.startsWith('app.kubernetes.io/'))",
    `${what} under kiln.build/ and app.kubernetes.io/ are set by Kiln: use a prefix of your own`,
  );

const keepOrDelete = z.enum(["Retain", "Delete"]);

const Storage = z.object({
  size: quantity().describe("Size of the volume for cache and state, for example 100Gi."),
  storageClassName: ObjectName.optional().describe(
    "StorageClass of the volume. Default: the cluster's default class.",
  ),
  accessMode: z
    .enum(["ReadWriteOnce", "ReadWriteOncePod"])
    .default("ReadWriteOnce")
    .describe("Access mode of the volume; each instance has its own."),
  whenDeleted: keepOrDelete
    .default("Delete")
    .describe(
      "What happens to the volumes when the Builder goes. Retain: a Builder of the same name finds its cache again.",
    ),
  whenScaled: keepOrDelete
    .default("Retain")
    .describe("What happens to the volume of an instance that goes because there are fewer."),
});

const Scaling = z
  .object({
    min: z.int().min(0).max(64).default(0).describe("Instances that are kept without any run."),
    max: z.int().min(1).max(64).describe("Instances at most."),
    idleTimeout: duration("1s", "24h")
      .default("10m")
      .describe("How long an instance without runs is kept."),
    keepWarm: duration("1s", "24h")
      .optional()
      .describe(
        "Keep an idle instance longer than idleTimeout, up to this long, when runs usually come that far apart: twice the median gap between the last runs.",
      ),
    maxStarting: z
      .int()
      .min(1)
      .max(64)
      .default(4)
      .describe("Instances that may be starting at once."),
  })
  .meta(
    rules(
      cel("self.min <= self.max", "min must not be larger than max: lower it or raise max", ".min"),
    ),
  );

/** Driver `kubernetes`: buildkitd pods that Kiln makes. */
export const KubernetesDriver = z
  .object({
    image: ImageRef.optional().describe(
      "Image of buildkitd. Default: the image the controller was started with, for the chosen security.",
    ),
    imagePullPolicy: z
      .enum(["Always", "IfNotPresent", "Never"])
      .default("IfNotPresent")
      .describe("When the node pulls the image of buildkitd."),
    imagePullSecrets: listMap(SecretRef, ["name"], 16)
      .default([])
      .describe("Secrets with which the node pulls the image of buildkitd."),
    security: z
      .enum(["Privileged", "Rootless", "UserNamespace"])
      .default("Rootless")
      .describe(
        "How buildkitd is confined. Rootless runs as user 1000 without privileges. UserNamespace is privileged inside a user namespace of the pod's own (hostUsers: false), where root is nobody on the node. Privileged is root on the node.",
      ),
    replicas: z
      .int()
      .min(1)
      .max(64)
      .optional()
      .describe(
        "How many buildkitd instances run, always. Each has a cache of its own. Default: 1, without scaling.",
      ),
    scaling: Scaling.optional().describe("Instances that come and go with the runs."),
    platforms: listSet(Platform, 16)
      .default([])
      .describe(
        "Platforms that the instances are used for. None: what BuildKit says of itself, and while scaling has none, what it said last.",
      ),
    isolation: z
      .enum(["Shared", "PerRun"])
      .default("Shared")
      .describe(
        "PerRun: each run has an instance of its own, which is deleted after it. Needs scaling; no cache is kept on a volume.",
      ),
    loadBalance: z
      .enum(["Sticky", "Random"])
      .default("Sticky")
      .describe(
        "Which instance a run goes to. Sticky: the one that has the cache of its repository, while it has room. Random: any.",
      ),
    startupTimeout: duration("10s", "1h")
      .default("2m")
      .describe("How long buildkitd may take to answer after its container started."),
    resources: z
      .object({
        requests: Quantities.optional().describe("What the scheduler reserves for each instance."),
        limits: Quantities.optional().describe("What each instance may use at most."),
      })
      .optional()
      .describe("CPU, memory and ephemeral storage of each instance."),
    agentResources: z
      .object({
        requests: Quantities.optional().describe("Default: 50m of CPU and 128Mi of memory."),
        limits: Quantities.optional().describe(
          "Default: 512Mi of memory, and 1 of CPU where resources limits CPU.",
        ),
      })
      .optional()
      .describe(
        "The same of the agent beside each instance, which holds what builds send and fetch. What is left out stays as it is by default.",
      ),
    nodeSelector: textMap({ max: 32, key: 317, value: 63 })
      .optional()
      .describe("Labels a node must have to run the instances."),
    affinity: open({})
      .optional()
      .describe("Affinity of the pods to nodes and to other pods, as in a pod."),
    topologySpreadConstraints: listMap(TopologySpread, ["topologyKey", "whenUnsatisfiable"], 8)
      .default([])
      .describe("How the instances are spread over zones or nodes."),
    tolerations: z
      .array(Toleration)
      .max(32)
      .optional()
      .describe("Taints that the instances tolerate."),
    priorityClassName: ObjectName.optional().describe("PriorityClass of the pods."),
    runtimeClassName: ObjectName.optional().describe(
      "RuntimeClass of the pods, for example one of a sandboxed runtime.",
    ),
    schedulerName: ObjectName.optional().describe("Scheduler of the pods."),
    serviceAccountName: ObjectName.optional().describe(
      "Service account of the pods, for clouds that give identities to them. Default: the namespace's default account.",
    ),
    automountServiceAccountToken: z
      .boolean()
      .default(false)
      .describe(
        "Mount the token of serviceAccountName. Whoever breaks out of a build has it then.",
      ),
    annotations: textMap({ max: 64, key: 317, value: 16384 }, reservedKeys("annotations"))
      .optional()
      .describe("Annotations for the pods and all objects around them."),
    labels: textMap({ max: 32, key: 317, value: 63 }, reservedKeys("labels"))
      .optional()
      .describe("Labels for the pods and all objects around them; no selector has them."),
    env: listMap(EnvVar, ["name"], 128).default([]).describe("Environment of buildkitd."),
    proxy: Proxy.optional().describe("Proxies that buildkitd itself goes through."),
    trustedCertificates: CertificateSource.optional().describe(
      "Authorities, in PEM, that buildkitd trusts besides those of its image: for registries and http sources.",
    ),
    volumes: listMap(Volume, ["name"], 32).default([]).describe("More volumes of the pods."),
    volumeMounts: listMap(VolumeMount, ["mountPath"], 32)
      .default([])
      .describe("Where buildkitd finds them."),
    drainTimeout: duration("1s", "24h")
      .default("10m")
      .describe(
        "How long an instance that is told to end lets running builds end. It takes no new ones meanwhile; what is left then is started again elsewhere.",
      ),
    diskPressureThreshold: z
      .int()
      .min(10)
      .max(99)
      .default(90)
      .describe(
        "Percent of an instance's disk above which it takes no new run and old cache is removed, until it is 5 below.",
      ),
    storage: Storage.optional().describe(
      "Volume that keeps the cache of an instance when its pod is replaced. Without it the cache lives and dies with the pod.",
    ),
    tmpfs: z
      .object({ size: quantity().describe("Its size; it counts as memory of the pod.") })
      .optional()
      .describe("Keep cache and state in memory."),
    localCaches: z
      .object({
        size: quantity()
          .optional()
          .describe("The most that they may take, beside buildkitd's state."),
        claimName: ObjectName.optional().describe(
          "PersistentVolumeClaim to keep them on, which every instance mounts. Its root must be writable for the agent's user, 65532 (1000 with Rootless). Default: a volume that lives and dies with the pod.",
        ),
      })
      .optional()
      .describe("Keep caches of kind local, which runs name in cache.from and cache.to."),
    qemu: section(Qemu).describe("Emulation of foreign platforms."),
    podTemplatePatch: open({})
      .optional()
      .describe(
        "Strategic merge patch of the pod template, for everything that has no field here: {metadata, spec}. It is applied last.",
      ),
  })
  // Server-side apply drops an object that its manager left empty and only defaults have filled, and with it
  // the driver: `kubernetes: {}` could be applied once (structured-merge-diff v6, merge.prune).
  .meta({ "x-kubernetes-map-type": "atomic" })
  .meta(
    rules(
      cel(
        "!has(self.storage) || !has(self.tmpfs)",
        "storage and tmpfs are both places for the cache: remove one",
        ".tmpfs",
      ),
      cel(
        "!has(self.scaling) || !has(self.replicas)",
        "replicas and scaling both say how many instances there are: remove one",
        ".replicas",
      ),
      cel(
        "self.isolation != 'PerRun' || (has(self.scaling) && !has(self.storage))",
        "isolation PerRun makes an instance for each run: set scaling, and remove storage",
        ".isolation",
      ),
      cel(
        "!self.automountServiceAccountToken || has(self.serviceAccountName)",
        "automountServiceAccountToken needs serviceAccountName: say whose token, or remove it",
        ".automountServiceAccountToken",
      ),
      cel(
        "self.volumeMounts.all(m, self.volumes.exists(v, v.name == m.name))",
        "every name in volumeMounts must be one of volumes: add the volume or correct the name",
        ".volumeMounts",
      ),
    ),
  );

/** The `kubernetes` driver block, after defaults. */
export type KubernetesDriver = z.output<typeof KubernetesDriver>;
