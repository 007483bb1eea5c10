// What a Bake builds: the BuildRuns of its targets, in an order in which each comes after those that it builds from. Pure.

import { createHash } from "node:crypto";
import type { Bake, BuildRunSpecInput } from "../../api/v1alpha1/index.ts";
import { chosen } from "../file/choose.ts";
import { type BakeFile, readBakeFile, readBakeText } from "../file/document.ts";
import { overridden } from "../file/overrides.ts";
import { targetSpec } from "./target.ts";

/** A target and its BuildRun. */
export interface TargetPlan {
  readonly name: string;
  /** Name of the BuildRun. */
  readonly run: string;
  readonly needs: readonly string[];
  readonly spec: BuildRunSpecInput;
}

/** All targets. */
export interface BakePlan {
  readonly targets: readonly TargetPlan[];
  /** sha256:<hex> of what the BuildRuns will be. */
  readonly digest: string;
}

const maxName = 63;

/** The file of a Bake that is written in it; undefined: it is in a ConfigMap. Throws `KilnError` `BakeFileInvalid`. */
export function ownFile({ spec: { file } }: Pick<Bake, "spec">): BakeFile | undefined {
  if (file.inline !== undefined) return readBakeFile(file.inline);
  return file.text === undefined ? undefined : readBakeText(file.text);
}

/** The plan of a Bake with this file. The same Bake and file give the same plan. Throws `KilnError` of class User. */
export function planBake(bake: Pick<Bake, "metadata" | "spec">, file: BakeFile): BakePlan {
  const { spec } = bake;
  const set = spec.push ? [...spec.set, "*.push=true"] : spec.set;
  const all = chosen(overridden(file, set), spec.targets);
  const runOf = (target: string): string => runName(bake, target);
  const needed = new Set(all.flatMap(({ needs }) => needs));
  const targets = all.map((one): TargetPlan => {
    const { name, needs } = one;
    const built = targetSpec(one, { bake: spec, isNeeded: needed.has(name), runOf });
    return { name, run: runOf(name), needs, spec: built };
  });
  const digest = createHash("sha256").update(JSON.stringify(targets)).digest("hex");
  return { targets, digest: `sha256:${digest}` };
}

/** The same every time, and no other Bake's: it has a piece of the UID, and a hash where the name has to be cut. */
function runName({ metadata }: Pick<Bake, "metadata">, target: string): string {
  const piece = (metadata.uid ?? "").replace(/-.*$/s, "");
  const word = target.toLowerCase().replaceAll(/[^a-z0-9-]+/g, "-");
  const hash = createHash("sha256").update(`${metadata.name}/${target}`).digest("hex").slice(0, 6);
  const suffix = piece === "" ? hash : `${piece}-${hash}`;
  const room = maxName - suffix.length - 1;
  const stem = `${metadata.name}-${word}`.slice(0, room).replace(/[-.]+$/, "");
  return `${stem}-${suffix}`;
}
