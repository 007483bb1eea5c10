// The files whose bytes are coming in: collected into large writes, small files in one go, and never more in memory
// or open than said here, whatever the sender does.
import { grpcStatus } from "../../errors/grpc-status.ts";
import { writevSync } from "node:fs";
import { SessionError } from "../attachable.ts";
import type { ConfinedRoot } from "./confined.ts";
import { createFile, type NewFile } from "./entries.ts";
import type { Entry } from "./listing.ts";
import { writeAll } from "./pieces.ts";

/** A sender of BuildKit's sends four files at once. */
const maxOpen = 128;
/** A file up to this size is written at once when it is complete: the calls cost more than the bytes. */
const smallBytes = 64 * 1024;
const writeBytes = 512 * 1024;
/** Smaller pieces are copied: each would keep the whole of what it came in with. */
const viewBytes = 16 * 1024;
const pieceOverhead = 128;
/** Memory of what is collected for all files, and of what is on its way to the disk. */
const maxCollected = 8 * 1024 * 1024;
const maxFlight = 16 * 1024 * 1024;

class OpenFile {
  readonly entry: Entry;
  file: NewFile | undefined;
  pieces: Uint8Array[] = [];
  pending = 0;
  /** What the pieces cost in memory, in bytes. */
  weight = 0;
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

  /**
   * Takes in a piece of a message of `weight` bytes; an empty one ends the file. Throws SessionError for bytes that
   * nobody asked for.
   */
  take(id: number, data: Uint8Array, weight: number): void {
    const file = this.#open.get(id);
    if (file === undefined || file.complete)
      throw new SessionError(grpcStatus.invalidArgument, `invalid file request ${id}`);
    if (data.length === 0) {
      this.#end(id, file);
      return;
    }
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
    const copied = data.length < viewBytes;
    file.pieces.push(copied ? Buffer.from(data) : data);
    file.pending += data.length;
    const cost = pieceOverhead + (copied ? data.length : weight);
    file.weight += cost;
    this.#collected += cost;
    if (file.weight >= writeBytes || this.#collected >= maxCollected) this.#flush(id, file);
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
    const written = file.pending === 0 ? 0 : writevSync(made.fd, file.pieces, 0);
    if (written === file.pending) this.#finish(id, file);
    else this.#flush(id, file); // a full disk or the like: the other way says what it is
  }

  #created(file: OpenFile): NewFile {
    file.file ??= createFile(this.#root, file.entry);
    return file.file;
  }

  #flush(id: number, file: OpenFile): void {
    const { fd } = this.#created(file);
    const { pieces, written: position, weight } = file;
    file.written += file.pending;
    file.writes++;
    this.#flight += weight;
    this.#forget(file);
    writeAll(fd, pieces, position).then(
      () => this.#landed(id, file, weight),
      (error: unknown) => {
        this.#landed(id, file, weight);
        this.#onError(error);
      },
    );
  }

  /** Its pieces are written, or never will be. */
  #forget(file: OpenFile): void {
    this.#collected -= file.weight;
    file.pieces = [];
    file.pending = 0;
    file.weight = 0;
  }

  #landed(id: number, file: OpenFile, weight: number): void {
    file.writes--;
    this.#flight -= weight;
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
