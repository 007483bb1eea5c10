// The event log of one job: append never waits, memory is bounded, readers resume by offset. What memory has dropped may
// still be on disk.

import type { SolveEvent } from "../../buildkit/index.ts";
import type { JobEvent, JobOutcome } from "../agent.ts";
import { keepLatest } from "./latest.ts";

/** Limits of one log. Defaults: 4,096 entries and 1 MiB of log bytes. */
export interface EventLogLimits {
  readonly maxEntries: number;
  readonly maxLogBytes: number;
}

/** Where entries are kept that memory has dropped. */
export interface OlderEvents {
  /** Takes every entry. Must not throw and must not block. */
  append(entry: JobEvent): void;
  /** Entries with offsets in [from, before), with gaps for what is gone. */
  read(from: number, before: number): AsyncIterable<JobEvent>;
}

/** How a log goes on after a restart. */
export interface Resumed {
  readonly nextOffset: number;
  readonly vertices: ReadonlyMap<string, SolveEvent>;
  readonly outcome?: JobOutcome | undefined;
}

/** What a log is made of. */
export interface EventLogOptions {
  readonly limits?: EventLogLimits | undefined;
  readonly older?: OlderEvents | undefined;
  readonly resumed?: Resumed | undefined;
}

const defaultLimits: EventLogLimits = { maxEntries: 4096, maxLogBytes: 1024 * 1024 };

function bytesOf(entry: JobEvent): number {
  if (entry.kind !== "solve") return 0;
  const { event } = entry;
  if (event.kind === "log") return event.data.byteLength;
  return event.kind === "warning" ? (event.file?.data.byteLength ?? 0) : 0;
}

/** An append-only log of a job's events that drops its oldest entries and remembers the latest record of each vertex. */
export class EventLog {
  readonly #limits: EventLogLimits;
  readonly #older: OlderEvents | undefined;
  readonly #vertices: Map<string, SolveEvent>;
  #entries: JobEvent[] = [];
  #first: number;
  #logBytes = 0;
  #outcome: JobOutcome | undefined;
  #wake = Promise.withResolvers<void>();

  constructor({ limits, older, resumed }: EventLogOptions = {}) {
    this.#limits = limits ?? defaultLimits;
    this.#older = older;
    this.#vertices = new Map(resumed?.vertices);
    this.#first = resumed?.nextOffset ?? 0;
    this.#outcome = resumed?.outcome;
  }

  /** The offset that the next entry will have. */
  get nextOffset(): number {
    return this.#first + this.#entries.length;
  }

  /** How the job ended, or undefined while it runs. */
  get outcome(): JobOutcome | undefined {
    return this.#outcome;
  }

  /** Adds what the solve reported. Ignored after `finish`. */
  append(event: SolveEvent): void {
    if (this.#outcome !== undefined) return;
    keepLatest(this.#vertices, event);
    this.#push({ kind: "solve", offset: this.nextOffset, event });
  }

  /** Ends the log. The first outcome stays. */
  finish(outcome: JobOutcome): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    this.#push({ kind: "finished", offset: this.nextOffset, outcome });
  }

  /** Reads from an offset until the log ends or the signal fires. Who is past the end gets `finished` again. */
  async *read(fromOffset: number, signal: AbortSignal): AsyncGenerator<JobEvent> {
    const last = this.nextOffset - (this.#outcome === undefined ? 0 : 1);
    let next = Math.min(Math.max(0, fromOffset), Math.max(0, last));
    while (!signal.aborted) {
      if (next < this.#first) {
        const before = this.#first;
        yield* this.#dropped(next, before);
        next = before;
        continue;
      }
      const entry = this.#entries[next - this.#first];
      if (entry === undefined) {
        if (this.#outcome !== undefined) return;
        await this.#changed(signal);
        continue;
      }
      next += 1;
      yield entry;
    }
  }

  /** The entries that memory has not any more. Vertices after a gap carry the offset of the last lost entry. */
  async *#dropped(next: number, before: number): AsyncGenerator<JobEvent> {
    if (this.#older !== undefined) {
      yield* this.#older.read(next, before);
      return;
    }
    yield { kind: "gap", offset: next, dropped: before - next };
    for (const event of this.#vertices.values()) yield { kind: "solve", offset: before - 1, event };
  }

  async #changed(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<void>();
    const onAbort = (): void => aborted.resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await Promise.race([this.#wake.promise, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #push(entry: JobEvent): void {
    this.#older?.append(entry);
    this.#entries.push(entry);
    this.#logBytes += bytesOf(entry);
    this.#trim();
    const woken = this.#wake;
    this.#wake = Promise.withResolvers<void>();
    woken.resolve();
  }

  // Cuts a quarter at a time, so that the cost of moving the array is spread over many appends.
  #trim(): void {
    const { maxEntries, maxLogBytes } = this.#limits;
    if (this.#entries.length <= maxEntries && this.#logBytes <= maxLogBytes) return;
    let cut = 0;
    let bytes = this.#logBytes;
    const keepEntries = Math.floor((maxEntries * 3) / 4);
    const keepBytes = Math.floor((maxLogBytes * 3) / 4);
    while (this.#entries.length - cut > keepEntries || bytes > keepBytes) {
      const oldest = this.#entries[cut];
      if (oldest === undefined) break;
      bytes -= bytesOf(oldest);
      cut += 1;
    }
    // The last entry stays, whatever its size: it may be the outcome.
    cut = Math.min(cut, this.#entries.length - 1);
    this.#entries = this.#entries.slice(cut);
    this.#first += cut;
    this.#logBytes = this.#entries.reduce((sum, entry) => sum + bytesOf(entry), 0);
  }
}
