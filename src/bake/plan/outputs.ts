// What comes out of a target: `output`, `tags` and `annotations` as outputs of a BuildRun. Pure.

import type { BakeSpec, BuildRunSpecInput } from "../../api/v1alpha1/index.ts";
import { goBoolean } from "../../buildrun/plan/csv.ts";
import type { BakeTarget } from "../file/document.ts";
import { type Entry, isLoaded } from "../file/entry.ts";
import { fieldsOf, integer, type Table, text, yesNo } from "./attributes.ts";
import type { Refuse } from "./values.ts";

type Output = NonNullable<BuildRunSpecInput["outputs"]>[number];

/** What outputs are made of. */
export interface OutputSources {
  readonly bake: Pick<BakeSpec, "places" | "intermediates">;
  readonly refuse: Refuse;
}

const packing: Table = {
  compression: ["compression", text],
  "compression-level": ["compressionLevel", integer],
  "force-compression": ["forceCompression", yesNo],
  "rewrite-timestamp": ["rewriteTimestamp", yesNo],
  "oci-mediatypes": ["ociMediaTypes", yesNo],
  "oci-artifact": ["ociArtifact", yesNo],
  "attestation-inline": ["attestationInline", yesNo],
};

const image: Table = {
  ...packing,
  push: ["push", yesNo],
  "push-by-digest": ["pushByDigest", yesNo],
  "registry.insecure": ["insecure", yesNo],
  unpack: ["unpack", yesNo],
  store: ["store", yesNo],
  "name-canonical": ["nameCanonical", yesNo],
  "prefer-nondist-layers": ["preferNondistributableLayers", yesNo],
};

const files: Table = {
  "platform-split": ["platformSplit", yesNo],
  "attestation-prefix": ["attestationPrefix", text],
  src: ["subdirectory", text],
};

const annotationName = /^annotation(?:-([a-z-]+))?(?:\[([^\]]+)\])?\.(.+)$/;
const annotationLine = /^([a-z-]+)(?:\[([A-Za-z0-9_/-]+)\])?$/;

interface Annotation {
  readonly name: string;
  readonly value: string;
  readonly level?: string;
  readonly platform?: string;
}

function annotation(name: string, value: string, level?: string, platform?: string): Annotation {
  return {
    name,
    value,
    ...(level === undefined ? {} : { level }),
    ...(platform === undefined ? {} : { platform }),
  };
}

/** Lines `levels:key=value`; levels by commas, each with a platform in brackets. */
function annotationsOf({ annotations }: BakeTarget, refuse: Refuse): Annotation[] {
  return annotations.flatMap((line, index) => {
    const field = `annotations[${index}]`;
    const at = line.indexOf("=");
    if (at < 0) throw refuse(field, `is "${line}", not key=value.`);
    const [left, value] = [line.slice(0, at), line.slice(at + 1)];
    const colon = left.indexOf(":");
    if (colon < 0) return [annotation(left, value)];
    return left
      .slice(0, colon)
      .split(",")
      .map((level) => {
        const match = annotationLine.exec(level);
        if (match === null) throw refuse(field, `has the level "${level}".`);
        return annotation(left.slice(colon + 1), value, match[1], match[2]);
      });
  });
}

function ownAnnotations(entry: Entry): Annotation[] {
  return Object.entries(entry).flatMap(([key, value]) => {
    const match = annotationName.exec(key);
    return match === null ? [] : [annotation(match[3] ?? "", value, match[1], match[2])];
  });
}

/** Tags of the target are the name of every image; without tags an image has its own. */
function tagsOf({ tags }: BakeTarget, entry: Entry): string[] {
  if (tags.length > 0) return [...new Set(tags)];
  return (entry["name"] ?? "").split(",").filter((name) => name !== "");
}

