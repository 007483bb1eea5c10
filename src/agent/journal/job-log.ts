// The events of one job on disk: appended in the background, in segments of which the oldest go when there are too many.
// Nobody waits for the disk: a full or a slow one costs log lines of the copy on disk, never the build.

import { type FileHandle, mkdir, open, rm } from "node:fs/promises";
import path from "node:path";
import type { Logger } from "pino";
import type { SolveEvent } from "../../buildkit/index.ts";
import type { JobEvent } from "../agent.ts";
import type { OlderEvents } from "../events/event-log.ts";
import { keepLatest } from "../events/latest.ts";
import {
  eventFrame,
  type JobHeader,
  openingFrames,
  readSegment,
  segmentName,
  segmentsIn,
} from "./segment.ts";

/** Sizes in bytes. */
export interface JobLogLimits {
  /** A new segment is begun above this. */
  readonly segmentBytes: number;
  /** All segments of a job together. */
  readonly jobBytes: number;
  /** What may wait for the disk: above it, output of steps is left out of the copy on disk. */
  readonly pendingBytes: number;
}

/** What a `JobLog` is made of. */
export interface JobLogOptions {
  /** Belongs to this job alone; made with the first write. */
  readonly folder: string;
  readonly header: JobHeader;
  readonly limits: JobLogLimits;
  readonly log: Logger;
  /** The bytes on disk have changed by this much. */
  onSize(change: number): void;
}

interface File {
  readonly first: number;
  bytes: number;
}

/** One job's log. `append` returns at once. */
export class JobLog implements OlderEvents {
  readonly #o: JobLogOptions;
  readonly #vertices = new Map<string, SolveEvent>();
  #files: File[];
  #handle: FileHandle | undefined;
  #pending: { readonly offset: number; readonly frame: Buffer; readonly last: boolean }[] = [];
  #pendingBytes = 0;
  #work: Promise<void> = Promise.resolve();
  #scheduled = false;
  #broken = false;

  constructor(
    o: JobLogOptions,
    before: { files: readonly File[]; vertices: ReadonlyMap<string, SolveEvent> } = {
      files: [],
      vertices: new Map(),
    },
  ) {
    this.#o = o;
    this.#files = [...before.files];
    this.#vertices = new Map(before.vertices);
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.#files.reduce((sum, file) => sum + file.bytes, 0);
  }

