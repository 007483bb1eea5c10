// Wire status messages → events of a solve, in the order they were sent. Pure.
import { timestampDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import type {
  StatusResponse,
  Vertex,
  VertexLog,
  VertexStatus,
  VertexWarning,
} from "../../gen/moby/buildkit/v1/control_pb.ts";
import type { Range } from "../../gen/pb/ops_pb.ts";

/**
 * Nanoseconds within the second (0–999,999,999) of an event's times, of which a Date holds the milliseconds only.
 * Read them with `instant`.
 */
export interface Nanos {
  readonly started?: number;
  readonly completed?: number;
  readonly timestamp?: number;
}

/** Steps that are shown as one. A weak group is shown only when another of its members is not weak. */
export interface StepGroup {
  readonly id: string;
  readonly name: string;
  readonly weak: boolean;
}

/** A step of the build. Repeats by digest, the last one holds; a step may start again after it completed. */
export interface VertexEvent {
  readonly kind: "vertex";
  readonly digest: string;
  /** As shown to people: "[build 2/3] RUN make". */
  readonly name: string;
  readonly inputs: readonly string[];
  readonly cached: boolean;
  readonly started?: Date;
  readonly completed?: Date;
  readonly nanos?: Nanos;
  readonly group?: StepGroup;
  /** Plain text; the typed error is the one that `solve` rejects with. */
  readonly error?: string;
}

/** How far a part of a step is ("transferring context:", "extracting sha256:…"). Repeats by vertex and id. */
export interface ProgressEvent {
  readonly kind: "progress";
  readonly vertex: string;
  readonly id: string;
  readonly name: string;
  readonly current: number;
  /** 0: not known. */
  readonly total: number;
  readonly timestamp?: Date;
  readonly started?: Date;
  readonly completed?: Date;
  readonly nanos?: Nanos;
}

/** Output of a step: a raw chunk, not a line, possibly cut inside a character. */
export interface LogEvent {
  readonly kind: "log";
  readonly vertex: string;
  /** 1 stdout, 2 stderr. */
  readonly stream: 1 | 2;
  readonly data: Uint8Array;
  readonly timestamp: Date;
  readonly nanos?: Nanos;
}

/** A position in a source file; lines count from 1. */
export interface SourceLines {
  readonly path: string;
  readonly line: number;
  readonly endLine: number;
}

/** The whole source file that a warning is about, and each of its places. */
export interface WarnedFile {
  readonly path: string;
  readonly language: string;
  readonly data: Uint8Array;
  readonly ranges: readonly WarnedRange[];
}

/** Lines count from 1, characters from 0. */
export interface WarnedRange {
  readonly start: { readonly line: number; readonly character: number };
  readonly end: { readonly line: number; readonly character: number };
}

/** A lint warning of the frontend. */
export interface WarningEvent {
  readonly kind: "warning";
  readonly vertex: string;
  readonly level: number;
  readonly short: string;
  readonly detail: readonly string[];
  readonly url?: string;
  readonly source?: SourceLines;
  readonly file?: WarnedFile;
}

/** What a solve reports while it runs. */
export type SolveEvent = VertexEvent | ProgressEvent | LogEvent | WarningEvent;

/** One status message as events: vertices first, so that a log never comes before its step. */
export function eventsOf(status: StatusResponse): SolveEvent[] {
  return [
    ...status.vertexes.map(vertexEvent),
    ...status.statuses.map(progressEvent),
    ...status.logs.map(logEvent),
    ...status.warnings.map(warningEvent),
  ];
}

/** A time to the nanosecond: nanoseconds since the epoch, by the daemon's clock. */
export function instant(time: Date, nanos: number | undefined): bigint {
  const ms = time.getTime();
  if (nanos === undefined) return BigInt(ms) * 1_000_000n;
  return BigInt(Math.floor(ms / 1000)) * 1_000_000_000n + BigInt(nanos);
}

interface WireTimes {
  readonly timestamp?: Timestamp | undefined;
  readonly started?: Timestamp | undefined;
  readonly completed?: Timestamp | undefined;
}

function times(of: WireTimes): Pick<ProgressEvent, "started" | "completed" | "nanos"> {
  const { timestamp, started, completed } = of;
  if (timestamp === undefined && started === undefined && completed === undefined) return {};
  return {
    ...(started === undefined ? {} : { started: timestampDate(started) }),
    ...(completed === undefined ? {} : { completed: timestampDate(completed) }),
    nanos: {
      ...(timestamp === undefined ? {} : { timestamp: timestamp.nanos }),
      ...(started === undefined ? {} : { started: started.nanos }),
      ...(completed === undefined ? {} : { completed: completed.nanos }),
    },
  };
}

function vertexEvent(vertex: Vertex): VertexEvent {
  const group = vertex.progressGroup;
  return {
    kind: "vertex",
    digest: vertex.digest,
    name: vertex.name,
    inputs: vertex.inputs,
    cached: vertex.cached,
    ...times(vertex),
    ...(group === undefined ? {} : { group: { id: group.id, name: group.name, weak: group.weak } }),
    ...(vertex.error === "" ? {} : { error: vertex.error }),
  };
}

function progressEvent(status: VertexStatus): ProgressEvent {
  return {
    kind: "progress",
    vertex: status.vertex,
    id: status.id,
    name: status.name,
    current: Number(status.current),
    total: Number(status.total),
    ...times(status),
    ...(status.timestamp === undefined ? {} : { timestamp: timestampDate(status.timestamp) }),
  };
}

function logEvent(log: VertexLog): LogEvent {
  const { timestamp } = log;
  return {
    kind: "log",
    vertex: log.vertex,
    stream: log.stream === 2n ? 2 : 1,
    data: log.msg,
    timestamp: timestamp === undefined ? new Date(0) : timestampDate(timestamp),
    ...(timestamp === undefined ? {} : { nanos: { timestamp: timestamp.nanos } }),
  };
}

function rangeOf({ start, end }: Range): WarnedRange {
  const from = { line: start?.line ?? 0, character: start?.character ?? 0 };
  return {
    start: from,
    end: end === undefined ? from : { line: end.line, character: end.character },
  };
}

function warnedPlace(warning: VertexWarning): Pick<WarningEvent, "source" | "file"> {
  const { info, ranges } = warning;
  if (info === undefined) return {};
  const { filename: path, language, data } = info;
  const [first] = ranges;
  return {
    ...(first?.start === undefined
      ? {}
      : {
          source: {
            path,
            line: first.start.line,
            endLine: first.end?.line ?? first.start.line,
          },
        }),
    file: { path, language, data, ranges: ranges.map(rangeOf) },
  };
}

function warningEvent(warning: VertexWarning): WarningEvent {
  const text = new TextDecoder();
  return {
    kind: "warning",
    vertex: warning.vertex,
    level: Number(warning.level),
    short: text.decode(warning.short),
    detail: warning.detail.map((line) => text.decode(line)),
    ...(warning.url === "" ? {} : { url: warning.url }),
    ...warnedPlace(warning),
  };
}
