// What is wrong with a buildkitd.toml that a person wrote? Read before a daemon sees it, because the
// daemon either overlooks the mistake or dies of it. Pure; names the key and its line.

import { parse, TomlError, type TomlTable } from "smol-toml";
import type { z } from "zod";
import { BuildkitdToml, ownedTables } from "./known.ts";
import { bytesOfSize } from "../../api/quantity.ts";

/** What the Builder allows, which the text must not exceed. */
export interface LintLimits {
  /** `spec.allow.entitlements`. */
  readonly entitlements: readonly string[];
  /** Size of the volume or tmpfs in bytes; undefined without either. */
  readonly volumeBytes: number | undefined;
}

/** The text as a table, or one sentence that says what to change. */
export type Linted = { readonly table: TomlTable } | { readonly fault: string };

/** Reads and checks the text. The first fault is told: most fundamental first. */
export function lintConfig(text: string, limits: LintLimits): Linted {
  let table: TomlTable;
  try {
    table = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const what = error.message.split("\n")[0]?.replace("Invalid TOML document: ", "") ?? "";
    return { fault: `line ${error.line}, column ${error.column} is no TOML: ${what}.` };
  }
  const fault = unknown(table) ?? policy(table, limits);
  return fault === undefined ? { table } : { fault: withLine(fault, text) };
}

interface Fault {
  readonly path: readonly PropertyKey[];
  readonly says: string;
}

function unknown(table: TomlTable): Fault | undefined {
  for (const [key, why] of Object.entries(ownedTables)) {
    if (table[key] !== undefined) return { path: [key], says: `is not yours to set: ${why}` };
  }
  if (member(table, ["worker", "containerd"]) !== undefined)
    return {
      path: ["worker", "containerd"],
      says: "has no effect: there is no containerd in the pod",
    };
  const result = BuildkitdToml.safeParse(table);
  if (result.success) return undefined;
  const [issue] = result.error.issues;
  return issue === undefined ? undefined : faultOf(issue);
}

function faultOf(issue: z.core.$ZodIssue): Fault {
  if (issue.code !== "unrecognized_keys")
    return { path: issue.path, says: `has a wrong value: ${issue.message}` };
  const [key = ""] = issue.keys;
  return {
    path: [...issue.path, key],
    says: "is no key of buildkitd.toml (BuildKit would overlook it): correct or remove it",
  };
}

/** Rules over what is well-formed. */
function policy(table: TomlTable, limits: LintLimits): Fault | undefined {
  const { data: config } = BuildkitdToml.safeParse(table);
  if (config === undefined) return undefined;
  const asked = config["insecure-entitlements"] ?? [];
  const forbidden = asked.find((one) => !limits.entitlements.includes(one));
  if (forbidden !== undefined) {
    const says = `grants ${forbidden}, which spec.allow.entitlements does not: add it there or remove it here`;
    return { path: ["insecure-entitlements"], says };
  }
  const worker = config.worker?.oci;
  const rules = worker?.gcpolicy ?? [];
  const path = ["worker", "oci", "gcpolicy"];
  if (
    rules.length > 0 &&
    !rules.some(({ all, filters = [] }) => all === true && filters.length === 0)
  ) {
    const rule = rules.length === 1 ? "this one rule" : `these ${rules.length} rules`;
    const says = `replaces all of BuildKit's rules by ${rule}, and what no rule is about is never removed: add a last one with all = true and no filters, or set maxUsedSpace of worker.oci, which keeps the rules`;
    return { path, says };
  }
  return (
    tooLarge(worker ?? {}, ["worker", "oci"], limits) ??
    rules.map((rule) => tooLarge(rule, path, limits)).find((fault) => fault !== undefined)
  );
}

const spaces = ["reservedSpace", "maxUsedSpace", "keepBytes", "gckeepstorage"] as const;

function tooLarge(
  table: Partial<Record<(typeof spaces)[number], string | number | undefined>>,
  path: readonly string[],
  { volumeBytes }: LintLimits,
): Fault | undefined {
  for (const key of spaces) {
    const value = table[key];
    if (value === undefined || volumeBytes === undefined) continue;
    const bytes = bytesOfSize(value);
    if (bytes === undefined || bytes <= volumeBytes) continue;
    const says = `is ${value}, more than the ${volumeBytes} bytes of the volume: lower it or make the volume larger`;
    return { path: [...path, key], says };
  }
  return undefined;
}

function member(table: TomlTable, path: readonly string[]): unknown {
  let value: unknown = table;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

function withLine({ path, says }: Fault, text: string): string {
  const keys = path.filter((part): part is string => typeof part === "string");
  const line = lineOf(keys, text);
  const at = line === undefined ? "" : ` (line ${line})`;
  return `${keys.map(written).join(".")}${at} ${says}.`;
}

/** As it is written in TOML: quoted if it has to be. */
function written(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key);
}

/**
 * The 1-based line on which the last of `keys` is first set: by its name, in the table of the others.
 * Undefined where it is written in a way that this simple reading does not see.
 */
export function lineOf(keys: readonly string[], text: string): number | undefined {
  const last = keys.at(-1) ?? "";
  const parents = keys.slice(0, -1).join("\0");
  const all = keys.join("\0");
  let table = "";
  for (const [index, line] of text.split("\n").entries()) {
    const header = /^\s*\[{1,2}([^\]]+)\]{1,2}/.exec(line);
    if (header !== null) {
      table = dotted(header[1] ?? "").join("\0");
      if (table === all || table.startsWith(`${all}\0`)) return index + 1;
      continue;
    }
    const key = dotted(/^\s*([^=#]+?)\s*=/.exec(line)?.[1] ?? "");
    const full = [...(table === "" ? [] : [table]), ...key].join("\0");
    if (full === all || (key[0] === last && table === parents)) return index + 1;
  }
  return undefined;
}

/** The parts of a key such as `registry."docker.io".http`. */
function dotted(key: string): string[] {
  return [...key.matchAll(/"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare ?? "",
  );
}
