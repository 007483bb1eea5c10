// Image outputs and cache lists of a spec, as exporter and cache entries of a solve.

import type { BuildRunSpec } from "../../api/v1alpha1/index.ts";

/** A `{type, attrs}` pair of a solve request: an exporter, a cache import or a cache export. */
export interface Entry {
  readonly type: string;
  readonly attrs: Record<string, string>;
}

type Image = NonNullable<BuildRunSpec["outputs"][number]["image"]>;
type CacheTo = BuildRunSpec["cache"]["to"][number];

type Attrs = Record<string, string>;

/** What is set, as text; what is not, left out. */
function written(values: Readonly<Record<string, string | number | boolean | undefined>>): Attrs {
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, String(value)] as const],
    ),
  );
}

function onlyTrue(value: boolean): true | undefined {
  return value ? true : undefined;
}

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

/** What the run imports cache from. */
export function cacheImports(spec: BuildRunSpec): Entry[] {
  return spec.cache.from.flatMap(({ registry }) =>
    registry === undefined
      ? []
      : [
          {
            type: "registry",
            attrs: {
              ref: registry.ref,
              ...(registry.insecure ? { "registry.insecure": "true" } : {}),
            },
          },
        ],
  );
}

function cacheExport({ registry, inline }: CacheTo): Entry[] {
  if (inline !== undefined) return [{ type: "inline", attrs: {} }];
  if (registry === undefined) return [];
  const attrs = {
    ref: registry.ref,
    mode: registry.mode,
    ...written({
      "registry.insecure": onlyTrue(registry.insecure),
      compression: registry.compression,
      "force-compression": registry.forceCompression,
      "image-manifest": registry.imageManifest,
      "oci-mediatypes": registry.ociMediaTypes,
      "ignore-error": onlyTrue(registry.ignoreError),
    }),
  };
  return [{ type: "registry", attrs }];
}

/** Where the run exports cache to. */
export function cacheExports(spec: BuildRunSpec): Entry[] {
  return spec.cache.to.flatMap(cacheExport);
}
