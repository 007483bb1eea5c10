// Exporter response → what was made. Pure.
import type { ImageDescriptor, SolveResult } from "../client-types.ts";

function descriptorOf(base64: string | undefined): ImageDescriptor | undefined {
  if (base64 === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(base64, "base64").toString("utf8"));
    return isDescriptor(value) ? value : undefined;
  } catch {
    return undefined; // a form of a later BuildKit; the digest stands beside it
  }
}

function isDescriptor(value: unknown): value is ImageDescriptor {
  return (
    typeof value === "object" &&
    value !== null &&
    "mediaType" in value &&
    typeof value.mediaType === "string" &&
    "digest" in value &&
    typeof value.digest === "string" &&
    "size" in value &&
    typeof value.size === "number"
  );
}

/** Decodes the keys that BuildKit's exporters set (exporter/containerimage/exptypes, v0.34.2). */
export function resultOf(exporterResponse: Readonly<Record<string, string>>): SolveResult {
  const digest = exporterResponse["containerimage.digest"];
  const configDigest = exporterResponse["containerimage.config.digest"];
  const descriptor = descriptorOf(exporterResponse["containerimage.descriptor"]);
  const cacheManifest = exporterResponse["cache.manifest"];
  const names = exporterResponse["image.name"] ?? "";
  return {
    exporterResponse: { ...exporterResponse },
    imageNames: names === "" ? [] : names.split(","),
    ...(digest === undefined ? {} : { digest }),
    ...(configDigest === undefined ? {} : { configDigest }),
    ...(descriptor === undefined ? {} : { descriptor }),
    ...(cacheManifest === undefined ? {} : { cacheManifest }),
  };
}
