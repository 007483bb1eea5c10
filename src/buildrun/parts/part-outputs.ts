// Outputs of a part: images are pushed by digest, files go into a place of the part's own, named after its platforms. Pure.

import type { BuildRunSpec, Place } from "../../api/v1alpha1/index.ts";
import { namedTag, repositoryOf, suffixOf } from "./part-names.ts";

type Output = BuildRunSpec["outputs"][number];

/** The output as the part for these platforms has it. */
export function partOutput(output: Output, platforms: readonly string[]): Output {
  const { image, oci, docker, tar, local } = output;
  if (image !== undefined) {
    const tags = [...new Set(image.tags.map(repositoryOf))];
    // What is about the index is left to whoever makes the index.
    const annotations = image.annotations.filter(({ level }) => level === "manifest");
    return { image: { ...image, tags, annotations, pushByDigest: true } };
  }
  const [archive, folder] = [archivePlace(platforms), folderPlace(platforms)];
  if (oci !== undefined) return { oci: { ...oci, to: archive(oci.to) } };
  if (docker !== undefined) {
    const { to } = docker;
    return to.engine === undefined ? { docker: { ...docker, to: archive(to) } } : output;
  }
  if (tar !== undefined) return { tar: { ...tar, to: archive(tar.to) } };
  if (local === undefined) return output;
  return { local: { ...local, to: folder(local.to) } };
}

/** "web.tar" → "web-linux-arm64.tar". */
function suffixedFile(path: string, suffix: string): string {
  const [, stem = path, end = ""] = /^(.*?[^/])((?:\.tar)?\.[A-Za-z0-9]{1,5})$/.exec(path) ?? [];
  return `${stem}-${suffix}${end}`;
}

function archivePlace(platforms: readonly string[]): (to: Place) => Place {
  const suffix = suffixOf(platforms);
  return (to) => {
    const { s3, persistentVolumeClaim: claim } = to;
    if (s3 !== undefined) return { s3: { ...s3, key: suffixedFile(s3.key, suffix) } };
    if (claim !== undefined)
      return { persistentVolumeClaim: { ...claim, path: suffixedFile(claim.path, suffix) } };
    return elsewhere(to, platforms);
  };
}

/** Folders are beside one another, as those of one build for several platforms are. */
function folderPlace(platforms: readonly string[]): (to: Place) => Place {
  const folder = platforms.join("-").replaceAll("/", "_");
  return (to) => {
    const { s3, persistentVolumeClaim: claim } = to;
    if (s3 !== undefined) return { s3: { ...s3, key: `${s3.key}${folder}/` } };
    if (claim !== undefined)
      return { persistentVolumeClaim: { ...claim, path: `${claim.path}/${folder}` } };
    return elsewhere(to, platforms);
  };
}

function elsewhere(to: Place, platforms: readonly string[]): Place {
  const { artifact, configMap } = to;
  const suffix = suffixOf(platforms);
  if (artifact !== undefined)
    return { artifact: { ...artifact, ref: namedTag(artifact.ref, suffix) } };
  if (configMap === undefined) return to;
  const name = `${configMap.name}-${suffix.replaceAll("_", "-")}`;
  return { configMap: { ...configMap, name } };
}
