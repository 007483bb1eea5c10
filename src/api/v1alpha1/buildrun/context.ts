// Where the files of a build come from: `spec.context` of a BuildRun.

import { z } from "zod";
import { exactlyOne, listMap, oneOf, rules, text, type TextRule } from "../../schema.ts";
import { insecure } from "./places.ts";
import {
  ImageTag,
  ImageRef,
  ObjectName,
  Platform,
  RelativePath,
  relativePath,
  SecretRef,
} from "../shared.ts";

const host = "([A-Za-z0-9][A-Za-z0-9.-]*|\\[[0-9A-Fa-f:]+\\])(:[0-9]{1,5})?";
const user = "[A-Za-z0-9_][A-Za-z0-9._-]*@";

// Git and ssh read an argument that begins with '-' as an option, and `#ref:dir` in a url chooses
// another directory: what the fields below accept must mean no more than what it says.
const gitUrl: readonly TextRule[] = [
  {
    matches: new RegExp(
      `^(https?://${host}/[^-]|ssh://(${user})?${host}/[^-]|${user}[A-Za-z0-9][A-Za-z0-9.-]*:[^:-])`,
    ),
    message:
      "must be https://host/path, ssh://user@host/path or user@host:path: other transports (file, git, ext) are refused, and a user or token belongs in credentials, not in the url",
  },
  {
    lacks: /[#?\\ \p{Cc}]|[/:]\.\.(\/|$)/u,
    message:
      "must have no '#', '?', '..', backslash or white space: write the branch in revision and the directory in subdirectory",
  },
];

const GitContext = z.object({
  url: text({ max: 2048 }, ...gitUrl).describe(
    "Address of the repository: https://host/path, ssh://user@host/path or user@host:path.",
  ),
  revision: text(
    { max: 255 },
    {
      matches: /^[^-:~^?*[\\# \p{Cc}][^:~^?*[\\# \p{Cc}]*$/u,
      lacks: /\.\.|@\{/,
      message:
        "must be a branch, a tag, a commit or refs/…: it must not begin with '-' nor have spaces, '..' or any of : ~ ^ ? * [ # and backslash",
    },
  )
    .optional()
    .describe(
      "Branch, tag, full commit or refs/… to build. Default: the default branch. The commit it meant is in status.source.",
    ),
  subdirectory: RelativePath.optional().describe(
    "Directory of the repository that is the context. Default: its root.",
  ),
  submodules: z.boolean().optional().describe("Whether submodules are fetched. Default: true."),
  keepGitDir: z.boolean().optional().describe("Whether .git is part of the context."),
  checksum: text(
    { max: 64 },
    {
      matches: /^[0-9a-f]{7,64}$/,
      message: "must be a commit, or the beginning of one, in lower-case hex digits",
    },
  )
    .optional()
    .describe("Commit that revision must mean; another one fails the run."),
  fetchByCommit: z
    .boolean()
    .optional()
    .describe("Fetch checksum, a full commit, itself: for servers whose refs move."),
  mtime: z
    .enum(["checkout", "commit"])
    .optional()
    .describe("Times of files: those of the checkout, or that of the commit."),
  credentials: z
    .object({
      secretRef: SecretRef.describe(
        "Secret with token, or username and password (kubernetes.io/basic-auth), or ssh-privatekey and optionally known_hosts (kubernetes.io/ssh-auth).",
      ),
    })
    .optional()
    .describe("How to log in to the git server, for a private repository."),
});

const HttpContext = z.object({
  url: text(
    { max: 2048 },
    {
      matches:
        /^https?:\/\/([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?\/[^#\\ \p{Cc}]+$/u,
      message:
        "must be http(s)://host/path of a tar archive, without user, password, '#' or white space",
    },
  ).describe("Address of a tar archive (plain, gzip, bzip2, xz or zstd) with the context."),
  checksum: text(
    { max: 71 },
    {
      matches: /^sha256:[a-f0-9]{64}$/,
      message: "must be sha256: and 64 lower-case hex digits, as sha256sum prints them",
    },
  )
    .optional()
    .describe("Digest that the archive must have: sha256:<64 hex digits>."),
  credentials: z
    .object({
      secretRef: SecretRef.describe(
        "Secret with token, sent as a bearer, or username and password (kubernetes.io/basic-auth).",
      ),
    })
    .optional()
    .describe("How to log in to the server. All contexts on one host share it."),
});

const ConfigMapContext = z.object({
  name: ObjectName.describe(
    "ConfigMap in the same namespace; each of its keys is a file of the context.",
  ),
});

const SecretContext = z.object({
  name: ObjectName.describe(
    "Secret in the same namespace; each of its keys is a file. What a step copies from it gets into the image.",
  ),
});

const InlineContext = z.object({
  files: listMap(
    z.object({
      path: relativePath(255).describe("Path of the file in the context."),
      text: z.string().max(65536).describe("What is in the file, up to 64 KiB."),
    }),
    ["path"],
    32,
  )
    .min(1)
    .describe("The files."),
});

const places = {
  git: GitContext.describe("A git repository, cloned by BuildKit."),
  http: HttpContext.describe("A tar archive, fetched by BuildKit."),
  configMap: ConfigMapContext.describe("A few small files, kept in a ConfigMap."),
  secret: SecretContext.describe("A few small files, kept in a Secret."),
  inline: InlineContext.describe("A few small files, written here."),
};

const ArtifactContext = z.object({
  ref: ImageTag.describe("Reference, [host[:port]/]repository[:tag]."),
  insecure,
});

const ofRegistry = {
  image: ImageRef.describe("An image, as FROM takes it."),
  artifact: ArtifactContext.describe(
    "An image, or an OCI layout in one tar archive as an output of kind oci leaves it, that the builder's agent fetches from a registry and lends to BuildKit as an OCI layout.",
  ),
};

/** Where the files come from: exactly one place, or none. */
export const BuildContext = oneOf("context", {
  ...places,
  ...ofRegistry,
  none: z.object({}).describe("No files at all; the Dockerfile has to be inline."),
});

const named = {
  ...places,
  ...ofRegistry,
  buildRun: z
    .object({ name: ObjectName.describe("Name of the BuildRun.") })
    .describe(
      "The first image that another BuildRun of the namespace pushed. This run waits for it, uses it by digest, and fails when that one fails.",
    ),
};

const oneNamed = exactlyOne("a build context", Object.keys(named));

/** A further context: its name, and exactly one of git, http, configMap, secret, inline, image. */
export const NamedContext = z
  .object({
    name: text(
      { max: 400 },
      {
        matches: /^[A-Za-z0-9][A-Za-z0-9._/:-]*$/,
        lacks: /::/,
        message: "must be a name, or the image reference that it stands for, without a digest",
      },
    ).describe("Name by which the Dockerfile asks for it: a name of its own, or that of an image."),
    platform: Platform.optional().describe("Only when building for this platform. Default: all."),
    git: named.git.optional(),
    http: named.http.optional(),
    configMap: named.configMap.optional(),
    secret: named.secret.optional(),
    inline: named.inline.optional(),
    image: named.image.optional(),
    artifact: named.artifact.optional(),
    buildRun: named.buildRun.optional(),
  })
  .refine(
    (context) =>
      Object.keys(named).filter((place) => context[place as keyof typeof named] !== undefined)
        .length === 1,
    oneNamed.message,
  )
  .meta(rules(oneNamed));

/** Where the files come from, after defaults. Narrow it with `only`. */
export type BuildContext = z.output<typeof BuildContext>;
/** `context.git`, after defaults. */
export type GitContext = z.output<typeof GitContext>;
/** `context.http`, after defaults. */
export type HttpContext = z.output<typeof HttpContext>;
/** One entry of `spec.buildContexts`, after defaults. */
export type NamedContext = z.output<typeof NamedContext>;
