// Where the bytes of a file output go: a file that appears whole or not at all, or a stream.
import { randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { open, realpath, rename, rm, stat, type FileHandle } from "node:fs/promises";
import type { Writable } from "node:stream";
import { bytesIn, writeAll } from "./pieces.ts";
import { SlabPool } from "./slab-pool.ts";

/** What one write takes at least, but for the last. */
const slabBytes = 1024 * 1024;
/** With so many slabs on their way to the disk, no more is asked for. */
const maxFull = 8;

/** Takes the bytes of one output. */
export interface FileSink {
  /**
   * Takes pieces that follow those before; they are there during the call only, so what is not written by then is
   * copied. A promise: wait for it before more, though what is on its way still comes (16 MiB at most).
   */
  write(pieces: readonly Uint8Array[]): Promise<void> | undefined;
  /** All came. The output is not done before this resolves. */
  finish(): Promise<void>;
  /** It broke off: nothing may be left of it. */
  abort(): Promise<void>;
}

async function statOf(path: string): Promise<Stats | undefined> {
  return stat(path).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  });
}

/**
 * A file at a path. It gets its name when it is complete; what had the name stays until then. Symlinks are followed,
 * and what is no regular file (a pipe, a device) is written to as it is.
 */
export async function fileSink(path: string): Promise<FileSink> {
  const found = await statOf(path);
  if (found !== undefined && !found.isFile()) {
    const handle = await open(path, constants.O_WRONLY);
    return new HandleSink(handle, { position: null, keep: () => handle.close() });
  }
  const target = found === undefined ? path : await realpath(path);
  const temporary = `${target}.kiln-${randomBytes(8).toString("hex")}`;
  const handle = await open(temporary, "wx", 0o666);
  if (found !== undefined) await handle.chmod(found.mode & 0o777);
  return new HandleSink(handle, {
    position: 0,
    async keep() {
      await handle.close();
      await rename(temporary, target);
    },
    remove: () => rm(temporary, { force: true }),
  });
}

interface HandleEnd {
  /** null: the file has no positions. */
  readonly position: number | null;
  keep(): Promise<void>;
  remove?(): Promise<void>;
}

/** Collects bytes in slabs; while full ones are written, the next ones fill. */
class HandleSink implements FileSink {
  readonly #handle: FileHandle;
  readonly #end: HandleEnd;
  readonly #slabs = new SlabPool(slabBytes);
  #position: number | null;
  /** The slab that fills, and how far it is. */
  #slab: Buffer | undefined;
  #used = 0;
  #full: Buffer[] = [];
  /** Slabs that are full, those that are being written among them. */
  #unwritten = 0;
  #writing: Promise<void> | undefined;
  #failure: unknown;

  constructor(handle: FileHandle, end: HandleEnd) {
    this.#handle = handle;
    this.#end = end;
    this.#position = end.position;
  }

  write(pieces: readonly Uint8Array[]): Promise<void> | undefined {
    if (this.#failure !== undefined) return this.#flushed();
    for (const piece of pieces) this.#copy(piece);
    if (this.#full.length === 0) return undefined;
    this.#writing ??= this.#drain();
    return this.#unwritten < maxFull ? undefined : this.#flushed();
  }

  async finish(): Promise<void> {
    try {
      await this.#flushed();
      if (this.#slab !== undefined) this.#full.push(this.#slab.subarray(0, this.#used));
      this.#writing = this.#drain();
      await this.#flushed();
    } catch (error) {
      await this.abort();
      throw error;
    }
    await this.#end.keep();
  }

  async abort(): Promise<void> {
    await this.#writing;
    await this.#handle.close().catch(() => {});
    await this.#end.remove?.();
  }

  #copy(piece: Uint8Array): void {
    for (let from = 0; from < piece.length; ) {
      this.#slab ??= this.#slabs.take();
      const part =
        from === 0 && piece.length <= slabBytes - this.#used
          ? piece
          : piece.subarray(from, from + slabBytes - this.#used);
      this.#slab.set(part, this.#used);
      this.#used += part.length;
      from += part.length;
      if (this.#used < slabBytes) return;
      this.#full.push(this.#slab);
      this.#unwritten++;
      this.#slab = undefined;
      this.#used = 0;
    }
  }

  async #flushed(): Promise<void> {
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Never rejects: `#flushed` tells what happened. */
  async #drain(): Promise<void> {
    try {
      while (this.#full.length > 0) {
        const slabs = this.#full;
        this.#full = [];
        await writeAll(this.#handle.fd, slabs, this.#position);
        if (this.#position !== null) this.#position += bytesIn(slabs);
        this.#unwritten -= slabs.length;
        for (const slab of slabs) this.#slabs.give(slab);
      }
    } catch (error) {
      this.#failure = error;
      this.#full = [];
    }
    this.#writing = undefined;
  }
}

/** A stream, such as stdout; it is not ended. */
export function streamSink(stream: Writable): FileSink {
  return {
    write(pieces) {
      const goOn = stream.write(Buffer.concat(pieces));
      return goOn ? undefined : drained(stream);
    },
    finish: () =>
      new Promise((resolve, reject) =>
        stream.write("", (error) => {
          if (error === null || error === undefined) resolve();
          else reject(error);
        }),
      ),
    abort: () => Promise.resolve(),
  };
}

/** Rejects when the stream ends or fails instead: a reader that left is no reader at all. */
function drained(stream: Writable): Promise<void> {
  if (stream.destroyed) return Promise.reject(stream.errored ?? new Error("the stream is closed"));
  return new Promise((resolve, reject) => {
    const stop = (): void => void stream.off("drain", done).off("close", close).off("error", fail);
    const done = (): void => {
      stop();
      resolve();
    };
    const fail = (error: Error): void => {
      stop();
      reject(error);
    };
    const close = (): void => fail(new Error("the stream is closed"));
    stream.on("drain", done).on("close", close).on("error", fail);
  });
}
