// What a build used, read out of the provenance that the daemon keeps for every solve: the commit, the archive, the
// base images. Both predicate versions (v0.2 `materials`, v1 `resolvedDependencies`) say the same in other words.

import type { SolveFacts } from "../agent.ts";

interface Material {
  readonly uri: string;
  readonly digest: Readonly<Record<string, string>>;
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function materialOf(value: unknown): Material | undefined {
  const { uri, digest } = recordOf(value) as { uri?: unknown; digest?: unknown };
  if (typeof uri !== "string") return undefined;
  const digests = Object.entries(recordOf(digest)).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  return { uri, digest: Object.fromEntries(digests) };
}

function materialsOf(statement: unknown): Material[] {
  const outer = recordOf(statement);
  const predicate = recordOf(outer["predicate"] ?? outer);
  const definition = recordOf(predicate["buildDefinition"]);
  const list = predicate["materials"] ?? definition["resolvedDependencies"];
  if (!Array.isArray(list)) return [];
  return list.map(materialOf).filter((material) => material !== undefined);
}

/** `pkg:docker/debian@bookworm-slim?platform=linux%2Famd64` → `debian:bookworm-slim`. */
function imageRefOf(uri: string): string | undefined {
  const match = /^pkg:docker\/([^?]+)/.exec(uri);
  if (match?.[1] === undefined) return undefined;
  const [name, tag] = match[1].split("@", 2).map((part) => decodeURIComponent(part));
  if (name === undefined || name === "") return undefined;
  return tag === undefined ? name : `${name}:${tag}`;
}

function withoutFragment(url: string): string {
  return (url.split("#", 1)[0] ?? url).replace(/^git\+/, "");
}

/** Host and path: what is left when transport and user differ (`git@host:a.git`, `ssh://xxxxx@host/a.git`). */
function placeOf(url: string): string {
  const bare = withoutFragment(url).replace(/^[a-z+]+:\/\//i, "");
  const atHost = bare.replace(/^[^/@]*@/, "");
  return bare === withoutFragment(url) ? atHost.replace(/:\/?/, "/") : atHost;
}

/**
 * The facts of one in-toto statement (or bare predicate), already parsed from JSON. `context` is the frontend's
 * `context` attribute: it tells the build's own source from sources that the Dockerfile adds.
 */
export function provenanceFacts(
  statement: unknown,
  context: string | undefined,
): Pick<SolveFacts, "git" | "http" | "baseImages"> {
  const materials = materialsOf(statement);
  const images = new Map<string, { ref: string; digest: string }>();
  for (const { uri, digest } of materials) {
    const ref = imageRefOf(uri);
    const sha = digest["sha256"];
    if (ref !== undefined && sha !== undefined)
      images.set(`${ref}@${sha}`, { ref, digest: `sha256:${sha}` });
  }
  const own =
    context === undefined
      ? undefined
      : materials.find(({ uri }) => placeOf(uri) === placeOf(context));
  const commit = own?.digest["sha1"];
  const checksum = own?.digest["sha256"];
  const url = own === undefined ? "" : withoutFragment(own.uri);
  return {
    ...(commit === undefined ? {} : { git: { url, commit } }),
    ...(checksum === undefined || commit !== undefined
      ? {}
      : { http: { url, checksum: `sha256:${checksum}` } }),
    baseImages: [...images.values()],
  };
}
