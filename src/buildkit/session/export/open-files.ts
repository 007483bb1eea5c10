// The files whose bytes are coming in: collected into large writes, small files in one go, and never more in memory
// or open than said here, whatever the sender does.
import { writeSync } from "node:fs";
import { grpcStatus } from "../../errors/grpc-status.ts";
import { SessionError } from "../attachable.ts";
import type { ConfinedRoot } from "./confined.ts";
import { createFile, type NewFile } from "./entries.ts";
import type { Entry } from "./listing.ts";
import { writeAll } from "./pieces.ts";
import { SlabPool } from "./slab-pool.ts";

/** A sender of BuildKit's sends four files at once. */
const maxOpen = 128;
/** A file up to this size is written at once when it is complete: the calls cost more than the bytes. */
const smallBytes = 64 * 1024;
/** What one write of a larger file takes, but for the last. */
const slabBytes = 512 * 1024;
const writeOverhead = 128;
/** Memory of what is collected for all files, and of what is on its way to the disk. */
const maxCollected = 8 * 1024 * 1024;
const maxFlight = 16 * 1024 * 1024;

class OpenFile {
  readonly entry: Entry;
  file: NewFile | undefined;
  /** Collects bytes until they are written; as many of them as `pending` says. */
  buffer: Buffer | undefined;
  pending = 0;
  received = 0;
  written = 0;
  writes = 0;
  complete = false;

  constructor(entry: Entry) {
    this.entry = entry;
  }
}

/** The files of one transfer. */
export class OpenFiles {
  readonly #root: ConfinedRoot;
  readonly #onDone: () => void;
  readonly #onError: (error: unknown) => void;
  readonly #open = new Map<number, OpenFile>();
  readonly #slabs = new SlabPool(slabBytes);
  #flight = 0;
  #collected = 0;
  #active = 0;
  #room: PromiseWithResolvers<void> | undefined;
  #idle: PromiseWithResolvers<void> | undefined;
  #over = false;

  /** `onDone` is told each time a file is complete on disk, `onError` when one cannot be written. */
  constructor(root: ConfinedRoot, onDone: () => void, onError: (error: unknown) => void) {
    this.#root = root;
    this.#onDone = onDone;
    this.#onError = onError;
  }

  /** A file that was asked for. */
  expect(id: number, entry: Entry): void {
    this.#open.set(id, new OpenFile(entry));
  }

