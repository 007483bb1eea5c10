// Pieces of a pod that a person may set on a Builder: tolerations, environment, volumes, spreading.
// Named and shaped as in Kubernetes, so that what works in a Deployment works here.

import { z } from "zod";
import { cel, open, rules, text } from "../../schema.ts";
import { DataKey, ImageRef, ObjectName } from "../shared.ts";

/** A taint that the instances tolerate, as in a pod. */
export const Toleration = z
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

/** How instances are spread; Kiln fills in the selector of the Builder's own pods. */
export const TopologySpread = z.object({
  topologyKey: z
    .string()
    .min(1)
    .max(317)
    .describe("Node label whose values are the places, such as topology.kubernetes.io/zone."),
  maxSkew: z.int().min(1).max(64).default(1).describe("How uneven the spread may be."),
  whenUnsatisfiable: z
    .enum(["DoNotSchedule", "ScheduleAnyway"])
    .default("ScheduleAnyway")
    .describe("What happens to an instance that would make it more uneven."),
  minDomains: z
    .int()
    .min(1)
    .max(64)
    .optional()
    .describe("How many places there should be at least; only with DoNotSchedule."),
});

const KeyOf = (kind: "Secret" | "ConfigMap") =>
  z.object({
    name: ObjectName.describe(`Name of the ${kind}, in the namespace of the pods.`),
    key: DataKey.describe(`Key in the ${kind}.`),
    optional: z.boolean().optional().describe(`Whether the ${kind} or its key may be missing.`),
  });

const EnvSource = z
  .object({
    secretKeyRef: KeyOf("Secret").optional().describe("Key of a Secret."),
    configMapKeyRef: KeyOf("ConfigMap").optional().describe("Key of a ConfigMap."),
    fieldRef: z
      .object({
        fieldPath: z.string().min(1).max(256).describe("Field of the pod, such as spec.nodeName."),
      })
      .optional()
      .describe("A field of the pod."),
    resourceFieldRef: z
      .object({
        resource: z.string().min(1).max(64).describe("Resource, such as limits.cpu."),
        divisor: z.string().max(32).optional().describe("Unit of the value, such as 1Mi."),
      })
      .optional()
      .describe("A resource of buildkitd's container."),
  })
  .meta(
    rules(
      cel(
        "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef), has(self.resourceFieldRef)].exists_one(x, x)",
        "valueFrom must set exactly one of secretKeyRef, configMapKeyRef, fieldRef, resourceFieldRef: keep one and remove the others",
      ),
    ),
  );

/** A variable of buildkitd's environment. */
export const EnvVar = z
  .object({
    name: text(
      { max: 256 },
      {
        matches: /^[A-Za-z_][A-Za-z0-9_.-]*$/,
        message:
          "must be the name of a variable: letters, digits, '_', '-' and '.', not beginning with a digit",
      },
    ).describe("Name of the variable."),
    value: z.string().max(16384).optional().describe("Its value."),
    valueFrom: EnvSource.optional().describe("Where its value comes from."),
  })
  .meta(
    rules(
      cel(
        "!has(self.value) || !has(self.valueFrom)",
        "a variable has value or valueFrom, not both: remove one",
      ),
    ),
  );

const volumeName = text(
  { max: 63 },
  {
    matches: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
    message: "must be the name of a volume: lower-case letters, digits and '-'",
  },
  {
    lacks: /^(state|tls|config|socket|kiln-.*)$/,
    message:
      "state, tls, config, socket and names that begin with kiln- are Kiln's own: use another",
  },
);

/** A volume of the pods, with one source as in Kubernetes. */
export const Volume = open({
  name: volumeName.describe("Name that volumeMounts refer to."),
});

/** Where a volume of `volumes` appears in buildkitd's container. */
export const VolumeMount = z.object({
  name: volumeName.describe("Name of an entry of volumes."),
  mountPath: text(
    { max: 1024 },
    { matches: /^\/[^:]*$/, message: "must be an absolute path without ':'" },
    {
      lacks:
        /^\/(etc\/kiln|run\/buildkit|run\/user|var\/lib\/buildkit\/?$|home\/user\/\.local\/share\/buildkit\/?$)/,
      message:
        "/etc/kiln, buildkitd's socket and its state are Kiln's own: choose another path, or storage or tmpfs for the state",
    },
  ).describe("Path in buildkitd's container."),
  subPath: z.string().min(1).max(1024).optional().describe("Path inside the volume to mount."),
  readOnly: z.boolean().optional().describe("Whether buildkitd may only read it."),
  mountPropagation: z
    .enum(["None", "HostToContainer", "Bidirectional"])
    .optional()
    .describe("Whether mounts made later are seen inside or outside."),
});

/** A key of a Secret or ConfigMap that holds certificates in PEM. */
export const CertificateSource = z
  .object({
    secretKeyRef: z
      .object({
        name: ObjectName.describe("Name of the Secret."),
        key: DataKey.describe("Its key."),
      })
      .optional()
      .describe("Key of a Secret in the namespace of the pods."),
    configMapKeyRef: z
      .object({
        name: ObjectName.describe("Name of the ConfigMap."),
        key: DataKey.describe("Its key."),
      })
      .optional()
      .describe("Key of a ConfigMap in the namespace of the pods."),
  })
  .meta(
    rules(
      cel(
        "[has(self.secretKeyRef), has(self.configMapKeyRef)].exists_one(x, x)",
        "trustedCertificates must set exactly one of secretKeyRef, configMapKeyRef: keep one and remove the other",
      ),
    ),
  );

const proxyUrl = (what: string) =>
  text(
    { max: 1024 },
    {
      matches: /^(https?|socks5):\/\/[^ /@]+\/?$/,
      message:
        "must be written http://host:port without a user and password: for those use env with a secretKeyRef",
    },
  )
    .optional()
    .describe(what);

/** Proxies of buildkitd itself: pulls, pushes, git and http sources. */
export const Proxy = z.object({
  httpProxy: proxyUrl("Proxy for http URLs (HTTP_PROXY)."),
  httpsProxy: proxyUrl("Proxy for https URLs (HTTPS_PROXY)."),
  noProxy: z
    .array(z.string().min(1).max(253))
    .max(64)
    .default([])
    .describe("Hosts, domains and CIDRs that are reached without a proxy (NO_PROXY)."),
});

/** Emulation of foreign platforms, installed by an init container. */
export const Qemu = z.object({
  install: z
    .boolean()
    .default(false)
    .describe(
      "Install QEMU for foreign platforms on the node when a pod starts. Its init container is privileged in every security mode.",
    ),
  image: ImageRef.default("docker.io/tonistiigi/binfmt:latest").describe(
    "Image that installs it; it is run with the arguments --install all.",
  ),
});
