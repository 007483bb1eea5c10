// Which buildkitd.toml do the pods of a Builder get? What the Builder's own text says, or else the
// controller's, together with its typed fields. Pure.

import { parse, stringify, TomlError, type TomlTable } from "smol-toml";
import type { BuilderSpec } from "../../api/v1alpha1/index.ts";
import type { Problem } from "../health/problem.ts";
import { lintConfig } from "./lint.ts";
import { bytesOfQuantity } from "../../api/quantity.ts";
import { typedConfig } from "./typed.ts";

/** What the configuration is made of. */
export type ConfigSpec = Pick<BuilderSpec, "buildkitd" | "allow" | "kubernetes">;

/** The text, undefined when there is nothing to say; or why there is none. */
export type DaemonConfig = { readonly text: string | undefined } | { readonly problem: Problem };

/** Lints and merges. `fallback` is the controller's buildkitd.toml, for Builders that bring none. */
export function daemonConfig(spec: ConfigSpec, fallback: string | undefined): DaemonConfig {
  const own = spec.buildkitd?.config;
  const typed = typedConfig(spec.buildkitd, spec.allow);
  if (own === undefined) return ofController(fallback, typed);
  const linted = lintConfig(own, {
    entitlements: spec.allow.entitlements,
    volumeBytes: volumeBytes(spec),
  });
  if ("fault" in linted) return invalid(`spec.buildkitd.config: ${linted.fault}`);
  // The same grant in both places is no contradiction: the lint holds it against the list.
  const { "insecure-entitlements": _, ...rest } = linted.table;
  const twice = conflict(rest, typed, []);
  if (twice !== undefined) {
    return invalid(
      `spec.buildkitd.config sets ${twice}, and so does a field of spec.buildkitd or spec.allow: remove one of them.`,
    );
  }
  return Object.keys(typed).length === 0 ? { text: own } : { text: merged(rest, typed) };
}

/** The controller's text gives way to what a Builder says, and grants nothing that no Builder allows. */
function ofController(fallback: string | undefined, typed: TomlTable): DaemonConfig {
  if (fallback === undefined)
    return { text: Object.keys(typed).length === 0 ? undefined : merged({}, typed) };
  let table: TomlTable;
  try {
    table = parse(fallback);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    return invalid(
      `The controller's own buildkitd.toml is no TOML in line ${error.line}: ask whoever installed Kiln to correct it.`,
    );
  }
  const { "insecure-entitlements": granted, ...rest } = table;
  const isAsItIs = granted === undefined && Object.keys(typed).length === 0;
  return { text: isAsItIs ? fallback : merged(rest, typed) };
}

function volumeBytes({ kubernetes }: ConfigSpec): number | undefined {
  const size = kubernetes?.storage?.size ?? kubernetes?.tmpfs?.size;
  return size === undefined ? undefined : bytesOfQuantity(size);
}

/** The first key that both set, as `a.b`; tables are looked into. */
function conflict(a: TomlTable, b: TomlTable, path: readonly string[]): string | undefined {
  for (const [key, value] of Object.entries(b)) {
    const other = a[key];
    if (other === undefined) continue;
    const here = [...path, key];
    if (!isTable(value) || !isTable(other)) return here.join(".");
    const deeper = conflict(other, value, here);
    if (deeper !== undefined) return deeper;
  }
  return undefined;
}

function merged(base: TomlTable, over: TomlTable): string {
  return `${stringify(merge(base, over)).trimEnd()}\n`;
}

/** Tables are merged, everything else of `over` replaces what `base` has. */
function merge(base: TomlTable, over: TomlTable): TomlTable {
  const result: TomlTable = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const other = result[key];
    result[key] = isTable(value) && isTable(other) ? merge(other, value) : value;
  }
  return result;
}

function isTable(value: unknown): value is TomlTable {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)
  );
}

function invalid(message: string): DaemonConfig {
  return { problem: { reason: "InvalidConfig", message } };
}
