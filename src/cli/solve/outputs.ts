// --output: exporters of a build, and where on this machine what they make goes. As buildctl reads it.
import { statSync } from "node:fs";
import {
  layoutExport,
  toDirectory,
  toFile,
  toStream,
  type ExportTarget,
  type LayoutExport,
  type TypedAttrs,
} from "../../buildkit/index.ts";
import { goBoolean } from "../../buildrun/plan/csv.ts";
import { csvPairs } from "../csv.ts";
import { invalidFlag } from "../flag-error.ts";

const flag = "--output";

/** What becomes of one output: on this machine (`dest`), or nothing of it is ours to keep. */
export interface OutputPlan {
  readonly type: string;
  /** Without `type`, and without `dest` where it is for us. */
  readonly attrs: Readonly<Record<string, string>>;
  readonly goes: "elsewhere" | "file" | "stdout" | "directory" | "layout";
  readonly dest: string;
}

/** Outputs of a session. */
export interface Outputs {
  readonly exporters: readonly TypedAttrs[];
  /** By the place of the exporter. */
  readonly targets: Readonly<Record<number, ExportTarget>>;
  readonly layouts: readonly LayoutExport[];
}

function kindOf(
  type: string,
  attrs: ReadonlyMap<string, string>,
): "file" | "directory" | "layout" | "elsewhere" {
  if (type === "local") return "directory";
  if (type === "tar") return "file";
  if (type !== "oci" && type !== "docker") return "elsewhere";
  return (goBoolean(attrs.get("tar")) ?? true) ? "file" : "layout";
}

function checkFile(dest: string): void {
  if (statSync(dest, { throwIfNoEntry: false })?.isDirectory() === true)
    throw invalidFlag(flag, `dest=${dest} is a folder; give the name of a file.`);
}

/** Reads one value; looks at `dest`, but makes nothing. Throws KilnError User/InvalidFlag. */
export function parseOutput(value: string, isTerminal: boolean): OutputPlan {
  const attrs = csvPairs(flag, value);
  const type = attrs.get("type") ?? "";
  if (type === "") throw invalidFlag(flag, `${value} needs type=…, such as type=image.`);
  const wrong = attrs.get("output");
  if (wrong !== undefined)
    throw invalidFlag(flag, `output=${wrong} is no attribute; you mean dest=${wrong}.`);
  const dest = attrs.get("dest") ?? "";
  const kind = kindOf(type, attrs);
  attrs.delete("type");
  if (kind !== "elsewhere") attrs.delete("dest");
  const plan = { type, attrs: Object.fromEntries(attrs), dest };
  if (kind === "elsewhere") {
    if (dest !== "") throw invalidFlag(flag, `type=${type} has no dest.`);
    return { ...plan, goes: kind };
  }
  if (kind === "directory" || kind === "layout") {
    if (dest === "") throw invalidFlag(flag, `type=${type} needs dest=folder.`);
    return { ...plan, goes: kind };
  }
  if (dest !== "" && dest !== "-") {
    checkFile(dest);
    return { ...plan, goes: "file" };
  }
  if (isTerminal)
    throw invalidFlag(
      flag,
      `type=${type} needs dest=file, or standard output that is no terminal.`,
    );
  return { ...plan, goes: "stdout" };
}

/** Makes folders where they are missing. Throws KilnError User/InvalidFlag. */
export async function openOutputs(plans: readonly OutputPlan[]): Promise<Outputs> {
  const targets: Record<number, ExportTarget> = {};
  const layouts: LayoutExport[] = [];
  const exporters: TypedAttrs[] = [];
  for (const [index, { type, attrs, goes, dest }] of plans.entries()) {
    if (goes === "layout" && layouts.length > 0)
      throw invalidFlag(flag, "a build can have one output with tar=false.");
    if (goes === "layout") {
      const layout = await layoutExport(dest, { type, attrs });
      layouts.push(layout);
      exporters.push(layout.exporter);
      continue;
    }
    exporters.push({ type, attrs });
    if (goes === "file") targets[index] = toFile(dest);
    if (goes === "stdout") targets[index] = toStream(process.stdout);
    if (goes === "directory")
      targets[index] = toDirectory(dest, attrs["mode"] === "delete" ? { mode: "delete" } : {});
  }
  return { exporters, targets, layouts };
}
