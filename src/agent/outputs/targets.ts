// File outputs of a request: each exporter with a place gets a target that streams to it. Kind `local` comes as a tar
// stream, whose files are taken apart on the way: nobody's disk is between BuildKit and the place.

import {
  type Attachable,
  type ExportTarget,
  exportReceiver,
  type FileSink,
  type SolveRequest,
  type TypedAttrs,
} from "../../buildkit/index.ts";
import { KilnError } from "../../errors/index.ts";
import { repository } from "../../registry/push.ts";
import { parseReference, referenceText, withDefaultTag } from "../../registry/reference.ts";
import type { HiddenAttrs, Materials } from "../agent.ts";
import { type ArtifactWriter, artifactWriter } from "./artifact.ts";
import { type Bucket, objectTarget } from "./bucket.ts";
import { inTurn } from "./in-turn.ts";
import { type Passed, type PieceTarget, piecewise } from "./pieces.ts";
import { type FileFacts, type OutputPlace, placeAttr, placeOf } from "./places.ts";
import { tarSink } from "./tar-reader.ts";

/** A request whose file outputs have somewhere to go. */
export interface FileOutputs {
  readonly request: SolveRequest;
  readonly attachables: readonly Attachable[];
  /** What was written; complete after a solve that ended well. */
  facts(): FileFacts[];
  /** Why a target broke, in our words: the daemon's own say only that it did. */
  failure(): unknown;
}

interface Opening {
  readonly exporter: number;
  readonly type: string;
  readonly place: OutputPlace;
  readonly materials: Materials;
  readonly signal: AbortSignal;
  readonly done: (facts: FileFacts) => void;
  readonly fail: (error: unknown) => void;
}

const tarType = "application/x-tar";
const filesType = "application/vnd.kiln.output.files.v1";

/** Whether a request has file outputs. */
export function hasFileOutputs({ exporters }: SolveRequest): boolean {
  return exporters.some(({ attrs }) => placeAttr in attrs);
}

/** Opens the file outputs of a request. Throws `KilnError` User `OutputPlaceInvalid`, `InvalidReference`. */
export function fileOutputs(
  request: SolveRequest,
  materials: Materials,
  signal: AbortSignal,
): FileOutputs {
  const facts: FileFacts[] = [];
  let failure: unknown;
  const targets: Record<number, ExportTarget> = {};
  const exporters = request.exporters.map((entry, exporter): TypedAttrs => {
    const { [placeAttr]: dest, ...attrs } = entry.attrs;
    if (dest === undefined) return entry;
    const opening: Opening = {
      exporter,
      type: entry.type,
      place: placeOf(dest),
      materials,
      signal,
      done: (made) => facts.push(made),
      fail: (error) => (failure ??= error),
    };
    const open = sinkOpener(opening);
    targets[exporter] = { kind: "file", open: () => Promise.resolve(inTurn(open())) };
    return { type: entry.type === "local" ? "tar" : entry.type, attrs };
  });
  return {
    request: { ...request, exporters },
    attachables: [exportReceiver(targets)],
    facts: () => facts.toSorted((a, b) => a.exporter - b.exporter),
    failure: () => failure,
  };
}

function sinkOpener(opening: Opening): () => FileSink {
  const { place } = opening;
  switch (place.kind) {
    case "artifact":
      return artifactSink(opening, place);
    case "s3":
      return bucketSink(opening, place);
  }
}

function artifactSink(
  opening: Opening,
  { ref, insecure }: Extract<OutputPlace, { kind: "artifact" }>,
): () => FileSink {
  const { type, materials, signal, exporter } = opening;
  const reference = withDefaultTag(parseReference(ref));
  const tag = reference.tag ?? "latest";
  const open = (): ArtifactWriter =>
    artifactWriter(repository(reference, { logins: materials.logins, insecure, signal }), {
      type: type === "local" ? filesType : `application/vnd.kiln.output.${type}.v1`,
      tag,
    });
  const end = async (
    writer: ArtifactWriter,
    made: Pick<FileFacts, "size" | "files" | "skipped">,
  ): Promise<void> => {
    const digest = await writer.finish();
    opening.done({ exporter, location: referenceText({ ...reference, digest }), digest, ...made });
  };
  if (type === "local")
    return () => {
      const writer = open();
      return filesSink(opening, {
        target: (path) => writer.layer(path, "application/octet-stream"),
        finish: async (made) => await end(writer, made),
      });
    };
  return () => {
    const writer = open();
    const layer = writer.layer(`${type}.tar`, tarType);
    return piecewise(
      followed(layer, async ({ size }) => await end(writer, { size })),
      opening.fail,
    );
  };
}

function bucketSink(opening: Opening, place: Extract<OutputPlace, { kind: "s3" }>): () => FileSink {
  const { type, signal, exporter } = opening;
  const bucket: Bucket = { ...place, login: loginOf(opening) };
  const location = `s3://${place.bucket}/${place.key}`;
  if (type === "local")
    return () =>
      filesSink(opening, {
        target: (path) => objectTarget(bucket, `${place.key}${path}`, signal),
        finish: async (made) => opening.done({ exporter, location, ...made }),
      });
  return () =>
    piecewise(
      followed(objectTarget(bucket, place.key, signal), async (passed) =>
        opening.done({ exporter, location, ...passed }),
      ),
      opening.fail,
    );
}

function loginOf({ materials, exporter }: Opening): Bucket["login"] {
  const mine = ({ list, index }: HiddenAttrs) => list === "outputs" && index === exporter;
  const attrs = materials.hidden?.find(mine)?.attrs ?? {};
  const accessKeyId = attrs["access_key_id"];
  const secretAccessKey = attrs["secret_access_key"];
  if (accessKeyId === undefined || secretAccessKey === undefined)
    throw new KilnError({
      class: "User",
      reason: "OutputPlaceInvalid",
      message: "A bucket for an output needs credentials: name a Secret in a new run.",
    });
  return { accessKeyId, secretAccessKey, sessionToken: attrs["session_token"] };
}

/** A target with something to do at its end. */
function followed(target: PieceTarget, then: (passed: Passed) => Promise<void>): PieceTarget {
  return {
    write: (piece) => target.write(piece),
    async finish(rest, passed) {
      await target.finish(rest, passed);
      await then(passed);
    },
    abort: () => target.abort(),
  };
}

interface Files {
  readonly target: (path: string) => PieceTarget;
  readonly finish: (made: { size: number; files: number; skipped?: number }) => Promise<void>;
}

/** Takes the stream of an exporter apart, file by file. */
function filesSink({ fail }: Opening, { target, finish }: Files): FileSink {
  let [files, size, skipped] = [0, 0, 0];
  const sink = tarSink({
    open: async (file) => {
      files += 1;
      size += file.size;
      return piecewise(target(file.path), fail, file.size);
    },
    skipped: () => (skipped += 1),
    finish: async () => await finish({ size, files, ...(skipped > 0 && { skipped }) }),
    abort: () => Promise.resolve(),
  });
  return {
    ...sink,
    finish: async () => {
      try {
        await sink.finish();
      } catch (error) {
        fail(error);
        throw error;
      }
    },
  };
}
