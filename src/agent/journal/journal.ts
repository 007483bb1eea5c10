// The logs of all jobs on disk, so that a restart of the agent's container loses no result. Holds events and outcomes;
// never a job's request or its materials.

import { mkdir, readdir, rm } from "node:fs/promises";
import path from "node:path";
import type { Logger } from "pino";
import { JobLog, type JobLogLimits, type Remains, remainsIn } from "./job-log.ts";
import type { JobHeader } from "./segment.ts";

/** What a `Journal` is made of. */
export interface JournalOptions {
  /** Belongs to this agent alone. Made if it is not there. */
  readonly folder: string;
  readonly log: Logger;
  readonly limits?: Partial<JournalLimits>;
}

/** Sizes in bytes. */
export interface JournalLimits extends JobLogLimits {
  /** All jobs together: above it the longest logs lose their beginnings. */
  readonly totalBytes: number;
}

const mebibyte = 1024 * 1024;

/** 16 MiB a job in segments of 1 MiB, 256 MiB in all, 8 MiB waiting for the disk. */
export const defaultJournalLimits: JournalLimits = {
  segmentBytes: mebibyte,
  jobBytes: 16 * mebibyte,
  pendingBytes: 8 * mebibyte,
  totalBytes: 256 * mebibyte,
};

/** A job that an earlier process left. */
export interface Restored extends Pick<Remains, "header" | "vertices" | "nextOffset" | "outcome"> {
  readonly events: JobLog;
}

/** The folder with every job's log. */
export class Journal {
  readonly #o: JournalOptions;
  readonly #limits: JournalLimits;
  readonly #logs = new Set<JobLog>();
  #bytes = 0;
  #trimming: Promise<void> | undefined;

  constructor(o: JournalOptions) {
    this.#o = o;
    this.#limits = { ...defaultJournalLimits, ...o.limits };
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Begins the log of a new job. Nothing is on disk yet. */
  begin(header: JobHeader): JobLog {
    return this.#add(this.#folderOf(header.ref), header);
  }

  /** The jobs of an earlier process. What can't be read is removed. */
  async restore(): Promise<Restored[]> {
    await mkdir(this.#o.folder, { recursive: true, mode: 0o700 });
    const found: Restored[] = [];
    for (const name of await readdir(this.#o.folder)) {
      const folder = path.join(this.#o.folder, name);
      const remains = await remainsIn(folder).catch(() => undefined);
      if (remains === undefined) {
        this.#o.log.warn({ folder }, "removed a job's log that can't be read");
        await rm(folder, { recursive: true, force: true });
        continue;
      }
      const { header, vertices, nextOffset, outcome } = remains;
      const events = this.#add(folder, header, remains);
      this.#resize(events.bytes);
      found.push({ header, vertices, nextOffset, outcome, events });
    }
    return found;
  }

  /** Removes a job's log. */
  async remove(events: JobLog): Promise<void> {
    this.#logs.delete(events);
    await events.remove();
  }

  /** Writes what is pending. */
  async close(): Promise<void> {
    await Promise.all([...this.#logs].map(async (events) => await events.close()));
    await this.#trimming;
  }

  #folderOf(ref: string): string {
    // Refs come over the wire; `..` and slashes must not leave the folder.
    return path.join(this.#o.folder, `job-${encodeURIComponent(ref)}`);
  }

  #add(folder: string, header: JobHeader, before?: Remains): JobLog {
    const onSize = (change: number): void => this.#resize(change);
    const events = new JobLog(
      { folder, header, limits: this.#limits, log: this.#o.log, onSize },
      before,
    );
    this.#logs.add(events);
    return events;
  }

  #resize(change: number): void {
    this.#bytes += change;
    if (this.#bytes <= this.#limits.totalBytes) return;
    this.#trimming ??= this.#trim().finally(() => {
      this.#trimming = undefined;
    });
  }

  async #trim(): Promise<void> {
    while (this.#bytes > this.#limits.totalBytes) {
      const [longest] = [...this.#logs].toSorted((a, b) => b.bytes - a.bytes);
      if (longest === undefined || !(await longest.dropOldest())) return;
    }
  }
}
