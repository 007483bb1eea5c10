// What a person may write in a Bake: a Bake file as `docker buildx bake --print` writes it, which of its targets to
// build, and what stands in the cluster for what the file names on a workstation.

import { z } from "zod";
import { cel, duration, listMap, oneOf, open, rules, section, text } from "../../schema.ts";
import { BuildContext } from "../buildrun/context.ts";
import { insecure, Place } from "../buildrun/places.ts";
import {
  BuilderReference,
  KeyRef,
  RegistryLogin,
  Retry,
  SecretMount,
  SshKeys,
} from "../buildrun/spec.ts";
import { ImageTag, ObjectName, runOnce, SecretRef } from "../shared.ts";

const File = oneOf("file", {
  inline: open({}).describe("The file itself, as an object with group and target."),
  text: text({ max: 262144 }).describe("The file as text, up to 256 KiB."),
  configMap: KeyRef.describe("Key of a ConfigMap with the file as text."),
});

const targetPattern = text(
  { max: 128 },
  {
    matches: /^[A-Za-z0-9_*?[\]^-]+$/,
    message: "must be the name of a target or group, in which * and ? stand for anything",
  },
);

const Override = text(
  { max: 4096 },
  {
    matches: /^[A-Za-z0-9_*?[\]^-]+\.[^=]+=/,
    message: "must be written target.key=value or target.key+=value, as docker buildx bake --set",
  },
);

const HostName = text(
  { max: 255 },
  {
    matches: /^([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?$/,
    message: "must be a host, with :port where the addresses of the file have one",
  },
);

const fields = {
  file: File.describe("The Bake file: what docker buildx bake --print writes."),
  targets: z
    .array(targetPattern.describe("One target or group."))
    .max(64)
    .default([])
    .describe("Targets and groups to build. Default: default."),
  set: z
    .array(Override.describe("One override."))
    .max(64)
    .default([])
    .describe("Overrides of fields of targets, as --set of docker buildx bake takes them."),
  push: z.boolean().default(false).describe("As --push: what --set=*.push=true says."),
  context: BuildContext.default({ none: {} }).describe(
    "Where the folders are that the file names by relative paths.",
  ),
  contextCredentials: listMap(
    z.object({
      host: HostName.describe("Host of git repositories or archives, as the file has it."),
      secretRef: SecretRef.describe(
        "Secret as credentials of a git or http context of a BuildRun take it.",
      ),
    }),
    ["host"],
    16,
  )
    .default([])
    .describe("How to log in to the hosts of addresses in the file."),
  secrets: listMap(SecretMount, ["id"], 64)
    .default([])
    .describe("What stands for the files and variables of secret in the file, by id."),
  ssh: listMap(SshKeys, ["id"], 16)
    .default([])
    .describe("Keys that stand for the agents and files of ssh in the file, by id."),
  cacheCredentials: listMap(
    z.object({
      type: z.enum(["s3", "azblob", "gha"]).describe("Kind of the caches."),
      secretRef: SecretRef.describe("Secret as cache.to of a BuildRun takes it."),
    }),
    ["type"],
    3,
  )
    .default([])
    .describe("Logins for caches, by kind."),
  places: listMap(
    z.object({
      dest: text({ max: 1024 }).describe("The dest of an output, as the file has it."),
      to: Place.describe("Where the files go instead."),
    }),
    ["dest"],
    64,
  )
    .default([])
    .describe("What stands for the folders and files of output in the file, by dest."),
  intermediates: z
    .object({
      repository: ImageTag.describe("Repository, [host[:port]/]repository without a tag."),
      insecure,
    })
    .optional()
    .describe(
      "Where images go that another target builds from (target: contexts) and that are pushed nowhere else. They are pushed by digest.",
    ),
  builderRef: BuilderReference.optional().describe(
    "Where to build. Default: the Builder named default in the namespace, else the ClusterBuilder named default.",
  ),
  serviceAccountName: ObjectName.default("default").describe(
    "Service account whose rights decide which Secrets and ConfigMaps may be used.",
  ),
  registryCredentials: z
    .array(RegistryLogin)
    .max(16)
    .default([])
    .describe("Logins for registries, besides the imagePullSecrets of the service account."),
  timeout: duration("1s", "168h")
    .default("1h")
    .describe("How long each target may take from the start of its first attempt."),
  retry: section(Retry).describe("When the build of a target is started again."),
  failFast: z
    .boolean()
    .default(true)
    .describe("Whether the others are cancelled when a target fails."),
  ttlAfterFinished: duration("0s", "8760h")
    .optional()
    .describe("When it is deleted with its BuildRuns, counted from its end. Default: never."),
  cancel: z
    .boolean()
    .default(false)
    .describe("Set it to true to cancel all builds; this can not be taken back."),
};

/** Everything a Bake asks for. */
export const BakeSpec = z
  .object(fields)
  .meta(
    rules(
      ...runOnce(Object.keys(fields), { noun: "Bake", kind: "Bake" }),
      cel(
        "!has(self.intermediates) || !self.intermediates.repository.matches(r':[^/]+$')",
        "intermediates.repository names a repository, in which images are found by digest: remove the tag",
        ".intermediates",
      ),
    ),
  );

/** Spec of a Bake, after defaults. */
export type BakeSpec = z.output<typeof BakeSpec>;
/** Spec of a Bake, as a person writes it. */
export type BakeSpecInput = z.input<typeof BakeSpec>;
