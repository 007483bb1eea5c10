// Values of a Bake file that are written in two ways: as an object, or as a line like `type=image,push=true`. Pure.
// Forms: util/buildflags, buildx v0.38.2.

import { csvFieldsOf } from "../../buildrun/plan/csv.ts";

/** The attributes of an output, a cache, an attestation or a secret; `type` among them. */
export type Entry = Readonly<Record<string, string>>;

/** An SSH agent or key. */
export interface SshEntry {
  readonly id: string;
  readonly paths: readonly string[];
}

/** `key=value,…`, keys in lower case. Throws an Error with a sentence. */
export function pairsOf(line: string): Entry {
  return Object.fromEntries(
    csvFieldsOf(line).map((field) => {
      const at = field.indexOf("=");
      if (at < 0) throw new Error(`"${field}" is not of the form key=value.`);
      return [field.slice(0, at).trim().toLowerCase(), field.slice(at + 1)] as const;
    }),
  );
}

function withType(entry: Entry, line: string): Entry {
  if (entry["type"] === undefined) throw new Error(`"${line}" has no type.`);
  return entry;
}

/** A line of `output`: a bare word is a folder, `-` is a tar archive on the standard output. */
export function outputOf(line: string): Entry {
  if (line === "-") return { type: "tar", dest: "-" };
  if (!line.includes(",") && !line.startsWith("type=")) return { type: "local", dest: line };
  return withType(pairsOf(line), line);
}

/** Whether an output is loaded into a Docker engine, as `--load` says. */
export function isLoaded({ type, dest = "" }: Entry): boolean {
  return type === "docker" && dest === "";
}

/** A line of `cache-from` or `cache-to`: a bare word is a reference. */
export function cacheOf(line: string): Entry {
  if (!/[=,]/.test(line)) return { type: "registry", ref: line };
  return withType(pairsOf(line), line);
}

/** A line of `attest`. */
export function attestOf(line: string): Entry {
  return withType(pairsOf(line), line);
}

/** A line of `secret`: `source` is another word for `src`, and of type env both name a variable. */
export function secretOf(line: string): Entry {
  const { type, source, src = source, env, id } = pairsOf(line);
  const isVariable = type === "env" && env === undefined;
  const variable = isVariable ? src : env;
  return {
    ...(id === undefined ? {} : { id }),
    ...(src === undefined || isVariable ? {} : { src }),
    ...(variable === undefined ? {} : { env: variable }),
  };
}

/** A line of `ssh`: `id` or `id=path,…`. */
export function sshOf(line: string): SshEntry {
  const at = line.indexOf("=");
  if (at < 0) return { id: line, paths: [] };
  return { id: line.slice(0, at), paths: line.slice(at + 1).split(",") };
}
