// How full are the daemon's disk and its cache, and how is room made? The file system is asked every time; the daemon, which
// looks through all of its records for an answer, at most once a minute.

import { statfs } from "node:fs/promises";
import type { BuildkitClient } from "../../buildkit/index.ts";

/** What a `DiskGauge` reads. */
export interface DiskGaugeOptions {
  readonly client: Pick<BuildkitClient, "diskUsage" | "prune">;
  /** Folder on the volume with the daemon's state; undefined: not looked at. */
  readonly volume: string | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

interface Volume {
  readonly bytes: bigint;
  readonly free: bigint;
  readonly reserved: bigint;
}

const askEveryMs = 60_000;

/** The disk of one daemon. */
export class DiskGauge {
  readonly #o: DiskGaugeOptions;
  #cache: { readonly bytes: number; readonly atMs: number } | undefined;

  constructor(o: DiskGaugeOptions) {
    this.#o = o;
  }

  /** Bytes of the volume, as df counts them: without those that are kept for root. 0 when there is none to look at. */
  async volume(): Promise<Volume> {
    if (this.#o.volume === undefined) return { bytes: 0n, free: 0n, reserved: 0n };
    const { blocks, bfree, bavail, bsize } = await statfs(this.#o.volume, { bigint: true });
    const reserved = (bfree - bavail) * bsize;
    return { bytes: blocks * bsize - reserved, free: bavail * bsize, reserved };
  }

  /** Bytes of the daemon's cache. Rejects with `BuildkitError` when the daemon does not answer. */
  async cacheBytes(signal: AbortSignal): Promise<number> {
    const nowMs = this.#o.now();
    if (this.#cache !== undefined && nowMs - this.#cache.atMs < askEveryMs)
      return this.#cache.bytes;
    const records = await this.#o.client.diskUsage(signal);
    const bytes = records.reduce((sum, { size }) => sum + size, 0);
    this.#cache = { bytes, atMs: nowMs };
    return bytes;
  }

  /** Removes old cache, the least recently used first, until so much is free or nothing may go. Bytes removed. */
  async prune(minFreeBytes: number, signal: AbortSignal): Promise<number> {
    let freed = 0;
    // BuildKit counts what is kept for root as free (util/disk, cache.calculateKeepBytes).
    const { reserved } = await this.volume();
    const minFreeSpace = minFreeBytes + Number(reserved);
    const removed = this.#o.client.prune(signal, { all: true, minFreeSpace });
    for await (const { size } of removed) freed += size;
    this.#cache = undefined;
    return freed;
  }
}
