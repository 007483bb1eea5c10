// Which output has which place? Pure.

import type { BuildRunSpec, DockerPlace } from "../../api/v1alpha1/index.ts";

/** Where the files of an output go; undefined for an image. */
export function placeOfOutput(
  output: BuildRunSpec["outputs"][number] | undefined,
): DockerPlace | undefined {
  return (output?.oci ?? output?.docker ?? output?.tar ?? output?.local)?.to;
}