/** The outputs of a target. `isNeeded`: another target builds from its image. */
export function outputsOf(target: BakeTarget, isNeeded: boolean, from: OutputSources): Output[] {
  const annotations = annotationsOf(target, from.refuse);
  const made = target.output.flatMap((entry, index) =>
    outputOf({ target, annotations, entry, field: `output[${index}]` }, from),
  );
  if (!isNeeded || made.some(isPushed)) return made;
  return [...made, intermediate(from)];
}

function isPushed({ image: one }: Output): boolean {
  return one !== undefined && one.push !== false && (one.tags ?? []).length > 0;
}

/** An image that only other targets use. */
function intermediate({ bake, refuse }: OutputSources): Output {
  const { intermediates } = bake;
  if (intermediates !== undefined) {
    const { repository, insecure } = intermediates;
    return { image: { tags: [repository], pushByDigest: true, insecure } };
  }
  throw refuse(
    "output",
    "pushes no image, and another target builds from it by a target: context: name in spec.intermediates of the Bake a repository for such images.",
  );
}

interface Made {
  readonly target: BakeTarget;
  readonly annotations: readonly Annotation[];
  readonly entry: Entry;
  readonly field: string;
}

function outputOf(made: Made, from: OutputSources): Output[] {
  const { entry, field } = made;
  const { type = "" } = entry;
  switch (type) {
    case "cacheonly":
      return [];
    case "image":
    case "registry":
      return [imageOf(made, from)];
    case "oci":
    case "docker":
      return [archiveOf(made, type, from)];
    case "tar":
    case "local": {
      const own = fieldsOf(entry, files, { field, refuse: from.refuse }, ["dest", "mode"]);
      return [{ [type]: { to: placeOf(made, from), ...own } } as unknown as Output];
    }
    default:
      throw from.refuse(`${field}.type`, `is "${type}", which a BuildRun can not make.`);
  }
}

function imageOf({ target, annotations, entry, field }: Made, { refuse }: OutputSources): Output {
  const notes = Object.keys(entry).filter((key) => annotationName.test(key));
  const own = fieldsOf(entry, image, { field, refuse }, ["name", "dest", ...notes]);
  const isPushing = entry["type"] === "registry" || goBoolean(entry["push"] ?? "false") === true;
  const byDigest = own["pushByDigest"] === true;
  const tags = tagsOf(target, entry).map((tag) => (byDigest ? tag.replace(/:[^/:]+$/, "") : tag));
  if (isPushing && tags.length === 0)
    throw refuse(field, "pushes an image without a name: give the target tags.");
  const all = [...ownAnnotations(entry), ...annotations];
  return {
    image: {
      ...own,
      tags,
      push: isPushing,
      ...(all.length === 0 ? {} : { annotations: all }),
    },
  } as Output;
}

function archiveOf(made: Made, kind: "oci" | "docker", from: OutputSources): Output {
  const { target, annotations, entry, field } = made;
  const notes = Object.keys(entry).filter((key) => annotationName.test(key));
  const skip = ["name", "dest", "tar", ...notes];
  if (goBoolean(entry["tar"] ?? "true") === false)
    throw from.refuse(`${field}.tar`, "makes a folder: Kiln writes the archive only.");
  const own = fieldsOf(entry, packing, { field, refuse: from.refuse }, skip);
  const all = [...ownAnnotations(entry), ...annotations];
  const notesOf = all.length === 0 ? {} : { annotations: all };
  const to = isLoaded(entry) ? { engine: {} } : placeOf(made, from);
  const body = { to, ...own, tags: tagsOf(target, entry), ...notesOf };
  return { [kind]: body } as unknown as Output;
}

/** The place that stands for `dest`. */
function placeOf({ entry, field }: Made, { bake, refuse }: OutputSources) {
  const dest = entry["dest"] ?? "";
  const found = bake.places.find((place) => place.dest === dest);
  if (found !== undefined) return found.to;
  throw refuse(
    `${field}.dest`,
    `is "${dest}", a place on a workstation: name in spec.places of the Bake what stands for it.`,
  );
}
