// What of a status stream that was opened again is new? The daemon replays a solve from its start, and a
// reader that lags gets only the last of several records with one id, so a replay may have fewer records
// than the first telling, never others. Records have no number; they are known by time and content.
import { hash } from "node:crypto";
import {
  instant,
  type LogEvent,
  type ProgressEvent,
  type SolveEvent,
  type VertexEvent,
  type WarningEvent,
} from "./events.ts";

/** How often each record was told. */
type Told = Map<string, number>;

/**
 * What was told of one stream of records with times that only grow: the last time, and what is known of the
 * records of it. Never the bytes that came: they would keep a whole read buffer alive.
 */
interface Mark {
  time: bigint;
  records: Kept[];
}

/** A record from which its print can be made, when it is needed: that it ever is, is rare. */
type Kept = ProgressEvent | VertexEvent | string;

interface Owed {
  readonly time: bigint;
  readonly told: Told;
}

/** A daemon that sends more than this is not one to remember everything of. */
const maxAtOneTime = 1_024;
const maxStates = 65_536;
const maxStreams = 65_536;
/** Longer output is known by its hash. */
const maxRecordBytes = 1_024;

function streamOf(event: LogEvent | ProgressEvent): string {
  return event.kind === "log"
    ? `log ${event.vertex} ${event.stream}`
    : `progress ${event.vertex} ${event.id}`;
}

function timeOf(event: LogEvent | ProgressEvent): bigint {
  return event.timestamp === undefined ? 0n : instant(event.timestamp, event.nanos?.timestamp);
}

function keptOf(event: SolveEvent): Kept {
  if (event.kind === "warning") return JSON.stringify({ ...event, file: event.file?.ranges });
  if (event.kind !== "log") return event;
  const { data } = event;
  if (data.length > maxRecordBytes) return `${data.length} ${hash("sha1", data)}`;
  return Buffer.from(data.buffer, data.byteOffset, data.length).toString("latin1");
}

/** Equal for equal records of one stream. */
function print(kept: Kept): string {
  return typeof kept === "string" ? kept : JSON.stringify(kept);
}

function add(told: Told, record: string): void {
  told.set(record, (told.get(record) ?? 0) + 1);
}

/** Takes one telling of a record away; false when there is none left. */
function take(told: Told, record: string): boolean {
  const count = told.get(record) ?? 0;
  if (count > 1) told.set(record, count - 1);
  return count > 1 || told.delete(record);
}

function toldOf(records: readonly Kept[]): Told {
  const told: Told = new Map();
  for (const record of records) add(told, print(record));
  return told;
}

/**
 * Drops what a replay repeats. Remembers for each step the few states it was in, and for each stream of output
 * or progress what was told at its last time: memory does not grow with output.
 */
export class ReplayFilter {
  readonly #marks = new Map<string, Mark>();
  readonly #states: Kept[] = [];
  #owedMarks = new Map<string, Owed>();
  #owedStates: Told = new Map();

  /** From here on the daemon tells everything again. */
  replay(): void {
    this.#owedMarks = new Map(
      [...this.#marks].map(([stream, { time, records }]) => [
        stream,
        { time, told: toldOf(records) },
      ]),
    );
    this.#owedStates = toldOf(this.#states);
  }

  /** Whether this event is told for the first time. */
  isNew(event: SolveEvent): boolean {
    if (event.kind === "vertex" || event.kind === "warning") return this.#isNewState(event);
    const stream = streamOf(event);
    const time = timeOf(event);
    if (this.#isOwed(stream, time, event)) return false;
    const mark = this.#marks.get(stream);
    if (mark === undefined) {
      if (this.#marks.size < maxStreams)
        this.#marks.set(stream, { time, records: [keptOf(event)] });
    } else if (time > mark.time) {
      mark.time = time;
      mark.records = [keptOf(event)];
    } else if (time === mark.time && mark.records.length < maxAtOneTime)
      mark.records.push(keptOf(event));
    return true;
  }

  #isNewState(event: VertexEvent | WarningEvent): boolean {
    if (this.#owedStates.size > 0 && take(this.#owedStates, print(keptOf(event)))) return false;
    if (this.#states.length < maxStates) this.#states.push(keptOf(event));
    return true;
  }

  #isOwed(stream: string, time: bigint, event: SolveEvent): boolean {
    const owed = this.#owedMarks.get(stream);
    if (owed === undefined || time > owed.time) return false;
    return time < owed.time || take(owed.told, print(keptOf(event)));
  }
}
