// Would the API server take these manifests? As far as the schemas can tell without one: `kiln lint`.

import { LineCounter, parseAllDocuments } from "yaml";
import { apiVersion, kinds } from "../api/kinds.ts";
import { specFault } from "../builder/index.ts";
import {
  InvalidResource,
  parseBake,
  parseBuilder,
  parseBuildRun,
  parseClusterBuilder,
} from "../api/parse.ts";
import { ownFile, planBake } from "../bake/index.ts";
import { KilnError } from "../errors/index.ts";

/** One thing that is wrong with a file. */
export interface Finding {
  /** 1-based line of the document, or of the place that is no YAML. */
  readonly line: number;
  /** `BuildRun web`, or "" where no object could be read. */
  readonly object: string;
  /** One sentence that names the field. */
  readonly message: string;
}

/** What was looked at in a file. */
export interface LintResult {
  /** Objects of Kiln; others are passed over. */
  readonly checked: number;
  readonly findings: readonly Finding[];
}

/** Throw `InvalidResource`, or give what no schema sees. */
const checks: Readonly<Record<string, (object: unknown) => string | undefined>> = {
  Builder: (object) => specFault(parseBuilder(object).spec),
  ClusterBuilder: (object) => specFault(parseClusterBuilder(object).spec),
  BuildRun: (object) => {
    parseBuildRun(object);
    return undefined;
  },
  Bake: (object) => {
    const bake = parseBake(object);
    const file = ownFile(bake);
    // A file in a ConfigMap is nothing that a manifest shows.
    if (file !== undefined) planBake(bake, file);
    return undefined;
  },
};

interface Named {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
  readonly metadata?: { readonly name?: unknown };
}

/** Checks every Kiln object in YAML text of one or more documents. Never throws. */
export function lint(text: string): LintResult {
  const lines = new LineCounter();
  const findings: Finding[] = [];
  let checked = 0;
  for (const document of parseAllDocuments(text, { lineCounter: lines })) {
    const { line } = lines.linePos(document.contents?.range?.[0] ?? document.range[0]);
    const [broken] = document.errors;
    if (broken !== undefined) {
      const at = broken.linePos?.[0].line ?? line;
      findings.push({ line: at, object: "", message: broken.message.split("\n")[0] ?? "" });
      continue;
    }
    const object = document.toJS() as Named | null;
    if (object?.apiVersion !== apiVersion) continue;
    checked += 1;
    const message = refusal(object);
    if (message !== undefined) findings.push({ line, object: nameOf(object), message });
  }
  return { checked, findings };
}

function nameOf({ kind, metadata }: Named): string {
  const name = metadata?.name;
  return typeof name === "string" ? `${String(kind)} ${name}` : String(kind);
}

function refusal(object: Named): string | undefined {
  const check = checks[String(object.kind)];
  if (check === undefined) {
    const known = kinds.map(({ kind }) => kind).join(", ");
    return `kind: ${apiVersion} has no ${String(object.kind)}; use one of ${known}.`;
  }
  try {
    return check(object);
  } catch (error) {
    if (error instanceof InvalidResource || error instanceof KilnError) return error.message;
    throw error;
  }
}
