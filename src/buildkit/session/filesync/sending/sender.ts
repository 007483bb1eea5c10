// Sends a tree: its entries, and the bytes of what the receiver asks for. Runs on the main thread for small trees and
// in a worker for large ones; knows neither the stream nor the thread.
import type { WireStat } from "../packets.ts";
import { chunkBytes, goMode, type OpenFile, type Tree } from "../tree.ts";
import type { Walker, WalkEntry } from "../walk.ts";
import { Batch, chunkSpace, framedChunk, packedFileBytes, type Outlet } from "./batch.ts";
import type { Chunks } from "./chunk-pool.ts";
import { FileTable } from "./file-table.ts";
import { Pace } from "./pace.ts";

/** What another sender has sent of the same list before. */
export interface Sent {
  /** How many entries; they keep their numbers. */
  readonly entries: number;
  /** First name of each file that has several. */
  readonly links: ReadonlyMap<string, string>;
}

/** How a sender works on its thread. */
export interface SenderOptions {
  readonly outlet: Outlet;
  /** For chunks of big files, and for what is packed together. */
  readonly chunks: Chunks;
  readonly batches: Chunks;
  /** May big files be read synchronously? Never on the main thread. */
  readonly mayBlock: boolean;
  /** When reading a file failed: the sync is lost. */
  readonly onFailure: (error: unknown) => void;
  readonly before?: Sent;
}

const filesAtOnce = 4;
const readsAhead = 4;
/** Other work on this thread waits no longer than this, and one call of node:fs. */
const turnMs = 8;
/** Small files that are read within this time go out together. */
const packMs = 2;

