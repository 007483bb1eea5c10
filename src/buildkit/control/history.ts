// History records of the daemon → what became of a ref. Pure.
import { timestampDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { fromBinary } from "@bufbuild/protobuf";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import type {
  BuildHistoryRecord,
  BuildResultInfo,
  Descriptor,
} from "../../gen/moby/buildkit/v1/control_pb.ts";
import type {
  HistoryAttestation,
  HistoryBlob,
  HistoryRecord,
  SolveResult,
} from "../client-types.ts";
import { errorOfStatus } from "../errors/errors.ts";
import { resultOf } from "./result.ts";

const predicateAnnotation = "in-toto.io/predicate-type";

function blobOf(descriptor: Descriptor): HistoryBlob {
  return {
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    size: Number(descriptor.size),
    annotations: { ...descriptor.annotations },
  };
}

/**
 * What was exported stands in `result`, by number of the exporter; so does the attestation of a build with one
 * unnamed platform. Attestations of named platforms stand in `results`.
 */
function resultsOf(record: BuildHistoryRecord): [platform: string, info: BuildResultInfo][] {
  const unnamed: [string, BuildResultInfo][] =
    record.result === undefined ? [] : [["", record.result]];
  return [...unnamed, ...Object.entries(record.results)];
}

function attestationsOf([platform, info]: [string, BuildResultInfo]): HistoryAttestation[] {
  return info.attestations.map((descriptor) => ({
    ...blobOf(descriptor),
    platform,
    predicateType: descriptor.annotations[predicateAnnotation] ?? "",
  }));
}

function imagesOf([platform, info]: [string, BuildResultInfo]): HistoryRecord["images"] {
  return Object.entries(info.results)
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([exporter, descriptor]) => ({
      platform,
      exporter: Number(exporter),
      descriptor: blobOf(descriptor),
    }));
}

/** The record keeps the frontend's metadata, not what the exporters answered: that is put together again. */
function recalledResult(record: BuildHistoryRecord, images: HistoryRecord["images"]): SolveResult {
  const names = record.exporters.flatMap(({ attrs }) => (attrs["name"] ?? "").split(","));
  const digest = images[0]?.descriptor.digest;
  return {
    ...resultOf(record.exporterResponse),
    imageNames: names.filter((name) => name !== ""),
    ...(digest === undefined ? {} : { digest }),
  };
}

function when<K extends string>(key: K, time: Timestamp | undefined): Partial<Record<K, Date>> {
  return time === undefined ? {} : ({ [key]: timestampDate(time) } as Partial<Record<K, Date>>);
}

/**
 * Decodes a record. `externalError` are the bytes of the blob that `record.externalError` names: the failure
 * with all its details; the record itself holds a short form.
 */
export function historyRecordOf(
  record: BuildHistoryRecord,
  externalError?: Uint8Array,
): HistoryRecord {
  const active = record.completedAt === undefined;
  const results = resultsOf(record);
  const images = results.flatMap(imagesOf);
  const status =
    externalError === undefined ? record.error : fromBinary(StatusSchema, externalError);
  return {
    ref: record.ref,
    active,
    frontend: record.frontend,
    frontendAttrs: { ...record.frontendAttrs },
    exporters: record.exporters.map(({ type, attrs }) => ({ type, attrs: { ...attrs } })),
    pinned: record.pinned,
    generation: record.generation,
    ...when("createdAt", record.createdAt),
    ...when("completedAt", record.completedAt),
    ...(!active && status !== undefined ? { error: errorOfStatus(status) } : {}),
    ...(!active && status === undefined ? { result: recalledResult(record, images) } : {}),
    steps: {
      total: record.numTotalSteps,
      completed: record.numCompletedSteps,
      cached: record.numCachedSteps,
    },
    warnings: record.numWarnings,
    images,
    attestations: results.flatMap(attestationsOf),
    ...(record.logs === undefined ? {} : { logs: blobOf(record.logs) }),
    ...(record.trace === undefined ? {} : { trace: blobOf(record.trace) }),
  };
}
