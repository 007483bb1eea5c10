// Attestations as attributes of the frontend. Pure. Names: frontend/attestations/parse.go, BuildKit v0.34.2.

import type { BuildRunSpec } from "../../api/v1alpha1/index.ts";
import { csv } from "./csv.ts";

/** The attribute whose value Kiln completes with the id of the builder, once it is known. */
export const provenanceAttr = "attest:provenance";

function fields(values: Readonly<Record<string, string | boolean | undefined>>): string {
  return csv(
    Object.entries(values).flatMap(([key, value]) =>
      value === undefined ? [] : [`${key}=${value}`],
    ),
  );
}

/** What is to be attested. None without a word in the spec. */
export function attestAttrs({ attestations }: BuildRunSpec): Record<string, string> {
  const { provenance, sbom } = attestations;
  return {
    ...(provenance === undefined
      ? {}
      : {
          [provenanceAttr]: fields({
            mode: provenance.mode,
            version: provenance.version,
            reproducible: provenance.reproducible,
            "inline-only": provenance.inlineOnly,
            filename: provenance.filename,
          }),
        }),
    ...(sbom === undefined ? {} : { "attest:sbom": fields({ generator: sbom.generator }) }),
    ...(sbom?.scanContext === true ? { "build-arg:BUILDKIT_SBOM_SCAN_CONTEXT": "true" } : {}),
    ...(sbom?.scanStages === true ? { "build-arg:BUILDKIT_SBOM_SCAN_STAGE": "true" } : {}),
  };
}

/** The attributes with the builder's id in the provenance that they ask for: a run can not name another builder. */
export function withBuilderId(
  attrs: Readonly<Record<string, string>>,
  id: string,
): Readonly<Record<string, string>> {
  const asked = attrs[provenanceAttr];
  return asked === undefined
    ? attrs
    : { ...attrs, [provenanceAttr]: `${asked},${csv([`builder-id=${id}`])}` };
}
