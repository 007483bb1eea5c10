// Which registries does the agent itself ask for a request, and not the daemon? Pure.

import type { SolveRequest } from "../../buildkit/index.ts";
import { parseReference } from "../../registry/reference.ts";
import { placeAttr, placeOf } from "../outputs/places.ts";
import { artifactOf } from "./marks.ts";

/** Hosts of the artifacts that it writes, and of those that it lends to the daemon. Throws User `InvalidReference`. */
export function ownRegistries({
  exporters,
  frontendAttrs,
}: Pick<SolveRequest, "exporters" | "frontendAttrs">): Set<string> {
  const written = exporters.flatMap(({ attrs: { [placeAttr]: dest } }) => {
    const place = dest === undefined ? undefined : placeOf(dest);
    return place?.kind === "artifact" ? [place.ref] : [];
  });
  const lent = Object.values(frontendAttrs).flatMap((value) => artifactOf(value)?.ref ?? []);
  return new Set([...written, ...lent].map((ref) => parseReference(ref).domain));
}
