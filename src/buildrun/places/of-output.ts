// Which output has which place? Pure.

import type { BuildRun, BuildRunSpec, DockerPlace } from "../../api/v1alpha1/index.ts";

/** Where the files of an output go; undefined for an image. */
export function placeOfOutput(
  output: BuildRunSpec["outputs"][number] | undefined,
): DockerPlace | undefined {
  return (output?.oci ?? output?.docker ?? output?.tar ?? output?.local)?.to;
}

/** An output of a run onto a volume. */
export interface ClaimOutput {
  readonly index: number;
  readonly claimName: string;
  readonly path: string;
  /** An archive, not a folder. */
  readonly single: boolean;
}

/** Outputs of a run that a pod writes; a question makes none. */
export function claimOutputs({ spec }: Pick<BuildRun, "spec">): readonly ClaimOutput[] {
  if (spec.call !== undefined) return [];
  return spec.outputs.flatMap((output, index) => {
    const place = placeOfOutput(output)?.persistentVolumeClaim;
    return place === undefined ? [] : [{ index, ...place, single: output.local === undefined }];
  });
}

/** PersistentVolumeClaims that outputs of a run go onto. */
export function claimNames(run: Pick<BuildRun, "spec">): readonly string[] {
  return [...new Set(claimOutputs(run).map(({ claimName }) => claimName))];
}
