// What a person may write in a BuildRun: everything `docker buildx build` can be asked for, in
// Kubernetes style. The spec never changes after it was applied, but for `cancel` and retention.

import { z } from "zod";
import {
  cel,
  duration,
  listMap,
  listSet,
  oneOf,
  quantity,
  rules,
  section,
  text,
  textMap,
} from "../../schema.ts";
import { Attestations } from "./attestations.ts";
import { Cache } from "./caches.ts";
import { BuildContext, NamedContext } from "./context.ts";
import { Output } from "./outputs.ts";
import {
  DataKey,
  ImageRef,
  ObjectName,
  Platform,
  RelativePath,
  runOnce,
  SecretRef,
} from "../shared.ts";
import { SourcePolicy } from "./source-policy.ts";
import { Entitlements, HostAliases, Network, StepResources, Ulimits } from "./step-options.ts";

/** `spec.builderRef`. */
export const BuilderReference = z.object({
  kind: z
    .enum(["Builder", "ClusterBuilder"])
    .default("Builder")
    .describe("Builder: of this namespace. ClusterBuilder: of the whole cluster."),
  name: ObjectName.describe("Name of the Builder or ClusterBuilder."),
});

/** A key of a ConfigMap or Secret. */
export const KeyRef = z.object({
  name: ObjectName.describe("Name of the object, in the same namespace."),
  key: DataKey.describe("Key in it."),
});

const Dockerfile = oneOf("dockerfile", {
  path: RelativePath.describe("Path of the Dockerfile in the context."),
  inline: z.string().min(1).max(131072).describe("Text of the Dockerfile, up to 128 KiB."),
  configMap: KeyRef.describe(
    "Dockerfile in a ConfigMap; a key beside it named <key>.dockerignore says what of the context is left out.",
  ),
  buildContext: z
    .object({
      name: text({ max: 400 }).describe("Name of the context."),
      path: RelativePath.default("Dockerfile").describe(
        "Path of the Dockerfile there; a http context is the file itself.",
      ),
    })
    .describe("Dockerfile in one of spec.buildContexts, of any kind."),
});

const ValueSource = oneOf("valueFrom", {
  configMapKeyRef: KeyRef.describe("Key of a ConfigMap."),
  secretKeyRef: KeyRef.describe(
    "Key of a Secret. Its value can be read from the image and its provenance, as any build arg: secrets of steps belong in spec.secrets.",
  ),
});

const BuildArg = z
  .object({
    name: text(
      { max: 256 },
      {
        matches: /^[A-Za-z_][A-Za-z0-9_.-]*$/,
        message:
          "must be the name of an ARG: letters, digits, '_', '-' and '.', not beginning with a digit",
      },
      {
        // It makes BuildKit run another frontend image, chosen past the Builder's owner (CVE-2026-33747).
        lacks: /^BUILDKIT_SYNTAX$/,
        message:
          "BUILDKIT_SYNTAX is refused because it replaces the build frontend: name the frontend in a '# syntax=' line of the Dockerfile",
      },
    ).describe("Name of the ARG."),
    value: z
      .string()
      .max(16384)
      .default("")
      .describe(
        "Value of the ARG. It can be read from the image and its provenance: no secrets here.",
      ),
    valueFrom: ValueSource.optional().describe(
      "Where the value is kept, instead of value; the service account of the run must be allowed to get it.",
    ),
  })
  .meta(
    rules(
      cel(
        "!has(self.valueFrom) || self.value == ''",
        "value and valueFrom say the same: remove one",
        ".valueFrom",
      ),
      cel(
        "!has(self.valueFrom) || self.name != 'BUILDKIT_CACHE_MOUNT_NS'",
        "BUILDKIT_CACHE_MOUNT_NS is completed by Kiln and must be written out: use value",
        ".valueFrom",
      ),
    ),
  );

/** A value that anybody may read who may read the image or the record of its build: no Secret fits. */
const PlainSource = z.object({ configMapKeyRef: KeyRef.describe("Key of a ConfigMap.") });

const LabelFrom = z.object({
  name: text({ max: 256 }).describe("Name of the label."),
  valueFrom: PlainSource.describe("Where its value is kept."),
});

const optionFields = [
  ...["source", "cmdline", "build-arg:BUILDKIT_SYNTAX", "filename", "target", "platform"],
  ...["context", "frontend.caps", "requestid"],
];
const notOptions = `[${optionFields.map((name) => `'${name}'`).join(", ")}]`;
const saidElsewhere =
  "a field of the BuildRun says this already: use frontend.image, dockerfile.path, target, platforms or context";

