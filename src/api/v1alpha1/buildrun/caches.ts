// Caches outside of the builder: `spec.cache` of a BuildRun.

import { z } from "zod";
import { cel, duration, listSet, oneOf, rules, text } from "../../schema.ts";
import { compressionOf } from "./packing.ts";
import { BucketCredentials, bucketOf, insecure } from "./places.ts";
import { HttpEndpoint, ImageTag, ObjectPrefix, SecretRef } from "../shared.ts";

const registryRef = ImageTag.describe("Reference of the cache, [host[:port]/]repository[:tag].");

/** What every export may say. */
const exported = {
  mode: z
    .enum(["min", "max"])
    .default("min")
    .describe("What is kept. min: layers of the result only. max: layers of every step."),
  ignoreError: z
    .boolean()
    .default(true)
    .describe("Whether the run goes on, with a word in status, when the export fails."),
};

/** How the layers of an export are packed, where the backend lets one choose. */
const packed = {
  ...compressionOf({
    compression: "How layers are compressed. Default: as they are.",
    force: "Compress layers anew that are compressed in another way.",
  }),
  imageManifest: z
    .boolean()
    .optional()
    .describe("Write an image manifest, which more registries take. Default: true."),
  ociMediaTypes: z
    .boolean()
    .optional()
    .describe("Whether manifests use OCI media types. Default: true."),
};

const cacheName = text(
  { max: 128 },
  {
    matches: /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/,
    message: "must be a name of letters, digits, '_', '.' and '-'",
  },
);

/** Names under which a cache stands in a bucket. */
const names = listSet(cacheName.describe("One name."), 8)
  .default([])
  .describe("Names of the cache in the bucket. Default: buildkit.");

const prefixes = {
  prefix: ObjectPrefix.optional().describe(
    "Begins the name of every object, such as shop/. Default: none.",
  ),
  manifestsPrefix: ObjectPrefix.optional().describe("Follows prefix for manifests."),
  blobsPrefix: ObjectPrefix.optional().describe("Follows prefix for layers."),
};

const s3 = {
  ...bucketOf("the builder"),
  ...prefixes,
  names,
  retryMode: z.enum(["standard", "adaptive"]).optional().describe("How requests are repeated."),
  retryMaxAttempts: z
    .int()
    .min(1)
    .max(100)
    .optional()
    .describe("How often a request is tried. Default: 3."),
  disableAcceptEncoding: z
    .boolean()
    .optional()
    .describe("Do not sign Accept-Encoding, which Google Cloud Storage changes."),
  credentials: BucketCredentials.optional().describe(
    "How to log in. Default: what the builder's own surroundings give it.",
  ),
};

const azblob = {
  accountUrl: HttpEndpoint.describe("Address of the storage account, as the builder reaches it."),
  accountName: text({ max: 64 })
    .optional()
    .describe("Name of the account. Default: the first part of the host."),
  container: text({ max: 63 }).optional().describe("Container. Default: buildkit-cache."),
  ...prefixes,
  names,
  credentials: z
    .object({
      secretRef: SecretRef.describe("Secret with AZURE_STORAGE_KEY, a key of the account."),
    })
    .optional()
    .describe("How to log in. Default: what the builder's own surroundings give it."),
};

const gha = {
  url: HttpEndpoint.optional().describe(
    "Address of the cache service, first version: ACTIONS_CACHE_URL of a workflow.",
  ),
  urlV2: HttpEndpoint.optional().describe(
    "Address of the cache service, second version: ACTIONS_RESULTS_URL of a workflow.",
  ),
  version: z
    .int()
    .min(1)
    .max(2)
    .optional()
    .describe("Version of the service. Default: 2 with urlV2."),
  scope: text({ max: 256 }).optional().describe("Caches of one scope are one. Default: buildkit."),
  repository: text({ max: 256 })
    .optional()
    .describe("Repository as owner/name, to look up at GitHub which layers are there already."),
  timeout: duration("1s", "2h").optional().describe("How long an import or export may take."),
  credentials: z
    .object({
      secretRef: SecretRef.describe(
        "Secret with ACTIONS_RUNTIME_TOKEN, and optionally GITHUB_TOKEN for repository.",
      ),
    })
    .describe("How to log in. The token ends with the workflow's job that it is of."),
};

const ghaAddress = cel(
  "has(self.url) || has(self.urlV2)",
  "url or urlV2 must say where the cache service is: ACTIONS_CACHE_URL or ACTIONS_RESULTS_URL of the workflow",
);

const localName = cacheName.describe(
  "Name of the cache. Namespaces have their own: caches of one name do not meet.",
);
const tag = cacheName.optional().describe("Which version of the cache. Default: latest.");

const CacheImport = oneOf("an entry of cache.from", {
  registry: z
    .object({ ref: registryRef, insecure })
    .describe("A cache in a registry: one written by cache.to, or an image with inline cache."),
  s3: z.object(s3).describe("A cache in an S3-compatible bucket."),
  azblob: z.object(azblob).describe("A cache in Azure Blob Storage."),
  gha: z.object(gha).meta(rules(ghaAddress)).describe("A cache in GitHub's cache service."),
  local: z
    .object({
      name: localName,
      tag,
      digest: text(
        { max: 71 },
        { matches: /^sha256:[a-f0-9]{64}$/, message: "must be sha256: and 64 hex digits" },
      )
        .optional()
        .describe("Digest of the cache instead of tag."),
    })
    .describe("A cache on the builder instance, written by cache.to before."),
});

const CacheExport = oneOf("an entry of cache.to", {
  registry: z
    .object({ ref: registryRef, insecure, ...exported, ...packed })
    .describe("A cache of its own in a registry."),
  inline: z.object({}).describe("Cache facts inside the image that is pushed."),
  s3: z
    .object({
      ...s3,
      ...exported,
      uploadParallelism: z
        .int()
        .min(1)
        .max(64)
        .optional()
        .describe("Layers that are sent at once. Default: 4."),
      touchRefresh: duration("1m", "8760h")
        .optional()
        .describe("Age after which what is used again is written again. Default: 24h."),
    })
    .describe("A cache in an S3-compatible bucket."),
  azblob: z
    .object({ ...azblob, ...exported })
    .describe("A cache in Azure Blob Storage; the container is made where it is missing."),
  gha: z
    .object({ ...gha, ...exported })
    .meta(rules(ghaAddress))
    .describe("A cache in GitHub's cache service."),
  local: z
    .object({
      name: localName,
      tag,
      reset: z
        .boolean()
        .default(false)
        .describe("Remove what no version of the cache needs any more."),
      ...exported,
      ...packed,
    })
    .describe("A cache on the builder instance, beside what BuildKit itself keeps there."),
});

/** `spec.cache`. */
export const Cache = z
  .object({
    from: z.array(CacheImport).max(16).default([]).describe("Caches to read."),
    to: z.array(CacheExport).max(8).default([]).describe("Caches to write."),
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

/** One entry of `spec.cache.from`; narrow it with `only`. */
export type CacheImport = z.output<typeof CacheImport>;
/** One entry of `spec.cache.to`; narrow it with `only`. */
export type CacheExport = z.output<typeof CacheExport>;