  /** Takes an event; it is on disk some milliseconds later. */
  append(entry: JobEvent): void {
    if (this.#broken) return;
    const event = entry.kind === "solve" ? entry.event : undefined;
    if (event !== undefined) keepLatest(this.#vertices, event);
    const isOutput = event?.kind === "log" || event?.kind === "progress";
    if (isOutput && this.#pendingBytes > this.#o.limits.pendingBytes) return;
    const frame = eventFrame(entry);
    this.#pending.push({ offset: entry.offset, frame, last: entry.kind === "finished" });
    this.#pendingBytes += frame.byteLength;
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#work = this.#work.then(async () => await this.#flush());
  }

  /** Events with offsets in [from, before), as far as they are still there; gaps say what is not. */
  async *read(from: number, before: number): AsyncGenerator<JobEvent, void, undefined> {
    await this.#work;
    let next = from;
    const firsts = this.#files.map(({ first }) => first);
    const begin = Math.max(
      0,
      firsts.findLastIndex((first) => first <= next),
    );
    for (const first of firsts.slice(begin)) {
      const segment = await readSegment(this.#o.folder, first).catch(() => undefined);
      if (segment === undefined) continue;
      if (first > next && first <= before) {
        yield { kind: "gap", offset: next, dropped: first - next };
        next = first;
        for (const vertex of segment.snapshot) yield { ...vertex, offset: first - 1 };
      }
      for (const event of segment.events) {
        if (event.offset < next || event.offset >= before) continue;
        if (event.offset > next) yield { kind: "gap", offset: next, dropped: event.offset - next };
        yield event;
        next = event.offset + 1;
      }
    }
    if (next >= before) return;
    yield { kind: "gap", offset: next, dropped: before - next };
    for (const event of this.#vertices.values()) yield { kind: "solve", offset: before - 1, event };
  }

  /** Removes the oldest segment but never the last one. Resolves to whether there was one. */
  async dropOldest(): Promise<boolean> {
    const oldest = this.#files.length > 1 ? this.#files.shift() : undefined;
    if (oldest === undefined) return false;
    this.#o.onSize(-oldest.bytes);
    await rm(path.join(this.#o.folder, segmentName(oldest.first)), { force: true });
    return true;
  }

  /** Writes what is pending and closes the file. */
  async close(): Promise<void> {
    await this.#work;
    await this.#handle?.close();
    this.#handle = undefined;
  }

  /** Removes everything of the job. */
  async remove(): Promise<void> {
    this.#broken = true;
    await this.close();
    this.#o.onSize(-this.bytes);
    this.#files = [];
    await rm(this.#o.folder, { recursive: true, force: true });
  }

  async #flush(): Promise<void> {
    this.#scheduled = false;
    const batch = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    const [begin] = batch;
    if (this.#broken || begin === undefined) return;
    try {
      await this.#write(begin.offset, Buffer.concat(batch.map(({ frame }) => frame)));
      // The outcome is worth a write to the device: a node that crashes keeps its pods' emptyDirs.
      if (batch.some(({ last }) => last)) await this.#handle?.datasync();
    } catch (error) {
      this.#broken = true;
      const { ref } = this.#o.header;
      this.#o.log.error({ err: error, ref }, "the job's log on disk is given up, memory goes on");
    }
  }

  async #write(offset: number, bytes: Buffer): Promise<void> {
    const { limits, header, folder } = this.#o;
    let file = this.#files.at(-1);
    if (file === undefined || this.#handle === undefined || file.bytes >= limits.segmentBytes) {
      await this.#handle?.close();
      await mkdir(folder, { recursive: true, mode: 0o700 });
      this.#handle = await open(path.join(folder, segmentName(offset)), "a", 0o600);
      file = { first: offset, bytes: 0 };
      this.#files.push(file);
      const snapshot = [...this.#vertices.values()].map(
        (event): JobEvent => ({ kind: "solve", offset: Math.max(0, offset - 1), event }),
      );
      await this.#put(file, openingFrames(header, snapshot));
    }
    await this.#put(file, bytes);
    while (this.bytes > limits.jobBytes && (await this.dropOldest()));
  }

  async #put(file: File, bytes: Buffer): Promise<void> {
    await this.#handle?.appendFile(bytes);
    file.bytes += bytes.byteLength;
    this.#o.onSize(bytes.byteLength);
  }
}

/** What a job's folder tells after a restart. */
export interface Remains {
  readonly header: JobHeader;
  readonly files: readonly File[];
  readonly vertices: ReadonlyMap<string, SolveEvent>;
  /** The offset after the last event on disk. */
  readonly nextOffset: number;
  readonly outcome: Extract<JobEvent, { kind: "finished" }>["outcome"] | undefined;
}

/** Reads what a job left in its folder; undefined when nothing of it can be read. */
export async function remainsIn(folder: string): Promise<Remains | undefined> {
  const vertices = new Map<string, SolveEvent>();
  const files: File[] = [];
  let header: JobHeader | undefined;
  let nextOffset = 0;
  let outcome: Remains["outcome"];
  for (const first of await segmentsIn(folder)) {
    const segment = await readSegment(folder, first);
    if (segment === undefined) continue;
    header ??= segment.header;
    for (const entry of [...segment.snapshot, ...segment.events]) {
      nextOffset = Math.max(nextOffset, entry.offset + 1);
      if (entry.kind === "finished") outcome = entry.outcome;
      else if (entry.kind === "solve") keepLatest(vertices, entry.event);
    }
    files.push({ first, bytes: await sizeOf(path.join(folder, segmentName(first))) });
  }
  return header === undefined ? undefined : { header, files, vertices, nextOffset, outcome };
}

async function sizeOf(file: string): Promise<number> {
  const handle = await open(file, "r");
  try {
    return (await handle.stat()).size;
  } finally {
    await handle.close();
  }
}