const OptionFrom = z.object({
  name: text(
    { max: 256 },
    {
      lacks: new RegExp(`^(${optionFields.map((name) => name.replace(".", "\\.")).join("|")})$`),
      message: saidElsewhere,
    },
  ).describe("Name of the option."),
  valueFrom: PlainSource.describe("Where its value is kept."),
});

const Frontend = z.object({
  image: ImageRef.describe("Image of the frontend; the Builder may allow some only."),
  options: textMap(
    { max: 64, key: 256, value: 16384 },
    cel(`self.all(k, !(k in ${notOptions}))`, saidElsewhere),
  )
    .default({})
    .describe("Options of the frontend beside those that fields of the run stand for."),
  optionsFrom: listMap(OptionFrom, ["name"], 32)
    .default([])
    .describe(
      "Options whose values are kept in ConfigMaps. What the run says itself, or Kiln sets, holds against them.",
    ),
});

/** One entry of `spec.ssh`. */
export const SshKeys = z.object({
  id: text(
    { max: 128 },
    {
      matches: /^[A-Za-z0-9_.-]+$/,
      message: "must be the id of RUN --mount=type=ssh,id=…: letters, digits, '_', '.' and '-'",
    },
  )
    .default("default")
    .describe("Id by which RUN --mount=type=ssh,id=<id> asks; default is the one without an id."),
  secretRef: SecretRef.describe(
    "Secret of type kubernetes.io/ssh-auth: its ssh-privatekey, unencrypted. Steps can sign with it and never see it.",
  ),
});

/** One entry of `spec.secrets`. */
export const SecretMount = z.object({
  id: text(
    { max: 253 },
    {
      matches: /^[A-Za-z0-9_.][A-Za-z0-9_./-]*$/,
      message: "must be the id of RUN --mount=type=secret,id=…: letters, digits and any of . _ - /",
    },
  ).describe("Id by which RUN --mount=type=secret,id=<id> asks for the secret."),
  secretKeyRef: z
    .object({
      name: ObjectName.describe("Name of the Secret, in the same namespace."),
      key: DataKey.describe("Key in the Secret."),
    })
    .describe("Key of a Secret; the service account of the run must be allowed to get it."),
});

/** `spec.retry`. */
export const Retry = z.object({
  limit: z
    .int()
    .min(0)
    .max(10)
    .default(2)
    .describe(
      "How often a run is started again after a failure of the builder, the infrastructure or the registry. A failing step is never retried.",
    ),
});

/** One entry of `spec.registryCredentials`. */
export const RegistryLogin = z.object({
  secretRef: SecretRef.describe("Secret of type kubernetes.io/dockerconfigjson."),
});

