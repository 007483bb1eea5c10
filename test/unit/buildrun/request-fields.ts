// Two solve requests, field by field.

import type { JsonObject } from "@bufbuild/protobuf";
import type { Difference } from "./buildx-differences.ts";

/** Leaves of a request by their paths. */
export type Flat = ReadonlyMap<string, string>;

/** A list in an attribute, whose order says nothing, as leaves of its own. */
function attested(path: string, value: string): [path: string, leaf: string][] {
  const fields = value.split(",").filter((field) => field !== "");
  return [
    [path, ""],
    ...fields.map((field): [string, string] => {
      const [key = "", ...rest] = field.split("=");
      return [`${path}.${key}`, rest.join("=")];
    }),
  ];
}

/** Every leaf of a request by its path; an empty object is as good as none. */
function leaves(value: unknown, path: string): [path: string, leaf: string][] {
  if (path.startsWith("frontendAttrs.attest:")) return attested(path, String(value));
  if (path === "frontendAttrs.cache-imports" && typeof value === "string")
    return leaves(JSON.parse(value), path);
  if (value === null || typeof value !== "object") return [[path, String(value)]];
  return Object.entries(value).flatMap(([key, at]) =>
    leaves(at, path === "" ? key : `${path}.${key}`),
  );
}

/** A request as leaves. */
export function flat(request: JsonObject): Flat {
  return new Map(leaves(request, ""));
}

/** Where two requests differ. */
export function differencesOf(buildx: Flat, kiln: Flat): Difference[] {
  const paths = new Set([...buildx.keys(), ...kiln.keys()]);
  return [...paths].flatMap((path) => {
    const theirs = buildx.get(path);
    const ours = kiln.get(path);
    if (theirs === ours) return [];
    return [
      {
        path,
        ...(theirs === undefined ? {} : { buildx: theirs }),
        ...(ours === undefined ? {} : { kiln: ours }),
      },
    ];
  });
}

/** Differences in the order of their paths. */
export function sorted(differences: readonly Difference[]): Difference[] {
  return differences.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
