// Wire status messages → events of a solve, in the order they were sent. Pure.
import { timestampDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import type {
  StatusResponse,
  Vertex,
  VertexLog,
  VertexStatus,
  VertexWarning,
} from "../../gen/moby/buildkit/v1/control_pb.ts";

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
}

/** Output of a step: a raw chunk, not a line, possibly cut inside a character. */
export interface LogEvent {
  readonly kind: "log";
  readonly vertex: string;
  /** 1 stdout, 2 stderr. */
  readonly stream: 1 | 2;
  readonly data: Uint8Array;
  readonly timestamp: Date;
}

/** A position in a source file; lines count from 1. */
export interface SourceLines {
  readonly path: string;
  readonly line: number;
  readonly endLine: number;
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

function times(of: { started?: Timestamp | undefined; completed?: Timestamp | undefined }): {
  started?: Date;
  completed?: Date;
} {
  return {
    ...(of.started === undefined ? {} : { started: timestampDate(of.started) }),
    ...(of.completed === undefined ? {} : { completed: timestampDate(of.completed) }),
  };
}

function vertexEvent(vertex: Vertex): VertexEvent {
  return {
    kind: "vertex",
    digest: vertex.digest,
    name: vertex.name,
    inputs: vertex.inputs,
    cached: vertex.cached,
    ...times(vertex),
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
  return {
    kind: "log",
    vertex: log.vertex,
    stream: log.stream === 2n ? 2 : 1,
    data: log.msg,
    timestamp: log.timestamp === undefined ? new Date(0) : timestampDate(log.timestamp),
  };
}

function warningEvent(warning: VertexWarning): WarningEvent {
  const text = new TextDecoder();
  const first = warning.ranges[0];
  return {
    kind: "warning",
    vertex: warning.vertex,
    level: Number(warning.level),
    short: text.decode(warning.short),
    detail: warning.detail.map((line) => text.decode(line)),
    ...(warning.url === "" ? {} : { url: warning.url }),
    ...(warning.info === undefined || first?.start === undefined
      ? {}
      : {
          source: {
            path: warning.info.filename,
            line: first.start.line,
            endLine: first.end?.line ?? first.start.line,
          },
        }),
  };
}
