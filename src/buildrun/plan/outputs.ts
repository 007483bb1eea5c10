// Image outputs and cache lists of a spec, as exporter and cache entries of a solve.

import type { BuildRunSpec } from "../../api/v1alpha1/index.ts";

/** A `{type, attrs}` pair of a solve request: an exporter, a cache import or a cache export. */
export interface Entry {
  readonly type: string;
  readonly attrs: Record<string, string>;
}

type Output = BuildRunSpec["outputs"][number];
type CacheTo = BuildRunSpec["cache"]["to"][number];

function imageAttrs(image: NonNullable<Output["image"]>): Record<string, string> {
  const { compression, forceCompression, ociMediaTypes } = image;
  return {
    name: image.tags.join(","),
    ...(image.push ? { push: "true" } : {}),
    ...(image.insecure ? { "registry.insecure": "true" } : {}),
    ...(compression === undefined ? {} : { compression }),
    ...(forceCompression === undefined ? {} : { "force-compression": String(forceCompression) }),
    ...(image.rewriteTimestamp ? { "rewrite-timestamp": "true" } : {}),
    ...(ociMediaTypes === undefined ? {} : { "oci-mediatypes": String(ociMediaTypes) }),
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
    ...(registry.insecure ? { "registry.insecure": "true" } : {}),
    ...(registry.ignoreError ? { "ignore-error": "true" } : {}),
  };
  return [{ type: "registry", attrs }];
}

/** Where the run exports cache to. */
export function cacheExports(spec: BuildRunSpec): Entry[] {
  return spec.cache.to.flatMap(cacheExport);
}