  /** Copies bytes of a file. Throws SessionError for bytes that nobody asked for. */
  take(id: number, data: Uint8Array): void {
    const file = this.#asked(id);
    if (file.received === 0 && ++this.#active > maxOpen)
      throw new SessionError(
        grpcStatus.resourceExhausted,
        "the builder sends too many files at once",
      );
    file.received += data.length;
    if (file.received > file.entry.size)
      throw new SessionError(
        grpcStatus.invalidArgument,
        `${file.entry.path} is longer than it was said to be`,
      );
    for (let from = 0; from < data.length; ) {
      const buffer = this.#bufferOf(file);
      const part = data.subarray(from, from + buffer.length - file.pending);
      buffer.set(part, file.pending);
      file.pending += part.length;
      from += part.length;
      const full = file.pending === buffer.length;
      const last = from === data.length && file.received === file.entry.size;
      if ((full && !last) || this.#collected > maxCollected) this.#flush(id, file);
    }
  }

  /** All bytes of a file have come. Throws SessionError when they have not. */
  end(id: number): void {
    this.#end(id, this.#asked(id));
  }

  /** Undefined: go on; a promise: the disk is behind, wait for it before reading more. */
  get pressure(): Promise<void> | undefined {
    if (this.#flight < maxFlight) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** Waits until nothing is written any more, and removes what is not complete. */
  async discard(): Promise<void> {
    this.#over = true;
    if (this.#flight > 0) {
      this.#idle = Promise.withResolvers<void>();
      await this.#idle.promise;
    }
    for (const { file } of this.#open.values()) file?.discard();
    this.#open.clear();
  }

  #asked(id: number): OpenFile {
    const file = this.#open.get(id);
    if (file === undefined || file.complete)
      throw new SessionError(grpcStatus.invalidArgument, `invalid file request ${id}`);
    return file;
  }

  /** Small files have a buffer of just their size. */
  #bufferOf(file: OpenFile): Buffer {
    if (file.buffer === undefined) {
      const { size } = file.entry;
      file.buffer = size <= smallBytes ? Buffer.allocUnsafe(size) : this.#slabs.take();
      this.#collected += file.buffer.length;
    }
    return file.buffer;
  }

  #end(id: number, file: OpenFile): void {
    if (file.received !== file.entry.size)
      throw new SessionError(
        grpcStatus.invalidArgument,
        `${file.entry.path} is shorter than it was said to be`,
      );
    file.complete = true;
    if (file.file === undefined && file.pending <= smallBytes) this.#writeSmall(id, file);
    else if (file.pending > 0) this.#flush(id, file);
    else if (file.writes === 0) this.#finish(id, file);
  }

  #writeSmall(id: number, file: OpenFile): void {
    const made = this.#created(file);
    const { buffer, pending } = file;
    const written = buffer === undefined ? 0 : writeSync(made.fd, buffer, 0, pending, 0);
    if (written === file.pending) this.#finish(id, file);
    else this.#flush(id, file); // a full disk or the like: the other way says what it is
  }

  #created(file: OpenFile): NewFile {
    file.file ??= createFile(this.#root, file.entry);
    return file.file;
  }

  #flush(id: number, file: OpenFile): void {
    const { fd } = this.#created(file);
    const { written: position, pending } = file;
    const buffer = this.#surrender(file);
    file.written += pending;
    file.writes++;
    const weight = buffer.length + writeOverhead;
    this.#flight += weight;
    writeAll(fd, [buffer.subarray(0, pending)], position).then(
      () => this.#landed(id, file, buffer),
      (error: unknown) => {
        this.#landed(id, file, buffer);
        this.#onError(error);
      },
    );
  }

  /** What was collected, in memory that is not much larger. */
  #surrender(file: OpenFile): Buffer {
    const { buffer = Buffer.alloc(0), pending } = file;
    this.#collected -= buffer.length;
    file.buffer = undefined;
    file.pending = 0;
    if (pending >= buffer.length / 2) return buffer;
    const copy = Buffer.from(buffer.subarray(0, pending));
    this.#giveBack(buffer);
    return copy;
  }

  /** Its collected bytes are written, or never will be. */
  #forget(file: OpenFile): void {
    if (file.buffer !== undefined) {
      this.#collected -= file.buffer.length;
      this.#giveBack(file.buffer);
    }
    file.buffer = undefined;
    file.pending = 0;
  }

  #giveBack(buffer: Buffer): void {
    if (buffer.length === slabBytes) this.#slabs.give(buffer);
  }

  #landed(id: number, file: OpenFile, buffer: Buffer): void {
    file.writes--;
    this.#flight -= buffer.length + writeOverhead;
    this.#giveBack(buffer);
    if (this.#flight < maxFlight) {
      this.#room?.resolve();
      this.#room = undefined;
    }
    if (this.#over) {
      if (this.#flight === 0) this.#idle?.resolve();
    } else if (file.writes === 0 && file.complete && file.pending === 0)
      this.#finishOrFail(id, file);
  }

  #finishOrFail(id: number, file: OpenFile): void {
    try {
      this.#finish(id, file);
    } catch (error) {
      this.#onError(error);
    }
  }

  #finish(id: number, file: OpenFile): void {
    file.file?.finish();
    if (file.received > 0) this.#active--;
    this.#forget(file);
    this.#open.delete(id);
    this.#onDone();
  }
}
