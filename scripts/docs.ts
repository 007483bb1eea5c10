// Writes the tables of docs/ that are derived from the sources: fields of every kind from the CRD
// schemas, rights of the controller from the slices. Prose around the markers stays as it is.

import { customResourceDefinitions } from "../src/api/crd.ts";
import type { PolicyRule } from "../src/api/rbac.ts";
import { current, type GeneratedFile, main } from "./generated.ts";
import { slices } from "./slices.ts";

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
}

/** The pages with their tables, by the name in the marker. */
export async function files(): Promise<GeneratedFile[]> {
  const pages: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    "docs/builder.md": {
      "spec of Builder": fieldTable("builders", "spec"),
      "status of Builder": fieldTable("builders", "status"),
    },
    "docs/buildrun.md": {
      "spec of BuildRun": fieldTable("buildruns", "spec"),
      "status of BuildRun": fieldTable("buildruns", "status"),
    },
    "docs/bake.md": {
      "spec of Bake": fieldTable("bakes", "spec"),
      "status of Bake": fieldTable("bakes", "status"),
    },
    "docs/security.md": { "rights of the controller": await rightsTable() },
  };
  const list: GeneratedFile[] = [];
  for (const [path, tables] of Object.entries(pages)) {
    let content = await current(path);
    if (content === undefined) throw new Error(`${path} is missing`);
    for (const [name, table] of Object.entries(tables)) {
      content = replaceSection({ path, content, name, table });
    }
    list.push({ path, content });
  }
  return list;
}

interface Replacement {
  readonly path: string;
  readonly content: string;
  readonly name: string;
  readonly table: string;
}

function replaceSection({ path, content, name, table }: Replacement): string {
  const open = `<!-- generated: ${name} (scripts/docs.ts; do not edit) -->`;
  const close = "<!-- end -->";
  const from = content.indexOf(open);
  const to = content.indexOf(close, from);
  if (from < 0 || to < 0) throw new Error(`${path} has no ${open} … ${close}`);
  return `${content.slice(0, from)}${open}\n${table}\n${content.slice(to)}`;
}

function fieldTable(plural: string, part: "spec" | "status"): string {
  const crd = customResourceDefinitions().find(({ metadata }) =>
    metadata.name.startsWith(`${plural}.`),
  );
  if (crd === undefined) throw new Error(`there is no kind of plural ${plural}`);
  const [version] = crd.spec["versions"] as { schema: { openAPIV3Schema: Schema } }[];
  const root = version?.schema.openAPIV3Schema.properties?.[part] ?? {};
  const head =
    part === "spec"
      ? ["| field | type | default | what it is |", "|---|---|---|---|"]
      : ["| field | type | what it is |", "|---|---|---|"];
  const rows = [...members(root, "")].map(({ path, schema, required }) => {
    const standard = required ? "required" : literal(schema.default);
    const columns = [
      `\`${path}\``,
      typeOf(schema),
      ...(part === "spec" ? [standard] : []),
      cell(schema.description ?? ""),
    ];
    return `| ${columns.join(" | ")} |`;
  });
  return [...head, ...rows].join("\n");
}

interface Member {
  readonly path: string;
  readonly schema: Schema;
  readonly required: boolean;
}

function* members(schema: Schema, prefix: string): Generator<Member> {
  for (const [name, member] of Object.entries(schema.properties ?? {})) {
    const path = `${prefix}${name}`;
    yield { path, schema: member, required: schema.required?.includes(name) ?? false };
    yield* members(member, `${path}.`);
    if (member.items !== undefined) yield* members(member.items, `${path}[].`);
  }
}

function typeOf(schema: Schema): string {
  const { type, minimum, maximum, maxItems, maxProperties, items } = schema;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(", ");
  if (type === "array") return `list of ${typeOf(items ?? {})}, up to ${maxItems}`;
  if (schema.additionalProperties !== undefined) {
    return `map of ${typeOf(schema.additionalProperties)}, up to ${maxProperties}`;
  }
  if (type === "integer") return isOpen(maximum) ? "integer" : `${minimum} to ${maximum}`;
  if (type === "string") return "text";
  return type ?? "quantity";
}

/** A bound that says no more than that numbers end somewhere. */
function isOpen(maximum: number | undefined): boolean {
  return maximum === undefined || maximum > 1_000_000;
}

function literal(value: unknown): string {
  if (value === undefined) return "";
  return `\`${typeof value === "string" ? value || '""' : JSON.stringify(value)}\``;
}

/** Text that is safe in a table cell of Markdown. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}

async function rightsTable(): Promise<string> {
  const rows = (await slices()).flatMap(({ name, rules }) => rules.map((rule) => row(name, rule)));
  return ["| slice | where | what | verbs | why |", "|---|---|---|---|---|", ...rows].join("\n");
}

function row(slice: string, rule: PolicyRule): string {
  const names = rule.resourceNames === undefined ? "" : ` named ${rule.resourceNames.join(", ")}`;
  const group = rule.apiGroups.map((name) => name || "core").join(", ");
  const where = rule.scope === "Cluster" ? "every namespace" : "Kiln's namespace";
  const columns = [
    slice,
    where,
    `${rule.resources.join(", ")} (${group})${names}`,
    rule.verbs.join(", "),
    cell(rule.why),
  ];
  return `| ${columns.join(" | ")} |`;
}

await main(import.meta, files);
