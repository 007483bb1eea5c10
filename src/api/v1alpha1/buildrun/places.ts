// Where file outputs of a BuildRun go: `outputs[].oci.to` and the like.

import { z } from "zod";
import { oneOf, text } from "../../schema.ts";
import { BucketName, HttpEndpoint, ImageTag, ObjectName, SecretRef } from "../shared.ts";

/** Of a registry. */
export const insecure = z
  .boolean()
  .default(false)
  .describe("Use plain HTTP, or HTTPS with a certificate nobody vouches for.");

/** Fields that say which bucket; `who` reaches it. */
export function bucketOf(who: string) {
  return {
    bucket: BucketName.describe("Name of the bucket."),
    region: text({ max: 64 }).describe("Region of the bucket; any word where there are none."),
    endpoint: HttpEndpoint.optional().describe(
      `Address of an S3-compatible server, as ${who} reaches it. Default: Amazon's.`,
    ),
    pathStyle: z
      .boolean()
      .optional()
      .describe("Put the bucket into the path; most servers but Amazon's want it."),
  };
}

/** How to log in to a bucket. */
export const BucketCredentials = z.object({
  secretRef: SecretRef.describe(
    "Secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and optionally AWS_SESSION_TOKEN.",
  ),
});

const places = {
  artifact: z
    .object({
      ref: ImageTag.describe("Reference of the artifact, [host[:port]/]repository[:tag]."),
      insecure,
    })
    .describe("An OCI artifact in a registry, as oras pull fetches it."),
  s3: z
    .object({
      ...bucketOf("the builder's agent"),
      key: text(
        { max: 512 },
        {
          matches: /^[A-Za-z0-9!_.()-][A-Za-z0-9!_.()/-]*$/,
          lacks: /(^|\/)\.\.?(\/|$)|\/\//,
          message: "must be letters, digits and any of ! _ . ( ) / -, not beginning with '/'",
        },
      ).describe(
        "Name of the object; with local what the names of its files begin with, such as builds/7/.",
      ),
      credentials: BucketCredentials.describe("How to log in."),
    })
    .describe("An S3-compatible bucket."),
  configMap: z
    .object({
      name: ObjectName.describe(
        "ConfigMap in the run's namespace; made or replaced as the run's service account, which must be allowed to.",
      ),
      key: text(
        { max: 253 },
        {
          matches: /^[-._a-zA-Z0-9]+$/,
          lacks: /^\.\.?$|^\.\./,
          message: "must be letters, digits, '-', '_' and '.', not beginning with '..'",
        },
      )
        .default("output.tar")
        .describe("Key of an archive; with local each file has a key of its name."),
    })
    .describe("A ConfigMap, for up to 1 MiB in all ConfigMaps of the run."),
  persistentVolumeClaim: z
    .object({
      claimName: ObjectName.describe("PersistentVolumeClaim in the run's namespace."),
      path: text(
        { max: 512 },
        {
          matches: /^[^/\\\p{Cc}]+(\/[^/\\\p{Cc}]+)*$/u,
          lacks: /(^|\/)\.\.?(\/|$)|(^|\/)\.kiln-/,
          message:
            "must be a relative path with a name at its end, without '.', '..' and names that begin with .kiln-",
        },
      ).describe(
        "Where the archive is on the volume or, with local, the folder; what was there before is replaced as a whole.",
      ),
    })
    .describe(
      "A volume, written by a pod in the run's namespace that the run's service account must be allowed to make.",
    ),
};

/** A place for files. */
export const Place = oneOf("to", places);

/** A place for an archive that docker load takes. */
export const DockerPlace = oneOf("to", {
  ...places,
  engine: z
    .object({})
    .describe(
      "The image store of the Docker engine behind a Builder of kind docker or dockerContainer, as docker buildx build --load.",
    ),
});

/** A place for files; narrow it with `only`. */
export type Place = z.output<typeof Place>;
/** A place for any output; narrow it with `only`. */
export type DockerPlace = z.output<typeof DockerPlace>;
