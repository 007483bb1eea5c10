// What is wrong with a Builder that no schema sees: its buildkitd.toml and the patch of its pods. For
// `kiln lint`; the controller says the same in status. Pure.

import type { BuilderSpec } from "../api/v1alpha1/index.ts";
import { daemonConfig } from "./config/daemon.ts";
import { driverField, type PodGroup, podGroups } from "./kubernetes/groups.ts";
import { guardPatch, PatchError, strategicMerge } from "./kubernetes/patch.ts";
import { buildkitdContainer } from "./kubernetes/agent-container.ts";

/** One sentence that names the field and says what to do; undefined when there is nothing to say. */
export function specFault(spec: BuilderSpec): string | undefined {
  const faults = podGroups(spec).flatMap((group) => groupFault(spec, group) ?? []);
  return faults[0];
}

function groupFault(spec: BuilderSpec, { node, driver }: PodGroup): string | undefined {
  const config = daemonConfig({ ...spec, kubernetes: driver }, undefined);
  if ("problem" in config) return config.problem.message;
  const patch = driver.podTemplatePatch;
  if (patch === undefined) return undefined;
  try {
    guardPatch(patch, buildkitdContainer);
    strategicMerge({}, patch);
    return undefined;
  } catch (error) {
    if (error instanceof PatchError) return patchFault(error, node);
    throw error;
  }
}

/** A `PatchError` as a sentence that names the field. */
export function patchFault(error: PatchError, node?: string): string {
  return `${driverField(node)}.${error.message}: correct podTemplatePatch.`;
}
