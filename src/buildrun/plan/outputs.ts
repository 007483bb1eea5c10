// Outputs of a spec as exporters of a solve.

import type { BuildRunSpec } from "../../api/v1alpha1/index.ts";
import { type Attrs, onlyTrue, written } from "./attrs.ts";

/** A `{type, attrs}` pair of a solve request: an exporter, a cache import or a cache export. */
export interface Entry {
  readonly type: string;
  readonly attrs: Record<string, string>;
}

type Image = NonNullable<BuildRunSpec["outputs"][number]["image"]>;

/** `annotation-manifest[linux/arm64].name` and the like (exporter/containerimage/exptypes, BuildKit v0.34.2). */
function annotationAttrs({ annotations }: Image): Attrs {
  return Object.fromEntries(
    annotations.map(({ name, value, level, platform }) => [
      `annotation-${level}${platform === undefined ? "" : `[${platform}]`}.${name}`,
      value,
    ]),
  );
}

function imageAttrs(image: Image): Attrs {
  return {
    name: image.tags.join(","),
    ...written({
      push: onlyTrue(image.push),
      "push-by-digest": onlyTrue(image.pushByDigest),
      "registry.insecure": onlyTrue(image.insecure),
      compression: image.compression,
      "compression-level": image.compressionLevel,
      "force-compression": image.forceCompression,
      "rewrite-timestamp": onlyTrue(image.rewriteTimestamp),
      "oci-mediatypes": image.ociMediaTypes,
      unpack: image.unpack,
      store: image.store,
      "name-canonical": image.nameCanonical,
      "oci-artifact": image.ociArtifact,
      "attestation-inline": image.attestationInline,
      "prefer-nondist-layers": image.preferNondistributableLayers,
    }),
    ...annotationAttrs(image),
  };
}

/** The exporters of a run. None means: build, keep the result in the builder's cache. */
export function exporters(spec: BuildRunSpec): Entry[] {
  return spec.outputs.flatMap(({ image }) =>
    image === undefined ? [] : [{ type: "image", attrs: imageAttrs(image) }],
  );
}
