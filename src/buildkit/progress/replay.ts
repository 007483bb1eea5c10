// What of a status stream that was opened again is new? The daemon replays a solve from its start, and a
// reader that lags gets only the last of several records with one id, so a replay may have fewer records
// than the first telling, never others. Records have no number; they are known by time and content.
import { instant, type LogEvent, type ProgressEvent, type SolveEvent } from "./events.ts";

/** How often each record was told. */
type Told = Map<string, number>;

/** What was told of one stream of records with times that only grow: the last time, and the records of it. */
interface Mark {
  readonly time: bigint;
  readonly events: SolveEvent[];
}

interface Owed {
  readonly time: bigint;
  readonly told: Told;
}

/** A daemon that sends more than this is not one to remember everything of. */
const maxAtOneTime = 1_024;
const maxStates = 65_536;

function streamOf(event: LogEvent | ProgressEvent): string {
  return event.kind === "log"
    ? `log ${event.vertex} ${event.stream}`
    : `progress ${event.vertex} ${event.id}`;
}

function timeOf(event: LogEvent | ProgressEvent): bigint {
  return event.timestamp === undefined ? 0n : instant(event.timestamp, event.nanos?.timestamp);
}

/** Equal for equal records of one stream. */
function print(event: SolveEvent): string {
  if (event.kind === "log") return Buffer.from(event.data).toString("latin1");
  if (event.kind === "warning") return JSON.stringify({ ...event, file: event.file?.ranges });
  return JSON.stringify(event);
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

function owedOf({ time, events }: Mark): Owed {
  const told: Told = new Map();
  for (const event of events) add(told, print(event));
  return { time, told };
}

/**
 * Drops what a replay repeats. Remembers for each step the few states it was in, and for each stream of output
 * or progress what was told at its last time: memory does not grow with output.
 */
export class ReplayFilter {
  readonly #marks = new Map<string, Mark>();
  readonly #states: Told = new Map();
  #owedMarks = new Map<string, Owed>();
  #owedStates: Told = new Map();

  /** From here on the daemon tells everything again. */
  replay(): void {
    this.#owedMarks = new Map([...this.#marks].map(([stream, mark]) => [stream, owedOf(mark)]));
    this.#owedStates = new Map(this.#states);
  }

  /** Whether this event is told for the first time. */
  isNew(event: SolveEvent): boolean {
    if (event.kind === "vertex" || event.kind === "warning") {
      const record = print(event);
      if (take(this.#owedStates, record)) return false;
      if (this.#states.size < maxStates) add(this.#states, record);
      return true;
    }
    const stream = streamOf(event);
    const time = timeOf(event);
    if (this.#isOwed(stream, time, event)) return false;
    const mark = this.#marks.get(stream);
    if (mark === undefined || time > mark.time) this.#marks.set(stream, { time, events: [event] });
    else if (time === mark.time && mark.events.length < maxAtOneTime) mark.events.push(event);
    return true;
  }

  #isOwed(stream: string, time: bigint, event: SolveEvent): boolean {
    const owed = this.#owedMarks.get(stream);
    if (owed === undefined || time > owed.time) return false;
    return time < owed.time || take(owed.told, print(event));
  }
}
