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
import { trustOf } from "../../registry/authorities.ts";
import { repository } from "../../registry/push.ts";
import { parseReference, referenceText, withDefaultTag } from "../../registry/reference.ts";
import type { Materials } from "../agent.ts";
import { claimSink } from "./claim/sink.ts";
import { collector, configMapBytes } from "./collected.ts";
import { type ArtifactWriter, artifactWriter } from "./artifact.ts";
import { type Bucket, objectTarget } from "./bucket.ts";
import { engineSink } from "./engine/sink.ts";
import { inTurn } from "./in-turn.ts";
import { filesSink, followed } from "./files-sink.ts";
import { hiddenOf, type Opening } from "./opening.ts";
import { type Passed, piecewise } from "./pieces.ts";
import { type FileFacts, type OutputPlace, placeAttr, placeOf } from "./places.ts";

/** A request whose file outputs have somewhere to go. */
export interface FileOutputs {
  readonly request: SolveRequest;
  readonly attachables: readonly Attachable[];
  /** What was written; complete after a solve that ended well. */
  facts(): FileFacts[];
  /** Why a target broke, in our words: the daemon's own say only that it did. */
  failure(): unknown;
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
  const budget = { left: configMapBytes };
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
      budget,
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
    case "configMap":
      return configMapSink(opening, place);
    case "persistentVolumeClaim":
      return claimSink(opening, place);
    case "engine":
      return engineSink(opening);
  }
}

function artifactSink(
  opening: Opening,
  { ref, insecure }: Extract<OutputPlace, { kind: "artifact" }>,
): () => FileSink {
  const { type, materials, signal, exporter } = opening;
  const reference = withDefaultTag(parseReference(ref));
  const tag = reference.tag ?? "latest";
  const { logins } = materials;
  const access = { logins, signal, ...trustOf(materials, reference, insecure) };
  const open = (): ArtifactWriter =>
    artifactWriter(repository(reference, access), {
      type: type === "local" ? filesType : `application/vnd.kiln.output.${type}.v1`,
      tag,
    });
  const end = async (
    writer: ArtifactWriter,
    made: Pick<FileFacts, "size" | "files" | "skipped">,
  ): Promise<void> => {
    const digest = await writer.finish();
    opening.done({ exporter, ...made, location: referenceText({ ...reference, digest }), digest });
  };
  if (type === "local")
    return () => {
      const writer = open();
      return filesSink(opening, {
        target: ({ path }) => writer.layer(path, "application/octet-stream"),
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
        target: ({ path }) => objectTarget(bucket, `${place.key}${path}`, signal),
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

function configMapSink(
  opening: Opening,
  { name, key }: Extract<OutputPlace, { kind: "configMap" }>,
): () => FileSink {
  const { exporter, type, budget, done } = opening;
  return () => {
    const files = collector(budget);
    const location = `configmap://${name}/`;
    if (type === "local")
      return filesSink(opening, {
        target: ({ path }) => files.target(path),
        finish: async (made) => done({ exporter, location, ...made, data: files.data() }),
      });
    const end = async (passed: Passed): Promise<void> =>
      done({ exporter, location: `${location}${key}`, ...passed, data: files.data() });
    return piecewise(followed(files.target(key), end), opening.fail);
  };
}

function loginOf(opening: Opening): Bucket["login"] {
  const attrs = hiddenOf(opening);
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
