// Everything that a decision about a Bake needs, gathered once: its plan, as long as it is needed, and its BuildRuns.

import type { Bake, BuildRun } from "../../api/v1alpha1/index.ts";
import { accountOf, readConfigMapText } from "../../buildrun/credentials.ts";
import { KilnError } from "../../errors/index.ts";
import type { KubeClient } from "../../kube/client.ts";
import { isControlledBy, type KubeObject } from "../../kube/object.ts";
import { readBakeText } from "../file/document.ts";
import { type BakePlan, ownFile, planBake } from "../plan/plan.ts";
import { absentOf } from "./decide.ts";

/** Where the world is read from. */
export interface WorldSources {
  readonly client: KubeClient;
  readonly runs: { get(key: string): BuildRun | undefined };
  now(): Date;
  readonly missingGraceMs: number;
}

/** A Bake and what concerns it. */
export interface BakeWorld {
  readonly bake: Bake;
  readonly now: Date;
  /** What it builds, or why that can't be told. Only there while BuildRuns are to be created. */
  readonly plan?: BakePlan | KilnError;
  /** BuildRuns of its targets, by target. */
  readonly runs: ReadonlyMap<string, BuildRun>;
  readonly missingGraceMs: number;
}

/** Gathers the world of a Bake. Throws what the API client throws. */
export async function gather(
  bake: Bake,
  from: WorldSources,
  signal: AbortSignal,
): Promise<BakeWorld> {
  const runs = runsOf(bake, from);
  const base = { bake, runs, now: from.now(), missingGraceMs: from.missingGraceMs };
  if (!needsPlan(bake, runs)) return base;
  return { ...base, plan: await planned(bake, from, signal) };
}

function needsPlan({ metadata, status }: Bake, runs: ReadonlyMap<string, BuildRun>): boolean {
  if (metadata.deletionTimestamp !== undefined || status?.completionTime !== undefined)
    return false;
  return status?.targets === undefined || absentOf(status.targets, runs).length > 0;
}

function runsOf(bake: Bake, { runs }: WorldSources): Map<string, BuildRun> {
  const targets = bake.status?.targets ?? [];
  return new Map(
    targets.flatMap(({ name, run }) => {
      const found = runs.get(`${bake.metadata.namespace ?? ""}/${run}`);
      // A stranger of this name is not ours.
      const isOurs = found !== undefined && isControlledBy(found, bake as KubeObject);
      return isOurs ? [[name, found] as const] : [];
    }),
  );
}

async function planned(
  bake: Bake,
  { client }: WorldSources,
  signal: AbortSignal,
): Promise<BakePlan | KilnError> {
  try {
    return planBake(bake, ownFile(bake) ?? readBakeText(await fileText(bake, client, signal)));
  } catch (error) {
    if (error instanceof KilnError) return error;
    throw error;
  }
}

async function fileText(bake: Bake, client: KubeClient, signal: AbortSignal): Promise<string> {
  const at = bake.spec.file.configMap ?? { name: "", key: "" };
  return await readConfigMapText(at, accountOf(bake), client, signal);
}
