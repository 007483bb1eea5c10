// Runs whose image is a context of this one: what is known of them, and what follows. Pure.

import type { SolveFailure } from "../../agent/agent.ts";
import type { BuildRun } from "../../api/v1alpha1/index.ts";
import { parseReference, referenceText } from "../../registry/reference.ts";
import { finalFailure } from "../status/failure.ts";

/** What another run means for the one that names it. */
export type OtherRun =
  /** Its image, pinned: `registry/repository@sha256:…`. */
  | { readonly kind: "ready"; readonly ref: string }
  | {
      readonly kind: "wait";
      readonly reason: string;
      readonly message: string;
      readonly stalled: boolean;
    }
  | { readonly kind: "fail"; readonly failure: SolveFailure };

/** Names of the runs that are contexts of this one. */
export function namedRuns({ spec }: Pick<BuildRun, "spec">): string[] {
  return (spec.buildContexts ?? []).flatMap(({ buildRun }) =>
    buildRun === undefined ? [] : [buildRun.name],
  );
}

/** Looks at the run of this name. `get` finds runs of the namespace. */
export function otherRun(
  self: BuildRun,
  name: string,
  get: (name: string) => BuildRun | undefined,
): OtherRun {
  if (isInCircle(self, name, get))
    return fail(
      "BuildRunCircle",
      `BuildRun "${name}" waits for this one, directly or by others: start a new run without it in spec.buildContexts.`,
    );
  const other = get(name);
  if (other === undefined)
    return {
      kind: "wait",
      reason: "BuildRunNotFound",
      message: `There is no BuildRun "${name}", whose image is a context of this run: create it, or start a new run without it.`,
      stalled: true,
    };
  if (other.status?.completionTime === undefined) {
    const phase = other.status?.phase ?? "Pending";
    const message = `Waits for BuildRun "${name}", whose image is a context of this run; it is ${phase}.`;
    return { kind: "wait", reason: "WaitingForBuildRun", message, stalled: false };
  }
  if (other.status.phase !== "Succeeded")
    return fail(
      "BuildRunFailed",
      `BuildRun "${name}", whose image is a context of this run, is ${other.status.phase ?? "over"}: see why, and start both anew.`,
    );
  const ref = imageOf(other);
  return ref === undefined
    ? fail(
        "BuildRunWithoutImage",
        `BuildRun "${name}" pushed no image that this run could use as a context: give it an image output with push.`,
      )
    : { kind: "ready", ref };
}

function fail(reason: string, message: string): OtherRun {
  return { kind: "fail", failure: finalFailure({ class: "User", reason, message }) };
}

/** The first image that it pushed, by digest: a tag may have moved since. */
function imageOf({ spec, status }: BuildRun): string | undefined {
  const pushes = spec.outputs.flatMap(({ image }) => (image?.push === true ? image.tags : []));
  const made = status?.outputs?.find(
    ({ image }) => image?.tags.some((tag) => pushes.includes(tag)) ?? false,
  )?.image;
  if (made === undefined) return undefined;
  const { domain, repository } = parseReference(made.tags[0] ?? "");
  return referenceText({ domain, repository, digest: made.digest });
}

function isInCircle(
  self: BuildRun,
  name: string,
  get: (name: string) => BuildRun | undefined,
): boolean {
  const seen = new Set<string>();
  const ahead = [name];
  for (let next = ahead.pop(); next !== undefined; next = ahead.pop()) {
    if (next === self.metadata.name) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    const run = get(next);
    // A run that is over waits for nothing.
    if (run !== undefined && run.status?.completionTime === undefined)
      ahead.push(...namedRuns(run));
  }
  return false;
}
