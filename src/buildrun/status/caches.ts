// What became of the caches of a run: `status.cache` and the condition `CacheExported`. Pure.

import type { SolveFacts } from "../../agent/agent.ts";
import { only } from "../../api/schema.ts";
import type { BuildRun, CacheExport, CacheImport, CacheReport } from "../../api/v1alpha1/index.ts";
import {
  type CacheResult,
  counts,
  exportResults,
  importResults,
  type Progress,
} from "./progress.ts";
import { cut } from "./text.ts";

type Kind = "registry" | "s3" | "azblob" | "gha" | "local";
type Export = NonNullable<CacheReport["exports"]>[number];
type Import = NonNullable<CacheReport["imports"]>[number];

const maxRef = 300;

/** What BuildKit names the step of an export (cache/remotecache, v0.34.2). */
const stepNames: Readonly<Record<Kind, string>> = {
  registry: "exporting cache to registry",
  s3: "exporting cache to Amazon S3",
  azblob: "exporting cache to Azure Blob Storage",
  gha: "exporting to GitHub Actions Cache",
  local: "exporting cache to client directory",
};

/** A cache in one line, without anything that belongs to a login. */
function refOf({ registry, s3, azblob, gha, local }: CacheImport | CacheExport): string {
  const named = (place: string, names: readonly string[]): string =>
    names.length === 0 ? place : `${place} (${names.join(", ")})`;
  if (registry !== undefined) return registry.ref;
  if (s3 !== undefined) return named(`s3://${s3.bucket}/${s3.prefix ?? ""}`, s3.names);
  if (azblob !== undefined) {
    const place = `${azblob.accountUrl}/${azblob.container ?? "buildkit-cache"}`;
    return named(`${place}/${azblob.prefix ?? ""}`, azblob.names);
  }
  if (gha !== undefined) return gha.scope ?? "buildkit";
  return local?.name ?? "";
}

/** BuildKit names an import by its reference, or by its kind and a number of its own. */
function imported(run: BuildRun, { name, ok, message }: CacheResult): Import {
  const told = { ok, ...(message === undefined ? {} : { message }) };
  const type = /^(s3|azblob|gha|local):\d+$/.exec(name)?.[1] as Kind | undefined;
  if (type === undefined) return { type: "registry", ref: cut(name, maxRef), ...told };
  const entries = run.spec.cache.from.filter((entry) => entry[type] !== undefined);
  const [first] = entries;
  const ref = entries.length === 1 && first !== undefined ? refOf(first) : type;
  return { type, ref: cut(ref, maxRef), ...told };
}

function exported(
  entry: CacheExport,
  {
    results,
    digest,
    succeeded,
  }: {
    readonly results: readonly CacheResult[];
    readonly digest: string | undefined;
    readonly succeeded: boolean;
  },
): Export[] {
  const { kind } = only(entry);
  // Inline cache is part of the image: it has no step of its own, and fails with the export or not at all.
  if (kind === "inline") return succeeded ? [{ type: kind, inline: true, ok: true }] : [];
  // Steps don't tell two exports of one kind apart: the first failure counts for all of them.
  const own = results.filter(({ name }) => name === stepNames[kind]);
  const told = own.find(({ ok }) => !ok) ?? own[0];
  if (told === undefined) return [];
  const { ok, message, layers } = told;
  return [
    {
      type: kind,
      ref: cut(refOf(entry), maxRef),
      ok,
      ...(ok && own.length === 1 && layers !== undefined ? { layers } : {}),
      ...(ok && digest !== undefined && (kind === "registry" || kind === "local")
        ? { digest }
        : {}),
      ...(message === undefined ? {} : { message }),
    },
  ];
}

/** What the cache did. An export that the daemon says nothing of is left out: nobody knows. */
export function cacheOf(run: BuildRun, progress: Progress, facts?: SolveFacts): CacheReport {
  const { total, cached } = counts(progress);
  const imports = importResults(progress).map((result) => imported(run, result));
  const told = {
    results: exportResults(progress, Object.values(stepNames)),
    // The daemon tells one digest, whichever of several exports it is of.
    digest: facts?.cacheDigest,
    succeeded: facts !== undefined,
  };
  const exports = run.spec.cache.to.flatMap((entry) => exported(entry, told));
  return { steps: total, cached, imports: imports.slice(0, 16), exports };
}

/** `CacheExported`; undefined when no export was asked for, or nobody knows of one. */
export function cacheCondition(
  report: CacheReport | undefined,
): { status: "True" | "False"; reason: string; message: string } | undefined {
  const exports = report?.exports ?? [];
  if (exports.length === 0) return undefined;
  const failed = exports.filter(({ ok }) => !ok);
  const named = (list: readonly Export[]): string =>
    list.map(({ type, ref }) => (ref === undefined ? `${type}` : `${type} ${ref}`)).join(", ");
  if (failed.length === 0)
    return { status: "True", reason: "Exported", message: `Wrote the cache to ${named(exports)}.` };
  const why = failed.find(({ message }) => message !== undefined)?.message;
  const message = `The cache was not written to ${named(failed)}${why === undefined ? "." : `: ${why}`}`;
  return { status: "False", reason: "ExportFailed", message };
}
