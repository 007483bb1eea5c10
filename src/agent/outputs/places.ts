// Where file outputs go: a place travels in the exporter's attribute `dest`, which BuildKit's clients keep to
// themselves, too. Credentials are not in it.

import { KilnError } from "../../errors/index.ts";

/** A place, without its login. */
export type OutputPlace =
  | { readonly kind: "artifact"; readonly ref: string; readonly insecure: boolean }
  | {
      readonly kind: "s3";
      readonly bucket: string;
      readonly region: string;
      readonly endpoint?: string | undefined;
      readonly pathStyle?: boolean | undefined;
      /** Name of the object, or what names of objects begin with. */
      readonly key: string;
    };

/** What one exporter left in its place. */
export interface FileFacts {
  /** Which exporter of the request. */
  readonly exporter: number;
  /** `registry/repository:tag@sha256:…`, or `s3://bucket/key`. */
  readonly location: string;
  /** Of the artifact's manifest, or of the object's bytes; of several objects there is none. */
  readonly digest?: string;
  /** Bytes of all files. */
  readonly size: number;
  /** How many files; none for an archive. */
  readonly files?: number;
  /** Links and devices, which have no place in a bucket or an artifact. */
  readonly skipped?: number;
}

/** The attribute that says it. */
export const placeAttr = "dest";

/** The place in an attribute. Throws KilnError User `OutputPlaceInvalid`. */
export function placeOf(text: string): OutputPlace {
  try {
    const place = JSON.parse(text) as OutputPlace;
    if (place.kind === "artifact" || place.kind === "s3") return place;
  } catch {
    // What is no place is refused below.
  }
  throw new KilnError({
    class: "User",
    reason: "OutputPlaceInvalid",
    message: "The builder's agent does not know the place of an output: upgrade the builder.",
  });
}
