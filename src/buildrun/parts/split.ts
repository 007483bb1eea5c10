// A run of several platforms that no instance builds for alone: which runs it is split into, one for each group of
// platforms. Pure. The parts are BuildRuns of their own: they queue, are placed and repeated as any other.

import type { BuildRun, BuildRunSpec } from "../../api/v1alpha1/index.ts";
import type { SolveFailure } from "../../agent/agent.ts";
import type { BuilderRef, Instance } from "../../builder/index.ts";
import { missingPlatforms } from "../../placement/platform.ts";
import { apiVersion } from "../../api/kinds.ts";
import { lackOf } from "../plan/engine.ts";
import type { SolvePlan } from "../plan/plan.ts";
import { partCache } from "./part-caches.ts";
import { partOutput } from "./part-outputs.ts";
import { finalFailure } from "../status/failure.ts";

/** Label of a part, with the name of the run that it is of. */
export const partOfLabel = "kiln.build/part-of";

/** One part, as the status of the whole run has it. */
export interface PartName {
  readonly run: string;
  readonly platforms: readonly string[];
}

const maxName = 63;

/** Names of the parts: the same every time, and nobody else's, since they have a piece of the run's UID. */
export function partsOf(
  { metadata }: BuildRun,
  groups: readonly (readonly string[])[],
): readonly PartName[] {
  const piece = (metadata.uid ?? "").replace(/-.*$/s, "");
  return groups.map((platforms, index) => {
    const suffix = `-${piece}-${index}`;
    return {
      run: `${metadata.name.slice(0, maxName - suffix.length).replace(/[-.]+$/, "")}${suffix}`,
      platforms,
    };
  });
}

/** Why the run can't be split; undefined: it can. */
export function unsplittable({ spec }: BuildRun): SolveFailure | undefined {
  const index = spec.outputs.findIndex(
    ({ image, docker }) =>
      docker?.to.engine !== undefined ||
      (image !== undefined && (!image.push || image.tags.length === 0)),
  );
  if (index < 0) return undefined;
  return finalFailure({
    class: "User",
    reason: "OutputNotSplittable",
    message: `spec.outputs[${index}] can not be made: no instance of the Builder builds for ${spec.platforms.join(", ")} together, and an image that is not pushed can not be put together from several. Push it, or start a run for each platform.`,
  });
}

/** Why its parts can't be made: some platforms have only Docker engines with the older image store, which lack something. */
export function unmakable(
  { request }: SolvePlan,
  groups: readonly (readonly string[])[],
  instances: readonly Instance[],
): SolveFailure | undefined {
  for (const group of groups) {
    const able = instances.filter(
      (one) => !one.terminating && missingPlatforms(group, one.platforms).length === 0,
    );
    const frontendAttrs = { ...request.frontendAttrs, platform: group.join(",") };
    const lacks = able.map((one) => lackOf({ ...request, frontendAttrs }, one));
    const [lack] = lacks;
    if (lack === undefined || lacks.includes(undefined)) continue;
    return finalFailure({
      class: "User",
      reason: "NotForEngine",
      message: `No instance of the Builder builds for all platforms together, and for ${group.join(", ")} there is only the Docker engine of ${able.map(({ id }) => id).join(", ")}, which keeps images in its older store and so cannot ${lack}: switch it to containerd's image store, add a node for the platform, or start a run for each platform.`,
    });
  }
  return undefined;
}

/** Whether this run is a part of another one, which is never split again. */
export function isPart({ metadata }: BuildRun): boolean {
  return metadata.labels?.[partOfLabel] !== undefined;
}

/** The run of a part, ready to be created. It is deleted with the whole run. */
export function partRun(run: BuildRun, { run: name, platforms }: PartName, builder: BuilderRef) {
  const { metadata, spec } = run;
  const { ttlAfterFinished: _, ...kept } = spec;
  return {
    apiVersion,
    kind: "BuildRun" as const,
    metadata: {
      name,
      ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
      labels: { ...metadata.labels, [partOfLabel]: metadata.name },
      ownerReferences: [
        {
          apiVersion,
          kind: "BuildRun",
          name: metadata.name,
          uid: metadata.uid ?? "",
          controller: true,
          blockOwnerDeletion: false,
        },
      ],
    },
    spec: {
      ...kept,
      builderRef: { kind: builder.kind, name: builder.name },
      platforms: [...platforms],
      outputs: spec.outputs.map((output) => partOutput(output, platforms)),
      cache: partCache(spec.cache, platforms),
    } satisfies BuildRunSpec,
  };
}
