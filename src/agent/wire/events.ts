// Events of a job ⇄ their protobuf form, which the wire and the log on disk share. Pure.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { SolveEvent } from "../../buildkit/index.ts";
import {
  type JobEvent as WireEvent,
  type JobEventSchema,
  SourceLinesSchema,
} from "../../gen/kiln/agent/v1/agent_pb.ts";
import type { JobEvent, JobOutcome } from "../agent.ts";

/** What `toBinary` and grpc take for an event. */
export type WireEventInit = MessageInitShape<typeof JobEventSchema>;
type WireBody = NonNullable<WireEventInit["event"]>;
type Times = { readonly started?: Date; readonly completed?: Date; readonly timestamp?: Date };

/** The event as it travels. */
export function toWire(event: JobEvent): WireEventInit {
  return { offset: BigInt(event.offset), event: bodyOf(event) };
}

function bodyOf(event: JobEvent): WireBody {
  switch (event.kind) {
    case "gap":
      return { case: "gap", value: { dropped: BigInt(event.dropped) } };
    case "finished":
      return { case: "finished", value: { outcome: JSON.stringify(event.outcome) } };
    case "solve":
      return solveBody(event.event);
  }
}

function solveBody(event: SolveEvent): WireBody {
  switch (event.kind) {
    case "vertex": {
      const { digest, name, inputs, cached, error } = event;
      const base = { digest, name, inputs: [...inputs], cached, error: error ?? "" };
      return { case: "vertex", value: { ...base, ...stamps(event) } };
    }
    case "progress": {
      const { vertex, id, name, current, total } = event;
      const numbers = { current: whole(current), total: whole(total) };
      return { case: "progress", value: { vertex, id, name, ...numbers, ...stamps(event) } };
    }
    case "log": {
      const { vertex, stream, data, timestamp } = event;
      return { case: "log", value: { vertex, stream, data, ...stamps({ timestamp }) } };
    }
    case "warning": {
      const { vertex, level, short, detail, url, source } = event;
      const base = { vertex, level, short, detail: [...detail], url: url ?? "" };
      return {
        case: "warning",
        value: { ...base, ...(source && { source: create(SourceLinesSchema, source) }) },
      };
    }
  }
}

/** The event that `toWire` was given; undefined for a kind that this version does not know. */
export function fromWire({ offset, event }: WireEvent): JobEvent | undefined {
  const at = Number(offset);
  if (event.case === undefined) return undefined;
  if (event.case === "gap")
    return { kind: "gap", offset: at, dropped: Number(event.value.dropped) };
  if (event.case === "finished")
    return { kind: "finished", offset: at, outcome: JSON.parse(event.value.outcome) as JobOutcome };
  return { kind: "solve", offset: at, event: solveEvent(event) };
}

type SolveBody = Exclude<WireEvent["event"], { case: "gap" | "finished" | undefined }>;

function solveEvent(body: SolveBody): SolveEvent {
  switch (body.case) {
    case "vertex": {
      const { digest, name, inputs, cached, error } = body.value;
      const base = { kind: "vertex", digest, name, inputs, cached } as const;
      return { ...base, ...dates(body.value), ...(error === "" ? {} : { error }) };
    }
    case "progress": {
      const { vertex, id, name, current, total } = body.value;
      const numbers = { current: Number(current), total: Number(total) };
      return { kind: "progress", vertex, id, name, ...numbers, ...dates(body.value) };
    }
    case "log": {
      const { vertex, stream, data } = body.value;
      const timestamp = dates(body.value).timestamp ?? new Date(0);
      return { kind: "log", vertex, stream: stream === 2 ? 2 : 1, data, timestamp };
    }
    case "warning": {
      const { vertex, level, short, detail, url, source } = body.value;
      return {
        kind: "warning",
        vertex,
        level,
        short,
        detail,
        ...(url === "" ? {} : { url }),
        ...(source && {
          source: { path: source.path, line: source.line, endLine: source.endLine },
        }),
      };
    }
  }
}

function stamps(of: Times): { started?: Timestamp; completed?: Timestamp; timestamp?: Timestamp } {
  return {
    ...(of.started && { started: timestampFromDate(of.started) }),
    ...(of.completed && { completed: timestampFromDate(of.completed) }),
    ...(of.timestamp && { timestamp: timestampFromDate(of.timestamp) }),
  };
}

interface Stamped {
  readonly started?: Timestamp | undefined;
  readonly completed?: Timestamp | undefined;
  readonly timestamp?: Timestamp | undefined;
}

function dates(of: Stamped): Times {
  return {
    ...(of.started && { started: timestampDate(of.started) }),
    ...(of.completed && { completed: timestampDate(of.completed) }),
    ...(of.timestamp && { timestamp: timestampDate(of.timestamp) }),
  };
}

/** Daemons count in whole numbers; a fraction must not fail the encoding. */
function whole(value: number): bigint {
  return BigInt(Math.trunc(value));
}