/** One sync. Owned by one call of the daemon. */
export class Sender {
  readonly #tree: Tree;
  readonly #options: SenderOptions;
  readonly #batch: Batch;
  readonly #files = new FileTable();
  /** First name of each file that has several. */
  readonly #links: Map<string, string>;
  /** Number of the first entry that is ours. */
  readonly #first: number;
  /** Numbers of files that were asked for; those before `#next` are done or under way. */
  #wanted: number[] = [];
  #next = 0;
  #active = 0;
  #stopped = false;
  #turn = performance.now();
  /** The receiver asks for small files one by one; their bytes go out some at a time. */
  readonly #flushed = new Pace(packMs, () => {
    this.#batch.flush()?.catch(this.#options.onFailure);
  });

  constructor(tree: Tree, options: SenderOptions) {
    this.#tree = tree;
    this.#options = options;
    this.#batch = new Batch(options.outlet, options.batches);
    this.#links = new Map(options.before?.links);
    this.#first = options.before?.entries ?? 0;
  }

  /** All that is sent of the list so far, for who goes on with it. */
  get sent(): Sent {
    return { entries: this.#first + this.#files.count, links: this.#links };
  }

  /**
   * Sends all that the walker finds, then the list's end. Before each step `leaves` may say that another one goes on from
   * here. True: the list is complete.
   */
  async list(
    walker: Walker,
    leaves: (walker: Walker) => boolean | Promise<boolean> = () => false,
  ): Promise<boolean> {
    const next: WalkEntry[] = [];
    while (!walker.done && !this.#stopped) {
      const leaving = leaves(walker);
      if (typeof leaving === "boolean" ? leaving : await this.#flushUntil(leaving)) {
        await this.#batch.flush();
        return false;
      }
      walker.step(next);
      for (const entry of next) {
        const full = this.#entry(entry);
        if (full !== undefined) await full;
      }
      next.length = 0;
      if (this.#isLong()) await this.#giveWay();
    }
    if (this.#stopped) return false;
    await this.#batch.stat(undefined);
    await this.#batch.flush();
    return true;
  }

  /** A file is asked for: only what was listed can be, and only once. Throws RangeError for anything else. */
  request(id: number): void {
    if (!this.#files.take(id - this.#first)) throw new RangeError(`invalid file id ${id}`);
    this.#wanted.push(id);
    if (this.#active < (this.#options.mayBlock ? 1 : filesAtOnce)) {
      this.#active++;
      this.#serve().catch((error: unknown) => this.#options.onFailure(error));
    }
  }

  /** No more work is begun. */
  stop(): void {
    this.#stopped = true;
    this.#flushed.stop();
  }

  /** What is found already must not wait with us. */
  async #flushUntil(leaving: Promise<boolean>): Promise<boolean> {
    await this.#batch.flush();
    return leaving;
  }

  #entry({ path, stat }: WalkEntry): Promise<void> | undefined {
    if ((stat.mode & goMode.type) === 0) this.#files.add(path);
    else this.#files.skip();
    return this.#batch.stat(this.#wireStat({ path, stat }));
  }

  /** The first name of a file is sent with its bytes, each later one as a hard link to it. */
  #wireStat({ path, stat }: WalkEntry): WireStat {
    const first = stat.linkKey === undefined ? undefined : this.#links.get(stat.linkKey);
    if (stat.linkKey !== undefined && first === undefined) this.#links.set(stat.linkKey, path);
    return {
      path,
      mode: stat.mode,
      // Files belong to root in a build, whoever has them here; as buildctl sends them.
      uid: 0,
      gid: 0,
      size: stat.size,
      mtimeNs: stat.mtimeNs,
      linkname: first ?? stat.linkTarget,
      devmajor: stat.device?.major ?? 0,
      devminor: stat.device?.minor ?? 0,
    };
  }

  /** Serves requests until none is left. */
  async #serve(): Promise<void> {
    await Promise.resolve(); // requests that came together are packed together
    while (this.#next < this.#wanted.length && !this.#stopped) {
      const id = this.#wanted[this.#next++] ?? 0;
      if (this.#next === this.#wanted.length) {
        this.#wanted = [];
        this.#next = 0;
      }
      await this.#file(id);
      if (this.#isLong()) await this.#giveWay();
    }
    this.#active--;
    if (this.#active === 0) this.#flushed.ring();
  }

  async #file(id: number): Promise<void> {
    const file = this.#tree.open(this.#files.pathOf(id - this.#first));
    try {
      if (file !== undefined) {
        if (file.size <= packedFileBytes) await this.#packed(id, file);
        else if (this.#options.mayBlock) await this.#chunked(id, file);
        else await this.#chunkedAhead(id, file);
      }
    } finally {
      file?.close();
    }
    const full = this.#batch.endOfFile(id);
    if (full !== undefined) await full;
  }

  async #packed(id: number, file: OpenFile): Promise<void> {
    // One byte more than there should be: a short read says that this was all.
    const length = Math.min(file.size + 1, packedFileBytes + 1);
    for (let position = 0; ; ) {
      if (!this.#batch.hasRoom(length)) await this.#batch.flush();
      if (!this.#batch.hasRoom(length)) continue; // others were faster
      const from = position;
      const count = this.#batch.data(id, length, (into) => file.readSync(into, from));
      position += count;
      if (isEnd(count, length, { position, size: file.size })) return;
    }
  }

  async #chunked(id: number, file: OpenFile): Promise<void> {
    for (let position = 0; !this.#stopped; ) {
      const chunk = this.#options.chunks.take();
      const count = file.readSync(chunkSpace(chunk), position);
      position += count;
      if (count > 0) await this.#options.outlet(framedChunk(chunk, id, count));
      if (isEnd(count, chunkBytes, { position, size: file.size })) return;
      if (this.#isLong()) await this.#giveWay();
    }
  }

  /** Several reads are under way while one chunk is sent. */
  async #chunkedAhead(id: number, file: OpenFile): Promise<void> {
    const ahead: { readonly chunk: Buffer; readonly count: Promise<number> }[] = [];
    let [position, next] = [0, 0];
    try {
      while (!this.#stopped) {
        while (ahead.length < readsAhead && (ahead.length === 0 || next < file.size)) {
          const chunk = this.#options.chunks.take();
          const count = file.read(chunkSpace(chunk), next);
          count.catch(() => {}); // awaited in its turn
          ahead.push({ chunk, count });
          next += chunkBytes;
        }
        const first = ahead.shift();
        if (first === undefined) return;
        const count = await first.count;
        position += count;
        if (count > 0) await this.#options.outlet(framedChunk(first.chunk, id, count));
        if (isEnd(count, chunkBytes, { position, size: file.size })) return;
        if (position !== next - ahead.length * chunkBytes) {
          // A short read in the middle: what was read ahead does not follow on it.
          await settled(ahead);
          next = position;
        }
      }
    } finally {
      await settled(ahead);
    }
  }

  #isLong(): boolean {
    return performance.now() - this.#turn > turnMs;
  }

  async #giveWay(): Promise<void> {
    await this.#batch.flush();
    await new Promise((resolve) => setImmediate(resolve));
    this.#turn = performance.now();
  }
}

/** The end of a file: nothing more, or less than asked for at or behind where its end was said to be. */
function isEnd(
  count: number,
  asked: number,
  { position, size }: { position: number; size: number },
): boolean {
  return count === 0 || (count < asked && position >= size);
}

async function settled(reads: { readonly count: Promise<number> }[]): Promise<void> {
  await Promise.allSettled(reads.splice(0).map(({ count }) => count));
}
