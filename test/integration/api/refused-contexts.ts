// BuildRuns whose context is refused.

import { type Refusal, run } from "./manifests.ts";

const git = (fields: Record<string, unknown>) =>
  run({ context: { git: { url: "https://git.example.com/a/b.git", ...fields } } });
const url = (value: string) => git({ url: value });

const gitUrl = "spec.context.git.url";
const transports =
  /must be https:\/\/host\/path, .*other transports \(file, git, ext\) are refused/;
const cleanUrl = /write the branch in revision and the directory in subdirectory/;
const revision = /must be a branch, a tag, a commit or refs/;
const relative = /must be a relative path inside the context, without '\.\.'/;
const oneContext =
  /exactly one of git, http, configMap, secret, inline, image, artifact, none: keep one and remove/;

/** Cases of `spec.context`. */
export const contexts: readonly Refusal[] = [
  ["no context", run({ context: undefined }), "spec.context", /Required value/],
  ["an empty context", run({ context: {} }), "spec.context", oneContext],
  [
    "two contexts",
    run({ context: { none: {}, configMap: { name: "a" } }, dockerfile: { inline: "FROM a" } }),
    "spec.context",
    oneContext,
  ],
  ["a git url of the file system", url("file:///etc"), gitUrl, transports],
  ["a git url that runs a program", url("ext::sh -c id"), gitUrl, transports],
  ["a git url of the git protocol", url("git://git.example.com/a.git"), gitUrl, transports],
  ["a git url with a password", url("https://me:pw@git.example.com/a.git"), gitUrl, /credentials/],
  ["a git url with a token", url("https://token@git.example.com/a.git"), gitUrl, /credentials/],
  ["a git url without a host", url("https:///a.git"), gitUrl, transports],
  ["a git url without a path", url("https://git.example.com"), gitUrl, transports],
  ["a git url that is an option", url("-oProxyCommand=x@host:a"), gitUrl, transports],
  ["a host that is an option", url("git@-oProxyCommand=x:a"), gitUrl, transports],
  ["an ssh host that is an option", url("ssh://-oProxyCommand=x/a"), gitUrl, transports],
  ["a git path that is an option", url("git@git.example.com:-u"), gitUrl, transports],
  ["a git url with a branch", url("https://git.example.com/a.git#main"), gitUrl, cleanUrl],
  ["a git url with a query", url("https://git.example.com/a.git?ref=main"), gitUrl, cleanUrl],
  ["a git url that climbs", url("https://git.example.com/../a.git"), gitUrl, cleanUrl],
  ["a git url with a space", url("https://git.example.com/a b.git"), gitUrl, cleanUrl],
  ["a revision that is an option", git({ revision: "--upload-pack=x" }), "git.revision", revision],
  ["a revision that is a range", git({ revision: "a..b" }), "git.revision", revision],
  ["a revision with a space", git({ revision: "a b" }), "git.revision", revision],
  ["a revision with a directory", git({ revision: "main:app" }), "git.revision", revision],
  ["a subdirectory above the root", git({ subdirectory: "../b" }), "git.subdirectory", relative],
  ["a subdirectory that climbs", git({ subdirectory: "a/../../b" }), "git.subdirectory", relative],
  ["an absolute subdirectory", git({ subdirectory: "/etc" }), "git.subdirectory", relative],
  [
    "credentials without a Secret",
    git({ credentials: {} }),
    "spec.context.git.credentials.secretRef",
    /Required value/,
  ],
  [
    "an archive by ftp",
    run({ context: { http: { url: "ftp://files.example.com/a.tar" } } }),
    "spec.context.http.url",
    /must be http\(s\):\/\/host\/path of a tar archive/,
  ],
  [
    "an archive with a password",
    run({ context: { http: { url: "https://me:pw@files.example.com/a.tar" } } }),
    "spec.context.http.url",
    /without user, password/,
  ],
  [
    "an archive with an MD5",
    run({ context: { http: { url: "https://files.example.com/a.tar", checksum: "md5:abc" } } }),
    "spec.context.http.checksum",
    /must be sha256: and 64 lower-case hex digits/,
  ],
  [
    "a ConfigMap with an impossible name",
    run({ context: { configMap: { name: "My Files" } } }),
    "spec.context.configMap.name",
    /must be the name of an object: lower-case letters/,
  ],
  [
    "no context and no inline Dockerfile",
    run({ context: { none: {} } }),
    "spec.dockerfile",
    /dockerfile\.inline or dockerfile\.configMap is needed with context\.none/,
  ],
];
