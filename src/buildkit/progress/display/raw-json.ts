// Progress as one JSON object a line, in the shape that buildctl's rawjson has: SolveStatus of client/graph.go,
// BuildKit v0.34.2, as Go's encoding/json writes it. Times are the daemon's.
import {
  instant,
  type LogEvent,
  type ProgressEvent,
  type SolveEvent,
  type VertexEvent,
  type WarnedFile,
  type WarningEvent,
} from "../events.ts";
import type { Display } from "./display.ts";

/** RFC 3339 in UTC with as many places as there are, at most nine. */
export function rfc3339Nano(time: bigint): string {
  const second = time / 1_000_000_000n;
  const nanos = (time % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  const whole = new Date(Number(second) * 1000).toISOString().slice(0, 19);
  return `${whole}${nanos === "" ? "" : `.${nanos}`}Z`;
}

type Json = Record<string, unknown>;

function base64(text: Uint8Array | string): string {
  return Buffer.from(text).toString("base64");
}

/** Go leaves out what is empty. */
function filled(of: Json): Json {
  return Object.fromEntries(
    Object.entries(of).filter(([, value]) => {
      if (Array.isArray(value)) return value.length > 0;
      return value !== undefined && value !== "" && value !== 0 && value !== false;
    }),
  );
}

function timeText(time: Date | undefined, nanos: number | undefined): string | undefined {
  return time === undefined ? undefined : rfc3339Nano(instant(time, nanos));
}

function vertexJson(event: VertexEvent): Json {
  const { digest, inputs, name, cached, error, group, nanos } = event;
  return filled({
    digest,
    inputs,
    name,
    started: timeText(event.started, nanos?.started),
    completed: timeText(event.completed, nanos?.completed),
    cached,
    error,
    progressGroup: group === undefined ? undefined : filled({ ...group }),
  });
}

function partJson(event: ProgressEvent): Json {
  const { id, vertex, name, total, current, nanos } = event;
  return {
    id,
    ...filled({ vertex, name, total }),
    current,
    timestamp: timeText(event.timestamp ?? new Date(0), nanos?.timestamp),
    ...filled({
      started: timeText(event.started, nanos?.started),
      completed: timeText(event.completed, nanos?.completed),
    }),
  };
}

function logJson({ vertex, stream, data, timestamp, nanos }: LogEvent): Json {
  return {
    ...filled({ vertex, stream }),
    data: base64(data),
    timestamp: timeText(timestamp, nanos?.timestamp),
  };
}

function fileJson({ path, language, data, ranges }: WarnedFile): Json {
  return filled({
    sourceInfo: filled({ filename: path, data: base64(data), language }),
    range: ranges.map(({ start, end }) => ({ start: filled(start), end: filled(end) })),
  });
}

function warningJson({ vertex, level, short, detail, url, file }: WarningEvent): Json {
  return {
    ...filled({ vertex, level, short: base64(short), detail: detail.map(base64), url }),
    ...(file === undefined ? {} : fileJson(file)),
  };
}

/** Go's encoder keeps its text safe inside of HTML. */
function goJson(value: Json): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The events of one status message as a line, with its line break. */
export function statusLine(events: readonly SolveEvent[]): string {
  const status = {
    vertexes: events.flatMap((event) => (event.kind === "vertex" ? [vertexJson(event)] : [])),
    statuses: events.flatMap((event) => (event.kind === "progress" ? [partJson(event)] : [])),
    logs: events.flatMap((event) => (event.kind === "log" ? [logJson(event)] : [])),
    warnings: events.flatMap((event) => (event.kind === "warning" ? [warningJson(event)] : [])),
  };
  return `${goJson(filled(status))}\n`;
}

/** A line of JSON for each update. */
export function rawJsonDisplay(): Display {
  let waiting = "";
  const take = (): string => {
    const text = waiting;
    waiting = "";
    return text;
  };
  return {
    update(events) {
      if (events.length > 0) waiting += statusLine(events);
    },
    render: take,
    finish: take,
  };
}
