// What is wrong with a Builder that no schema sees: its buildkitd.toml and the patch of its pods. For
// `kiln lint`; the controller says the same in status. Pure.

import type { BuilderSpec } from "../api/v1alpha1/index.ts";
import { daemonConfig } from "./config/daemon.ts";
import { guardPatch, PatchError, strategicMerge } from "./kubernetes/patch.ts";
import { buildkitdContainer } from "./kubernetes/agent-container.ts";

/** One sentence that names the field and says what to do; undefined when there is nothing to say. */
export function specFault(spec: BuilderSpec): string | undefined {
  if (spec.kubernetes === undefined) return undefined;
  const config = daemonConfig(spec, undefined);
  if ("problem" in config) return config.problem.message;
  const patch = spec.kubernetes.podTemplatePatch;
  if (patch === undefined) return undefined;
  try {
    guardPatch(patch, buildkitdContainer);
    strategicMerge({}, patch);
    return undefined;
  } catch (error) {
    if (error instanceof PatchError) return patchFault(error);
    throw error;
  }
}

/** A `PatchError` as a sentence that names the field. */
export function patchFault(error: PatchError): string {
  return `spec.kubernetes.${error.message}: correct podTemplatePatch.`;
}
