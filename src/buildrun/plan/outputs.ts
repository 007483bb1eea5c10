// Outputs of a spec as exporters of a solve.

import { only } from "../../api/schema.ts";
import type {
  ArchiveOutput,
  BuildRunSpec,
  DockerPlace,
  FilesOutput,
} from "../../api/v1alpha1/index.ts";
import { placeOfOutput } from "../places/of-output.ts";
import { type Attrs, onlyTrue, written } from "./attrs.ts";
import { bucketLogin, type HiddenNeed } from "./needs.ts";

/** A `{type, attrs}` pair of a solve request: an exporter, a cache import or a cache export. */
export interface Entry {
  readonly type: string;
  readonly attrs: Record<string, string>;
}

type Image = NonNullable<BuildRunSpec["outputs"][number]["image"]>;

/** `annotation-manifest[linux/arm64].name` and the like (exporter/containerimage/exptypes, BuildKit v0.34.2). */
function annotationAttrs({ annotations }: Pick<Image, "annotations">): Attrs {
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

type Output = BuildRunSpec["outputs"][number];

function archiveAttrs(archive: ArchiveOutput): Attrs {
  return {
    ...written({
      name: archive.tags.length === 0 ? undefined : archive.tags.join(","),
      compression: archive.compression,
      "compression-level": archive.compressionLevel,
      "force-compression": archive.forceCompression,
      "rewrite-timestamp": onlyTrue(archive.rewriteTimestamp),
      "oci-mediatypes": archive.ociMediaTypes,
      "oci-artifact": archive.ociArtifact,
      "attestation-inline": archive.attestationInline,
    }),
    ...annotationAttrs(archive),
  };
}

function filesAttrs({ platformSplit, attestationPrefix, subdirectory }: FilesOutput): Attrs {
  return written({
    "platform-split": platformSplit,
    "attestation-prefix": attestationPrefix,
    src: subdirectory,
  });
}

/** The place as the agent reads it, which is who takes the files from BuildKit. */
function placeAttrs(to: DockerPlace): Attrs {
  const { kind, value } = only(to);
  const { credentials: _, ...place } = { credentials: undefined, ...value };
  return { dest: JSON.stringify({ kind, ...place }) };
}

function exporterOf(output: Output): Entry {
  const { kind, value } = only(output);
  switch (kind) {
    case "image":
      return { type: kind, attrs: imageAttrs(value) };
    case "oci":
    case "docker":
      return { type: kind, attrs: { ...archiveAttrs(value), ...placeAttrs(value.to) } };
    case "tar":
    case "local":
      return { type: kind, attrs: { ...filesAttrs(value), ...placeAttrs(value.to) } };
  }
}

/** Secrets that places log in with; registries are logged in to as always. */
export function outputLogins({ outputs }: BuildRunSpec): HiddenNeed[] {
  return outputs.flatMap((output, index) => {
    const s3 = placeOfOutput(output)?.s3;
    return s3 === undefined ? [] : [{ list: "outputs", index, ...bucketLogin(s3.credentials) }];
  });
}

/** The exporters of a run. None means: build, keep the result in the builder's cache. */
export function exporters(spec: BuildRunSpec): Entry[] {
  return spec.outputs.map(exporterOf);
}
