// Where the files of a build come from: `spec.context` of a BuildRun.

import { z } from "zod";
import { oneOf, text, type TextRule } from "../schema.ts";
import { ObjectName, SecretRef } from "./shared.ts";

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

/** A path inside the context: relative, and never above its root. */
export const RelativePath = text(
  { max: 1024 },
  {
    matches: /^[^/\\:#\p{Cc}-][^\\:#\p{Cc}]*$/u,
    lacks: /(^|\/)\.\.(\/|$)/u,
    message:
      "must be a relative path inside the context, without '..', and must not begin with '/' or '-'",
  },
);

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
});

const ConfigMapContext = z.object({
  name: ObjectName.describe(
    "ConfigMap in the same namespace; each of its keys is a file of the context.",
  ),
});

/** Where the files come from: exactly one of git, http, configMap, none. */
export const BuildContext = oneOf("context", {
  git: GitContext.describe("A git repository, cloned by BuildKit."),
  http: HttpContext.describe("A tar archive, fetched by BuildKit."),
  configMap: ConfigMapContext.describe("A few small files, kept in a ConfigMap."),
  none: z.object({}).describe("No files at all; the Dockerfile has to be inline."),
});

/** Where the files come from, after defaults. Narrow it with `only`. */
export type BuildContext = z.output<typeof BuildContext>;
/** `context.git`, after defaults. */
export type GitContext = z.output<typeof GitContext>;
/** `context.http`, after defaults. */
export type HttpContext = z.output<typeof HttpContext>;
