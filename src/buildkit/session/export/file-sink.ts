// Where the bytes of a file output go: a file that appears whole or not at all, or a stream.
import { randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { open, realpath, rename, rm, stat, type FileHandle } from "node:fs/promises";
import type { Writable } from "node:stream";
import { bytesIn, writeAll } from "./pieces.ts";

const writeBytes = 1024 * 1024;
const maxQueued = 8 * 1024 * 1024;
const pieceOverhead = 128;

/** Takes the bytes of one output. Pieces may be kept until they are written; they are not changed meanwhile. */
export interface FileSink {
  /** Takes pieces that follow those before. A promise: wait for it before the next. */
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

/** Collects pieces while a write is under way, and writes them with the next. */
class HandleSink implements FileSink {
  readonly #handle: FileHandle;
  readonly #end: HandleEnd;
  #position: number | null;
  #pieces: Uint8Array[] = [];
  #weight = 0;
  #writing: Promise<void> | undefined;
  #failure: unknown;

  constructor(handle: FileHandle, end: HandleEnd) {
    this.#handle = handle;
    this.#end = end;
    this.#position = end.position;
  }

  write(pieces: readonly Uint8Array[]): Promise<void> | undefined {
    for (const piece of pieces) {
      this.#pieces.push(piece);
      this.#weight += piece.length + pieceOverhead;
    }
    if (this.#weight < writeBytes) return undefined;
    this.#writing ??= this.#drain();
    return this.#weight < maxQueued ? undefined : this.#flushed();
  }

  async finish(): Promise<void> {
    try {
      await this.#flushed();
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

  async #flushed(): Promise<void> {
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Never rejects: `#flushed` tells what happened. */
  async #drain(): Promise<void> {
    try {
      while (this.#pieces.length > 0) {
        const pieces = this.#pieces;
        this.#pieces = [];
        this.#weight = 0;
        await writeAll(this.#handle.fd, pieces, this.#position);
        if (this.#position !== null) this.#position += bytesIn(pieces);
      }
    } catch (error) {
      this.#failure = error;
    }
    this.#writing = undefined;
  }
}

/** A stream, such as stdout; it is not ended. */
export function streamSink(stream: Writable): FileSink {
  return {
    write(pieces) {
      stream.cork();
      let goOn = true;
      for (const piece of pieces) goOn = stream.write(piece);
      stream.uncork();
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
