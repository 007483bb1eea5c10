// What is made of the result of a build: `spec.outputs` of a BuildRun.

import { z } from "zod";
import { cel, listSet, oneOf, rules, text } from "../../schema.ts";
import { compressionOf } from "./packing.ts";
import { DockerPlace, Place } from "./places.ts";
import { ImageTag, Platform, RelativePath } from "../shared.ts";

const Annotation = z
  .object({
    name: text(
      { max: 256 },
      {
        matches: /^[A-Za-z0-9._/-]+$/,
        message: "must be a name such as org.opencontainers.image.title",
      },
    ).describe("Name of the annotation."),
    value: z.string().max(4096).describe("Value of the annotation."),
    level: z
      .enum(["manifest", "index", "manifest-descriptor", "index-descriptor"])
      .default("manifest")
      .describe(
        "What is annotated. Index levels need an image of several platforms, or attestations.",
      ),
    platform: Platform.optional().describe("Only the manifest of this platform. Default: all."),
  })
  .meta(
    rules(
      cel(
        "!has(self.platform) || self.level in ['manifest', 'manifest-descriptor']",
        "platform chooses among manifests: remove it, or use the level manifest or manifest-descriptor",
        ".platform",
      ),
    ),
  );

const force = "Compress the layers of base images anew as well.";
const rewriteTimestamp = z
  .boolean()
  .default(false)
  .describe("Set times of files to SOURCE_DATE_EPOCH, so that equal builds have equal digests.");

/** `outputs[].image`. */
export const ImageOutput = z
  .object({
    tags: listSet(ImageTag.describe("One reference, [host[:port]/]repository[:tag]."), 32)
      .default([])
      .describe("References under which the image is pushed."),
    push: z.boolean().default(true).describe("Whether the image is pushed to its registries."),
    insecure: z
      .boolean()
      .default(false)
      .describe("Push over plain HTTP, or HTTPS with a certificate nobody vouches for."),
    ...compressionOf({ compression: "How new layers are compressed. Default: gzip.", force }),
    rewriteTimestamp,
    ociMediaTypes: z
      .boolean()
      .optional()
      .describe("Whether manifests use OCI media types. Default: as BuildKit decides."),
    annotations: z.array(Annotation).max(128).default([]).describe("Annotations of the image."),
    pushByDigest: z
      .boolean()
      .default(false)
      .describe("Push without a tag; tags then name repositories."),
    unpack: z.boolean().optional().describe("Unpack the image on a containerd worker."),
    store: z
      .boolean()
      .optional()
      .describe("Keep the image in the image store of a containerd worker. Default: true."),
    nameCanonical: z.boolean().optional().describe("Store the image under name@digest as well."),
    ociArtifact: z.boolean().optional().describe("Write attestations as OCI artifacts."),
    attestationInline: z
      .boolean()
      .optional()
      .describe("Keep attestations in the index even where BuildKit would not."),
    preferNondistributableLayers: z
      .boolean()
      .optional()
      .describe("Keep layers of base images that must not be distributed as references."),
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
        "!has(self.compressionLevel) || (has(self.compression) && self.compression != 'uncompressed' && (self.compression == 'zstd' || self.compressionLevel <= 9))",
        "compressionLevel needs compression gzip or estargz (0 to 9) or zstd (0 to 22): set compression, or a level that it has",
        ".compressionLevel",
      ),
      cel(
        "!self.pushByDigest || (self.push && self.tags.all(t, !t.matches(r':[^/]+$')))",
        "pushByDigest pushes without a tag: write tags as repositories, without :tag, and leave push on",
        ".pushByDigest",
      ),
      cel(
        "!has(self.forceCompression) || !self.forceCompression || has(self.compression)",
        "forceCompression needs compression: say which one the layers should have",
        ".forceCompression",
      ),
    ),
  );

const packing = {
  ...compressionOf({ compression: "How layers are compressed. Default: gzip.", force }),
  rewriteTimestamp,
};

const archive = {
  tags: listSet(ImageTag.describe("One reference, [host[:port]/]repository[:tag]."), 32)
    .default([])
    .describe("References that the image has in the archive."),
  ...packing,
  ociMediaTypes: z
    .boolean()
    .optional()
    .describe("Whether manifests use OCI media types. Default: as BuildKit decides."),
  ociArtifact: z.boolean().optional().describe("Write attestations as OCI artifacts."),
  attestationInline: z
    .boolean()
    .optional()
    .describe("Keep attestations in the index even where BuildKit would not."),
  annotations: z.array(Annotation).max(32).default([]).describe("Annotations of the image."),
};

const where = "Where the archive goes.";
const OciOutput = z.object({ to: Place.describe(where), ...archive });
const DockerOutput = z.object({ to: DockerPlace.describe(where), ...archive });

const FilesOutput = z.object({
  to: Place.describe("Where the files go."),
  platformSplit: z
    .boolean()
    .optional()
    .describe("Whether each platform has a folder of its own. Default: for several platforms."),
  attestationPrefix: text({ max: 128 })
    .optional()
    .describe("Begins the names of attestation files."),
  subdirectory: RelativePath.optional().describe(
    "Folder of the result that is taken. Default: all.",
  ),
});

/** One entry of `spec.outputs`. */
export const Output = oneOf("an output", {
  image: ImageOutput.describe("A container image."),
  oci: OciOutput.describe("An OCI layout as one tar archive."),
  docker: DockerOutput.describe(
    "An archive that docker load takes, or the image loaded into a Docker engine; of one platform.",
  ),
  tar: FilesOutput.describe("The files of the result as one tar archive."),
  local: FilesOutput.describe(
    "The files of the result one by one: objects of a bucket, or layers of an artifact with their paths as titles.",
  ),
});

/** One entry of `spec.outputs`; narrow it with `only`. */
export type Output = z.output<typeof Output>;
/** `outputs[].oci` and `outputs[].docker`, after defaults. */
export type ArchiveOutput = z.output<typeof DockerOutput>;
/** `outputs[].tar` and `outputs[].local`, after defaults. */
export type FilesOutput = z.output<typeof FilesOutput>;
/** `spec.outputs[].image`, after defaults. */
export type ImageOutput = z.output<typeof ImageOutput>;
