// Where file outputs go: a place travels in the exporter's attribute `dest`, which BuildKit's clients keep to
// themselves, too. Credentials are not in it.

import type { TypedAttrs } from "../../buildkit/index.ts";
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
    }
  | {
      readonly kind: "configMap";
      readonly name: string;
      /** Key of an archive. */
      readonly key: string;
    }
  | {
      readonly kind: "persistentVolumeClaim";
      readonly claimName: string;
      readonly path: string;
      /** `address:port` of the pod that writes; the run's controller adds it when the pod listens. */
      readonly address?: string;
    }
  /** The image store of the Docker engine behind the daemon. */
  | { readonly kind: "engine" };

/** What one exporter left in its place. */
export interface FileFacts {
  /** Which exporter of the request. */
  readonly exporter: number;
  /** `registry/repository:tag@sha256:…`, `s3://bucket/key`, `configmap://name/key`, `pvc://claim/path` or `engine://name`. */
  readonly location: string;
  /** Of the artifact's manifest, or of the file's bytes; of several files, of what `sha256sum` prints for them. */
  readonly digest?: string;
  /** Bytes of all files. */
  readonly size: number;
  /** How many files; none for an archive. */
  readonly files?: number;
  /** Links and devices, which have no place in a bucket, an artifact or a ConfigMap; of a volume, devices. */
  readonly skipped?: number;
  /** Of a ConfigMap, which the controller writes: key → base64. */
  readonly data?: Readonly<Record<string, string>>;
}

/** The attribute that says it. */
export const placeAttr = "dest";

const kinds: ReadonlySet<string> = new Set([
  "artifact",
  "s3",
  "configMap",
  "persistentVolumeClaim",
  "engine",
]);

/** The place in an attribute. Throws KilnError User `OutputPlaceInvalid`. */
export function placeOf(text: string): OutputPlace {
  try {
    const place = JSON.parse(text) as OutputPlace;
    if (kinds.has(place.kind)) return place;
  } catch {
    // What is no place is refused below.
  }
  throw new KilnError({
    class: "User",
    reason: "OutputPlaceInvalid",
    message: "The builder's agent does not know the place of an output: upgrade the builder.",
  });
}

/** Whether an exporter's result is loaded into the engine behind the daemon. Throws as `placeOf`. */
export function isForEngine({ attrs }: TypedAttrs): boolean {
  const { [placeAttr]: dest } = attrs;
  return dest !== undefined && placeOf(dest).kind === "engine";
}
