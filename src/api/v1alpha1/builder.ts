// What a person may write in a Builder or a ClusterBuilder: where BuildKit runs, and how much of it.

import { z } from "zod";
import {
  cel,
  exactlyOne,
  listMap,
  only,
  type OneOf,
  quantity,
  rules,
  text,
  textMap,
} from "../schema.ts";
import { ImageRef, ObjectName, SecretRef } from "./shared.ts";

const Quantities = z
  .record(z.string(), quantity())
  .refine((map) => Object.keys(map).length <= 16, "at most 16 entries")
  .meta({ maxProperties: 16 });

const Toleration = z
  .object({
    key: z.string().max(317).optional().describe("Taint key; empty with Exists tolerates all."),
    operator: z.enum(["Exists", "Equal"]).optional().describe("How key and value are compared."),
    value: z.string().max(63).optional().describe("Taint value that Equal compares with."),
    effect: z
      .enum(["NoSchedule", "PreferNoSchedule", "NoExecute"])
      .optional()
      .describe("Taint effect to tolerate; none means all."),
    tolerationSeconds: z
      .int()
      .min(0)
      .max(31_536_000)
      .optional()
      .describe("How long a NoExecute taint is tolerated, in seconds; none means for ever."),
  })
  .meta(
    rules(
      cel(
        "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
        "value must be empty when operator is Exists: remove value or use operator Equal",
      ),
    ),
  );

const reservedKeys = (what: string) =>
  cel(
    "self.all(k, !k.startsWith('kiln.build/') && !k.startsWith('app.kubernetes.io/'))",
    `${what} under kiln.build/ and app.kubernetes.io/ are set by Kiln: use a prefix of your own`,
  );

const Storage = z.object({
  size: quantity().describe("Size of the volume for cache and state, for example 100Gi."),
  storageClassName: ObjectName.optional().describe(
    "StorageClass of the volume. Default: the cluster's default class.",
  ),
  accessMode: z
    .enum(["ReadWriteOnce", "ReadWriteOncePod"])
    .default("ReadWriteOnce")
    .describe("Access mode of the volume; each instance has its own."),
});

/** Driver `kubernetes`: buildkitd pods that Kiln makes. */
export const KubernetesDriver = z.object({
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
    .enum(["Privileged", "Rootless"])
    .default("Rootless")
    .describe(
      "How buildkitd is confined. Rootless runs as user 1000 without privileges; Privileged is faster and needs a namespace that allows privileged pods.",
    ),
  replicas: z
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe("How many buildkitd instances run. Each has a cache of its own."),
  resources: z
    .object({
      requests: Quantities.optional().describe("What the scheduler reserves for each instance."),
      limits: Quantities.optional().describe("What each instance may use at most."),
    })
    .optional()
    .describe("CPU, memory and ephemeral storage of each instance."),
  nodeSelector: textMap({ max: 32, key: 317, value: 63 })
    .optional()
    .describe("Labels a node must have to run the instances."),
  tolerations: z
    .array(Toleration)
    .max(32)
    .optional()
    .describe("Taints that the instances tolerate."),
  annotations: textMap({ max: 64, key: 317, value: 16384 }, reservedKeys("annotations"))
    .optional()
    .describe("Annotations for the pods."),
  labels: textMap({ max: 32, key: 317, value: 63 }, reservedKeys("labels"))
    .optional()
    .describe("Labels for the pods."),
  priorityClassName: ObjectName.optional().describe("PriorityClass of the pods."),
  runtimeClassName: ObjectName.optional().describe(
    "RuntimeClass of the pods, for example one of a sandboxed runtime.",
  ),
  storage: Storage.optional().describe(
    "Volume that keeps the cache of an instance when its pod is replaced. Without it the cache lives and dies with the pod.",
  ),
});

const RemoteDriver = z
  .object({
    endpoint: text(
      { max: 300 },
      {
        matches:
          /^(tcp:\/\/([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}|unix:\/\/\/[^ \p{Cc}]+)$/u,
        message:
          "must be tcp://host:port or unix:///absolute/path, for example tcp://buildkitd.example.com:1234",
      },
    ).describe("Address of a running buildkitd: tcp://host:port or unix:///absolute/path."),
    tls: z
      .object({
        secretRef: SecretRef.describe(
          "Secret with ca.crt, tls.crt and tls.key (or ca.pem, cert.pem and key.pem): the authority that signed the server, and the client's certificate.",
        ),
        serverName: text(
          { max: 253 },
          {
            matches: /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/,
            message: "must be a host name, the one in the server's certificate",
          },
        )
          .optional()
          .describe("Name to expect in the server's certificate. Default: the host of endpoint."),
      })
      .optional()
      .describe(
        "Mutual TLS with the daemon. Without it the connection is neither secret nor safe.",
      ),
  })
  .meta(
    rules(
      cel(
        "!has(self.tls) || self.endpoint.startsWith('tcp://')",
        "tls needs a tcp:// endpoint: remove tls or change endpoint",
        ".tls",
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
    buildkitd: z
      .object({
        config: z
          .string()
          .min(1)
          .max(65536)
          .describe("Text of buildkitd.toml. It replaces the configuration of the controller."),
      })
      .optional()
      .describe("Configuration of the daemon; only with kubernetes."),
    maxConcurrentRuns: z
      .int()
      .min(1)
      .max(256)
      .default(4)
      .describe("How many runs an instance builds at once; the others wait in the queue."),
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
    ),
  );

/** Spec of a Builder, after defaults. */
export type BuilderSpec = z.output<typeof BuilderSpec>;
/** Spec of a Builder, as a person writes it. */
export type BuilderSpecInput = z.input<typeof BuilderSpec>;
/** The `kubernetes` driver block, after defaults. */
export type KubernetesDriver = z.output<typeof KubernetesDriver>;
/** The `remote` driver block. */
export type RemoteDriver = z.output<typeof RemoteDriver>;

/** The driver block that a Builder sets; the API server refuses none and both. */
export function driverOf(spec: BuilderSpec) {
  const { kubernetes, remote } = spec;
  return only({ kubernetes, remote } as OneOf<{
    kubernetes: KubernetesDriver;
    remote: RemoteDriver;
  }>);
}
