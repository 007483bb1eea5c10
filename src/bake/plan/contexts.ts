// Where a target's files come from, as contexts of a BuildRun: addresses as they are, folders of a workstation in
// `spec.context` of the Bake, other targets by their BuildRuns. Pure.

import path from "node:path";
import type { BakeSpec, BuildRunSpecInput } from "../../api/v1alpha1/index.ts";
import type { BakeTarget } from "../file/document.ts";
import { entryOf, type Refuse } from "./values.ts";

type Context = BuildRunSpecInput["context"];
type Named = NonNullable<BuildRunSpecInput["buildContexts"]>[number];
type Git = NonNullable<Context["git"]>;

/** What contexts are made of. */
export interface ContextSources {
  readonly bake: Pick<BakeSpec, "context" | "contextCredentials">;
  readonly refuse: Refuse;
  /** The BuildRun of a target. */
  readonly runOf: (target: string) => string;
}

const remote =
  /^(https?:\/\/|ssh:\/\/|git:\/\/|git@|[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:|github\.com\/)/;

/** Whether it is an address and no folder: as urlutil.IsRemoteURL of buildx. */
export function isRemote(value: string): boolean {
  return remote.test(value);
}

/** The main context. */
export function mainContext(target: BakeTarget, from: ContextSources): Context {
  const { context, dockerfileInline } = target;
  if (isRemote(context)) return addressed(context, "context", from);
  if (from.bake.context.none !== undefined && dockerfileInline !== undefined && isHere(context))
    return { none: {} };
  return folder(context, "context", from);
}

function isHere(value: string): boolean {
  return path.posix.normalize(value).replace(/\/$/, "") === ".";
}

/** The named contexts. `name::platform` is a context for one platform. */
export function namedContexts({ contexts }: BakeTarget, from: ContextSources): Named[] {
  return Object.entries(contexts)
    .filter(([, value]) => value !== "")
    .map(([key, value]) => {
      const [name = "", platform] = key.split("::");
      const only = platform === undefined ? {} : { platform };
      return { name, ...only, ...place(value, `contexts.${key}`, from) };
    });
}

function place(value: string, field: string, from: ContextSources): Omit<Named, "name"> {
  if (value.startsWith("target:"))
    return { buildRun: { name: from.runOf(value.slice("target:".length)) } };
  if (value.startsWith("docker-image://")) return { image: value.slice("docker-image://".length) };
  if (value.startsWith("oci-layout://"))
    throw from.refuse(
      field,
      "is an OCI layout in a folder of a workstation: push the image, and name it by docker-image://.",
    );
  if (isRemote(value)) return addressed(value, field, from);
  const found = folder(value, field, from);
  if (found.none === undefined) return found as Omit<Named, "name">;
  throw elsewhere(value, field, from);
}

function elsewhere(value: string, field: string, { refuse }: ContextSources): Error {
  return refuse(
    field,
    `is "${value}", a folder of a workstation: name in spec.context of the Bake the git repository, archive or files that it is in.`,
  );
}

/** A relative path below `spec.context` of the Bake. */
function folder(value: string, field: string, from: ContextSources): Context {
  const { context } = from.bake;
  if (value === "-") throw from.refuse(field, "is the standard input, which nobody is at.");
  if (value.startsWith("/") || value.startsWith("cwd://") || context.none !== undefined)
    throw elsewhere(value, field, from);
  const below = path.posix.normalize(value).replace(/\/$/, "");
  if (context.git !== undefined) {
    const joined = path.posix.join(context.git.subdirectory ?? ".", below);
    if (joined === ".." || joined.startsWith("../"))
      throw from.refuse(
        field,
        `is "${value}", which is outside of the repository in spec.context.`,
      );
    const { subdirectory: _, ...git } = context.git;
    return { git: { ...git, ...(joined === "." ? {} : { subdirectory: joined }) } as Git };
  }
  if (below === ".") return context as Context;
  if (context.inline !== undefined) return { inline: { files: filesBelow(below, field, from) } };
  throw from.refuse(
    field,
    `is "${value}", but spec.context of the Bake has no folders: only git and inline have.`,
  );
}

function filesBelow(below: string, field: string, from: ContextSources) {
  const files = (from.bake.context.inline?.files ?? []).flatMap(({ path: at, text }) => {
    const relative = path.posix.relative(below, path.posix.normalize(at));
    return relative.startsWith("..") ? [] : [{ path: relative, text }];
  });
  if (files.length === 0)
    throw from.refuse(field, `is "${below}", in which spec.context.inline has no file.`);
  return files;
}

const gitPath = /\.git([#?]|$)/;

type Address = { git: Git } | { http: NonNullable<Context["http"]> };

function addressed(value: string, field: string, from: ContextSources): Address {
  const address = value.startsWith("github.com/") ? `https://${value}` : value;
  const isWeb = /^https?:\/\//.test(address);
  if (!isWeb || gitPath.test(address) || value.startsWith("github.com/"))
    return { git: gitOf(address, field, from) };
  const credentials = loginFor(address, from);
  return { http: { url: address, ...credentials } };
}

function loginFor(address: string, { bake }: ContextSources) {
  const host =
    /^[a-z]+:\/\/(?:[^@/]*@)?([^/?#]+)/.exec(address)?.[1] ?? /@([^:]+):/.exec(address)?.[1] ?? "";
  const login = bake.contextCredentials.find((one) => one.host === host);
  return login === undefined ? {} : { credentials: { secretRef: login.secretRef } };
}

const flags: Readonly<Record<string, string>> = {
  ...{ submodules: "submodules", "keep-git-dir": "keepGitDir", "fetch-by-commit": "fetchByCommit" },
};
const words: Readonly<Record<string, string>> = {
  ...{ ref: "revision", branch: "revision", tag: "revision", subdir: "subdirectory" },
  ...{ checksum: "checksum", commit: "checksum", mtime: "mtime" },
};

/** A git address with a fragment `#revision:folder` or a query. Forms: util/gitutil, BuildKit v0.34.2. */
function gitOf(address: string, field: string, from: ContextSources): Git {
  const [, beforeFragment = "", fragment = ""] = /^([^#]*)(?:#(.*))?$/s.exec(address) ?? [];
  const [, url = "", query = ""] = /^([^?]*)(?:\?(.*))?$/s.exec(beforeFragment) ?? [];
  const [revision = "", ...folders] = fragment.split(":");
  const git: Record<string, unknown> = {
    url,
    ...(revision === "" ? {} : { revision }),
    ...(folders.length === 0 ? {} : { subdirectory: folders.join(":").replace(/^\//, "") }),
    ...loginFor(url, from),
  };
  Object.assign(git, queryFields(query, field, from));
  return git as Git;
}

function queryFields(query: string, field: string, { refuse }: ContextSources) {
  const found: Record<string, unknown> = {};
  for (const [key, value] of new URLSearchParams(query)) {
    const word = entryOf(words, key);
    const flag = entryOf(flags, key);
    if (word !== undefined) found[word] = value.replace(/^\/(?=.)/, "");
    else if (flag !== undefined) found[flag] = ["", "1", "true"].includes(value);
    else throw refuse(field, `has "${key}" in its query, which a git context does not know.`);
  }
  return found;
}