const fields = {
  builderRef: BuilderReference.optional().describe(
    "Where to build. Default: the Builder named default in the namespace, else the ClusterBuilder named default.",
  ),
  serviceAccountName: ObjectName.default("default").describe(
    "Service account whose rights decide which Secrets and ConfigMaps the run may use.",
  ),
  context: BuildContext.describe("Where the files come from."),
  dockerfile: Dockerfile.default({ path: "Dockerfile" }).describe("The Dockerfile."),
  target: text(
    { max: 128 },
    {
      matches: /^[A-Za-z0-9][A-Za-z0-9_.-]*$/,
      message: "must be the name or number of a stage of the Dockerfile",
    },
  )
    .optional()
    .describe("Stage to build. Default: the last one."),
  buildArgs: listMap(BuildArg, ["name"], 256).default([]).describe("Values for ARG instructions."),
  labels: textMap({ max: 128, key: 256, value: 4096 }).default({}).describe("Labels of the image."),
  labelsFrom: listMap(LabelFrom, ["name"], 32)
    .default([])
    .describe(
      "Labels whose values are kept in ConfigMaps. One of labels with the same name holds.",
    ),
  platforms: listSet(Platform.describe("One platform, such as linux/arm64."), 16)
    .default([])
    .describe("Platforms to build for. Default: the one of the builder."),
  frontend: Frontend.optional().describe(
    "Another frontend than BuildKit's own for Dockerfiles; it reads the file at dockerfile.path.",
  ),
  buildContexts: z
    .array(NamedContext)
    .max(16)
    .default([])
    .describe(
      "Further contexts by name, for FROM <name>, COPY --from=<name>, or instead of an image of that name.",
    ),
  ssh: listMap(SshKeys, ["id"], 16).default([]).describe("SSH keys for RUN --mount=type=ssh."),
  secrets: listMap(SecretMount, ["id"], 64)
    .default([])
    .describe("Secrets for RUN --mount=type=secret; they never get into the image."),
  call: text(
    { max: 128 },
    {
      matches: /^[A-Za-z][A-Za-z0-9._-]*$/,
      message:
        "must be check, outline, targets, or the name of another question that the frontend knows, without 'frontend.'",
    },
  )
    .optional()
    .describe(
      "Ask the frontend instead of building: check, outline, targets, or what else it knows. Outputs and cache exports are not made; the answer is in status.call.",
    ),
  noCache: z.boolean().default(false).describe("Run every step again."),
  noCacheFilter: listSet(
    text(
      { max: 128 },
      { matches: /^[A-Za-z0-9][A-Za-z0-9_.-]*$/, message: "must be the name of a stage" },
    ),
    64,
  )
    .default([])
    .describe("Stages whose steps run again; instead of noCache."),
  network: Network.optional().describe(
    "Network of RUN steps. Default: as the step says. host needs the entitlement network.host, which it asks for.",
  ),
  hostAliases: HostAliases.default([]).describe("Lines for /etc/hosts of RUN steps."),
  shmSize: quantity().optional().describe("Size of /dev/shm of RUN steps, such as 256Mi."),
  ulimits: Ulimits.default([]).describe("Limits of processes of RUN steps."),
  cgroupParent: text(
    { max: 512 },
    {
      matches: /^[A-Za-z0-9._:/-]+$/,
      lacks: /(^|\/)\.\.(\/|$)/,
      message: "must be a control group, without '..'",
    },
  )
    .optional()
    .describe("Control group above those of RUN steps, on the builder."),
  stepResources: StepResources.optional().describe("Limits of each RUN step."),
  entitlements: Entitlements.default([]).describe(
    "Rights beyond those of ordinary steps; the Builder must allow them.",
  ),
  attestations: section(Attestations).describe("What is attested of the images."),
  sourcePolicy: SourcePolicy.optional().describe(
    "Rules for the sources of the build. Those of Kiln, such as a checksum, hold besides.",
  ),
  pull: z.boolean().default(false).describe("Look up base images anew, even those at hand."),
  outputs: z
    .array(Output)
    .max(8)
    .default([])
    .describe("What to make of the result. None: build only, and keep the cache."),
  cache: section(Cache).describe("Caches outside of the builder."),
  registryCredentials: z
    .array(RegistryLogin)
    .max(16)
    .default([])
    .describe(
      "Logins for registries, besides the imagePullSecrets of the service account; the first that fits a registry is used.",
    ),
  timeout: duration("1s", "168h")
    .default("1h")
    .describe(
      "How long the run may take from the start of its first attempt, repeated attempts included.",
    ),
  retry: section(Retry).describe("When a run is started again."),
  ttlAfterFinished: duration("0s", "8760h")
    .optional()
    .describe("When the finished run is deleted, counted from its end. Default: never."),
  cancel: z
    .boolean()
    .default(false)
    .describe("Set it to true to cancel the run; this can not be taken back."),
};

/** Everything a BuildRun asks for. */
export const BuildRunSpec = z
  .object(fields)
  .meta(
    rules(
      ...runOnce(Object.keys(fields), { noun: "run", kind: "BuildRun" }),
      cel(
        "!has(self.context.none) || has(self.dockerfile.inline) || has(self.dockerfile.configMap)",
        "dockerfile.inline or dockerfile.configMap is needed with context.none, which has no file: write the Dockerfile there or choose another context",
        ".dockerfile",
      ),
      cel(
        "!self.noCache || size(self.noCacheFilter) == 0",
        "noCache runs every step again and noCacheFilter those of some stages: remove one",
        ".noCacheFilter",
      ),
      cel(
        "!self.cache.to.exists(c, has(c.inline)) || self.outputs.exists(o, has(o.image))",
        "cache.to.inline needs an image output to be kept in: add an image to outputs or use cache.to.registry",
        ".cache",
      ),
      cel(
        "!self.outputs.exists(o, (has(o.image) && o.image.rewriteTimestamp) || (has(o.oci) && o.oci.rewriteTimestamp) || (has(o.docker) && o.docker.rewriteTimestamp)) || self.buildArgs.exists(a, a.name == 'SOURCE_DATE_EPOCH')",
        "rewriteTimestamp of an output needs the time to set: add SOURCE_DATE_EPOCH to buildArgs",
        ".outputs",
      ),
    ),
  );

/** Spec of a BuildRun, after defaults. */
export type BuildRunSpec = z.output<typeof BuildRunSpec>;
/** Spec of a BuildRun, as a person writes it. */
export type BuildRunSpecInput = z.input<typeof BuildRunSpec>;
/** `spec.dockerfile`; narrow it with `only`. */
export type Dockerfile = z.output<typeof Dockerfile>;
/** One entry of `spec.secrets`. */
export type SecretMount = z.output<typeof SecretMount>;
