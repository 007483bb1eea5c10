// What a person may write in a BuildRun: everything `docker buildx build` can be asked for, in
// Kubernetes style. The spec never changes after it was applied, but for `cancel` and retention.

import { z } from "zod";
import {
  cel,
  duration,
  listMap,
  listSet,
  oneOf,
  type Rule,
  rules,
  section,
  text,
  textMap,
} from "../schema.ts";
import { BuildContext, RelativePath } from "./context.ts";
import { DataKey, ImageTag, ObjectName, Platform, SecretRef } from "./shared.ts";

const BuilderReference = z.object({
  kind: z
    .enum(["Builder", "ClusterBuilder"])
    .default("Builder")
    .describe("Builder: of this namespace. ClusterBuilder: of the whole cluster."),
  name: ObjectName.describe("Name of the Builder or ClusterBuilder."),
});

const Dockerfile = oneOf("dockerfile", {
  path: RelativePath.describe("Path of the Dockerfile in the context."),
  inline: z.string().min(1).max(131072).describe("Text of the Dockerfile, up to 128 KiB."),
});

const BuildArg = z.object({
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
});

const SecretMount = z.object({
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

const ImageOutput = z
  .object({
    tags: listSet(ImageTag.describe("One reference, [host[:port]/]repository[:tag]."), 32)
      .default([])
      .describe("References under which the image is pushed."),
    push: z.boolean().default(true).describe("Whether the image is pushed to its registries."),
    insecure: z
      .boolean()
      .default(false)
      .describe("Push over plain HTTP, or HTTPS with a certificate nobody vouches for."),
    compression: z
      .enum(["uncompressed", "gzip", "estargz", "zstd"])
      .optional()
      .describe("How new layers are compressed. Default: gzip."),
    forceCompression: z
      .boolean()
      .optional()
      .describe("Compress the layers of base images anew as well."),
    rewriteTimestamp: z
      .boolean()
      .default(false)
      .describe(
        "Set times of files to SOURCE_DATE_EPOCH, so that equal builds have equal digests.",
      ),
    ociMediaTypes: z
      .boolean()
      .optional()
      .describe("Whether manifests use OCI media types. Default: as BuildKit decides."),
  })
  .meta(
    rules(
      cel(
        "!self.push || size(self.tags) > 0",
        "tags must name at least one reference to push to: add a tag or set push: false",
        ".tags",
      ),
      cel(
        "!has(self.compression) || !(self.compression in ['estargz', 'zstd']) || !has(self.ociMediaTypes) || self.ociMediaTypes",
        "ociMediaTypes must not be false with compression estargz or zstd, which exist as OCI layers only: remove ociMediaTypes",
        ".ociMediaTypes",
      ),
      cel(
        "!has(self.forceCompression) || !self.forceCompression || has(self.compression)",
        "forceCompression needs compression: say which one the layers should have",
        ".forceCompression",
      ),
    ),
  );

const Output = oneOf("an output", {
  image: ImageOutput.describe("A container image."),
});

const registryRef = ImageTag.describe("Reference of the cache, [host[:port]/]repository[:tag].");
const insecure = z
  .boolean()
  .default(false)
  .describe("Use plain HTTP, or HTTPS with a certificate nobody vouches for.");

const CacheImport = oneOf("an entry of cache.from", {
  registry: z
    .object({ ref: registryRef, insecure })
    .describe("A cache in a registry: one written by cache.to, or an image with inline cache."),
});

const CacheExport = oneOf("an entry of cache.to", {
  registry: z
    .object({
      ref: registryRef,
      mode: z
        .enum(["min", "max"])
        .default("min")
        .describe("What is kept. min: layers of the result only. max: layers of every step."),
      insecure,
      ignoreError: z
        .boolean()
        .default(true)
        .describe("Whether the run goes on, with a word in status, when the export fails."),
    })
    .describe("A cache of its own in a registry."),
  inline: z.object({}).describe("Cache facts inside the image that is pushed."),
});

const Cache = z
  .object({
    from: z.array(CacheImport).max(16).default([]).describe("Caches to read."),
    to: z.array(CacheExport).max(16).default([]).describe("Caches to write."),
  })
  .meta(
    rules(
      cel(
        "self.to.filter(c, has(c.inline)).size() <= 1",
        "cache.to may have inline once: remove the second",
        ".to",
      ),
    ),
  );

const Retry = z.object({
  limit: z
    .int()
    .min(0)
    .max(10)
    .default(2)
    .describe(
      "How often a run is started again after a failure of the builder, the infrastructure or the registry. A failing step is never retried.",
    ),
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
  platforms: listSet(Platform.describe("One platform, such as linux/arm64."), 16)
    .default([])
    .describe("Platforms to build for. Default: the one of the builder."),
  secrets: listMap(SecretMount, ["id"], 64)
    .default([])
    .describe("Secrets for RUN --mount=type=secret; they never get into the image."),
  noCache: z.boolean().default(false).describe("Run every step again."),
  pull: z.boolean().default(false).describe("Look up base images anew, even those at hand."),
  outputs: z
    .array(Output)
    .max(8)
    .default([])
    .describe("What to make of the result. None: build only, and keep the cache."),
  cache: section(Cache).describe("Caches outside of the builder."),
  registryCredentials: z
    .array(
      z.object({
        secretRef: SecretRef.describe("Secret of type kubernetes.io/dockerconfigjson."),
      }),
    )
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

const mutable: readonly string[] = ["cancel", "ttlAfterFinished"];

const immutability: readonly Rule[] = Object.keys(fields)
  .filter((field) => !mutable.includes(field))
  .map((field) =>
    cel(
      `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`,
      `${field} can not be changed after the run was created: create a new BuildRun`,
      `.${field}`,
    ),
  );

/** Everything a BuildRun asks for. */
export const BuildRunSpec = z
  .object(fields)
  .meta(
    rules(
      ...immutability,
      cel(
        "!oldSelf.cancel || self.cancel",
        "cancel can not be taken back: create a new BuildRun",
        ".cancel",
      ),
      cel(
        "!has(self.context.none) || has(self.dockerfile.inline)",
        "dockerfile.inline is needed with context.none, which has no file: write the Dockerfile there or choose another context",
        ".dockerfile",
      ),
      cel(
        "!self.cache.to.exists(c, has(c.inline)) || self.outputs.exists(o, has(o.image))",
        "cache.to.inline needs an image output to be kept in: add an image to outputs or use cache.to.registry",
        ".cache",
      ),
      cel(
        "!self.outputs.exists(o, has(o.image) && o.image.rewriteTimestamp) || self.buildArgs.exists(a, a.name == 'SOURCE_DATE_EPOCH')",
        "outputs.image.rewriteTimestamp needs the time to set: add SOURCE_DATE_EPOCH to buildArgs",
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
/** One entry of `spec.outputs`; narrow it with `only`. */
export type Output = z.output<typeof Output>;
/** `spec.outputs[].image`, after defaults. */
export type ImageOutput = z.output<typeof ImageOutput>;
/** One entry of `spec.cache.from`; narrow it with `only`. */
export type CacheImport = z.output<typeof CacheImport>;
/** One entry of `spec.cache.to`; narrow it with `only`. */
export type CacheExport = z.output<typeof CacheExport>;
/** One entry of `spec.secrets`. */
export type SecretMount = z.output<typeof SecretMount>;
