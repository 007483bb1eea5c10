// Recorded builds as events, one list for each status message. record.ts made them.
import { readFileSync } from "node:fs";
import path from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { StatusResponseSchema } from "../../../../src/gen/moby/buildkit/v1/control_pb.ts";
import { eventsOf, type SolveEvent } from "../../../../src/buildkit/progress/events.ts";

/** Terminals that the recordings were shown in. */
export const terminalSizes = [
  { width: 80, height: 24 },
  { width: 61, height: 14 },
] as const;

/** Names of all recordings. */
export const recordingNames = [
  "steps",
  "cached",
  "warnings",
  "failure",
  "parallel",
  "terminal",
  "groups",
  "export",
] as const;

interface Status {
  readonly vertexes?: readonly (Times & {
    readonly digest: string;
    readonly inputs?: string[];
    readonly name?: string;
    readonly cached?: boolean;
    readonly error?: string;
    readonly progressGroup?: {
      readonly id: string;
      readonly name?: string;
      readonly weak?: boolean;
    };
  })[];
  readonly statuses?: readonly (Times & {
    readonly id: string;
    readonly vertex: string;
    readonly name?: string;
    readonly total?: number;
    readonly current: number;
    readonly timestamp: string;
  })[];
  readonly logs?: readonly {
    readonly vertex: string;
    readonly stream?: number;
    readonly data: string;
    readonly timestamp: string;
  }[];
  readonly warnings?: readonly {
    readonly vertex: string;
    readonly level?: number;
    readonly short?: string;
    readonly detail?: string[];
    readonly url?: string;
    readonly sourceInfo?: {
      readonly filename?: string;
      readonly data?: string;
      readonly language?: string;
    };
    readonly range?: readonly {
      readonly start: { readonly line?: number; readonly character?: number };
      readonly end: { readonly line?: number; readonly character?: number };
    }[];
  }[];
}

interface Times {
  readonly started?: string;
  readonly completed?: string;
}

function timestamp(text: string): MessageInitShape<typeof TimestampSchema> {
  const [second = "", places = ""] = text.replace("Z", "").split(".");
  return { seconds: BigInt(Date.parse(`${second}Z`) / 1000), nanos: Number(places.padEnd(9, "0")) };
}

/** Texts of times become timestamps. */
function timed<T extends Times>({ started, completed, ...rest }: T) {
  return {
    ...rest,
    ...(started === undefined ? {} : { started: timestamp(started) }),
    ...(completed === undefined ? {} : { completed: timestamp(completed) }),
  };
}

const bytes = (base64 = "") => Uint8Array.from(Buffer.from(base64, "base64"));

/** A line of buildctl's rawjson as the daemon had sent it. */
export function messageOf(line: string): MessageInitShape<typeof StatusResponseSchema> {
  const { vertexes = [], statuses = [], logs = [], warnings = [] } = JSON.parse(line) as Status;
  return {
    vertexes: vertexes.map(timed),
    statuses: statuses.map((one) => ({
      ...timed(one),
      total: BigInt(one.total ?? 0),
      current: BigInt(one.current),
      timestamp: timestamp(one.timestamp),
    })),
    logs: logs.map(({ vertex, stream = 0, data, timestamp: at }) => ({
      ...{ vertex, stream: BigInt(stream), msg: bytes(data), timestamp: timestamp(at) },
    })),
    warnings: warnings.map(({ sourceInfo, range = [], level = 0, short, detail = [], ...one }) => ({
      ...one,
      ...{
        level: BigInt(level),
        short: bytes(short),
        detail: detail.map(bytes),
        ranges: [...range],
      },
      ...(sourceInfo === undefined
        ? {}
        : { info: { ...sourceInfo, data: bytes(sourceInfo.data) } }),
    })),
  };
}

/** A file beside the recordings. */
export function recorded(file: string): string {
  return readFileSync(path.join(import.meta.dirname, "recordings", file), "utf8");
}

/** Lines of a recording. */
export function linesOf(name: string): string[] {
  return recorded(`${name}.jsonl`).trimEnd().split("\n");
}

/** The events of a recording, a list for each message. */
export function batchesOf(name: string): SolveEvent[][] {
  return linesOf(name).map((line) => eventsOf(create(StatusResponseSchema, messageOf(line))));
}
