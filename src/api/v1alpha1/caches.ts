// Caches outside of the builder: `spec.cache` of a BuildRun.

import { z } from "zod";
import { cel, oneOf, rules } from "../schema.ts";
import { ImageTag } from "./shared.ts";

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
      compression: z
        .enum(["uncompressed", "gzip", "estargz", "zstd"])
        .optional()
        .describe("How layers are compressed. Default: as they are."),
      forceCompression: z
        .boolean()
        .optional()
        .describe("Compress layers anew that are compressed in another way."),
      imageManifest: z
        .boolean()
        .optional()
        .describe("Write an image manifest, which more registries take. Default: true."),
      ociMediaTypes: z
        .boolean()
        .optional()
        .describe("Whether manifests use OCI media types. Default: true."),
      ignoreError: z
        .boolean()
        .default(true)
        .describe("Whether the run goes on, with a word in status, when the export fails."),
    })
    .describe("A cache of its own in a registry."),
  inline: z.object({}).describe("Cache facts inside the image that is pushed."),
});

/** `spec.cache`. */
export const Cache = z
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

/** One entry of `spec.cache.from`; narrow it with `only`. */
export type CacheImport = z.output<typeof CacheImport>;
/** One entry of `spec.cache.to`; narrow it with `only`. */
export type CacheExport = z.output<typeof CacheExport>;
