// A git context as the Dockerfile frontend takes it: `<url>#<revision>:<subdirectory>`, or a query where more is asked,
// checked piece by piece, so that no piece can smuggle in another one.

import { KilnError } from "../../errors/index.ts";

/** The part of `spec.context.git` that says where the source is. */
export interface GitLocation {
  readonly url: string;
  readonly revision?: string | undefined;
  readonly subdirectory?: string | undefined;
  readonly submodules?: boolean | undefined;
  readonly keepGitDir?: boolean | undefined;
  readonly checksum?: string | undefined;
  readonly fetchByCommit?: boolean | undefined;
  readonly mtime?: "checkout" | "commit" | undefined;
}

/** A checked git location. `host` has the port when the URL has one: BuildKit names the session secret after it. */
export interface GitContext {
  readonly transport: "http" | "ssh";
  readonly host: string;
  /** The URL that BuildKit clones. */
  readonly remote: string;
  /** The frontend's `context` attribute. */
  readonly attribute: string;
  /** Whether the attribute has a query, which not every frontend reads. */
  readonly query: boolean;
}

const unsafe = /[\s#?\\\p{Cc}]/u;
const scpForm = /^([A-Za-z0-9_][A-Za-z0-9._-]*@)?([A-Za-z0-9][A-Za-z0-9.-]*):(?!\/\/)([^:]+)$/;

function invalid(field: string, message: string): KilnError {
  return new KilnError({
    class: "User",
    reason: "InvalidContext",
    message: `${field} ${message}`,
  });
}

type Remote = Omit<GitContext, "attribute" | "query">;

function remoteOf(url: string, field: string): Remote {
  if (unsafe.test(url) || url.startsWith("-"))
    throw invalid(
      field,
      "has a space, '#', '?' or control character; put branch and folder into revision and subdirectory.",
    );
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1]?.toLowerCase();
  if (scheme !== undefined) return fromUrl(url, scheme, field);
  const host = scpForm.exec(url)?.[2];
  if (host !== undefined) return { transport: "ssh", host, remote: url };
  throw invalid(
    field,
    'must look like "https://host/path.git", "ssh://git@host/path.git" or "git@host:path.git".',
  );
}

function fromUrl(url: string, scheme: string, field: string): Remote {
  if (!["http", "https", "ssh"].includes(scheme))
    throw invalid(field, `has the scheme "${scheme}"; use https, http or ssh.`);
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || parsed.host === "" || parsed.pathname.length < 2)
    throw invalid(field, "needs a host and a path.");
  if (scheme === "ssh") return { transport: "ssh", host: parsed.host, remote: url };
  if (parsed.username !== "" || parsed.password !== "")
    throw invalid(
      field,
      "has a user name or password in it; put them into a Secret and name it in credentials.",
    );
  // The frontend takes an http(s) URL for a git repository only when its path ends in .git; hosting
  // services serve the same repository under both names.
  const remote = parsed.pathname.endsWith(".git") ? url : `${url.replace(/\/+$/, "")}.git`;
  return { transport: "http", host: parsed.host, remote };
}

function checkedRevision(revision: string, field: string): string {
  const bad =
    unsafe.test(revision) || /[:~^*[]|\.\.|@\{/.test(revision) || revision.startsWith("-");
  if (bad || revision.startsWith("/") || revision.endsWith("/") || revision.endsWith(".lock"))
    throw invalid(field, `"${revision.slice(0, 80)}" is no branch, tag, commit or refs/… name.`);
  return revision;
}

function checkedSubdirectory(subdirectory: string, field: string): string {
  const parts = subdirectory.split("/").filter((part) => part !== "" && part !== ".");
  if (
    unsafe.test(subdirectory) ||
    subdirectory.startsWith("/") ||
    parts.includes("..") ||
    subdirectory.includes(":")
  )
    throw invalid(field, 'must be a relative path inside the repository, without ".." and ":".');
  return parts.join("/");
}

/** What only the query form can say, which needs a frontend of Dockerfile 1.18 or later (BuildKit 0.24). */
function queryOf(location: GitLocation): [key: string, value: string][] {
  const { submodules, keepGitDir, checksum, mtime, fetchByCommit } = location;
  const asked = {
    submodules,
    "keep-git-dir": keepGitDir,
    checksum,
    mtime,
    "fetch-by-commit": fetchByCommit,
  };
  return Object.entries(asked).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, String(value)] as [string, string]],
  );
}

/**
 * Checks a git location and renders it for BuildKit. `field` is where it stands in the spec. Throws `KilnError`
 * `InvalidContext` that names the field.
 */
export function gitContext(location: GitLocation, field = "spec.context.git"): GitContext {
  const at = (name: string): string => `${field}.${name}`;
  const { transport, host, remote } = remoteOf(location.url, at("url"));
  const revision = checkedRevision(location.revision ?? "", at("revision"));
  const subdirectory = checkedSubdirectory(location.subdirectory ?? "", at("subdirectory"));
  const query = queryOf(location);
  if (query.length > 0) {
    const all = new URLSearchParams(query);
    if (revision !== "") all.set("ref", revision);
    if (subdirectory !== "") all.set("subdir", subdirectory);
    return { transport, host, remote, attribute: `${remote}?${all.toString()}`, query: true };
  }
  const fragment = subdirectory === "" ? revision : `${revision}:${subdirectory}`;
  const attribute = fragment === "" ? remote : `${remote}#${fragment}`;
  return { transport, host, remote, attribute, query: false };
}
