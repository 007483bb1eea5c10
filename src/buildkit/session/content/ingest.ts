// One write into a content store: bytes in order, then a commit under the digest that they turned out to have.
import { grpcStatus } from "../../errors/grpc-status.ts";
import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { open, rename, rm, rmdir, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SessionError } from "../attachable.ts";

const rehashBytes = 1024 * 1024;

/** Where a blob of this digest goes; rejects when it must not go there. */
export type Placement = (digest: string) => Promise<string>;

/** An open write. Closing keeps what was written, for the write to be resumed. */
export class Ingest {
  readonly #folder: string;
  readonly #place: Placement;
  readonly #file: FileHandle;
  readonly #closed = Promise.withResolvers<void>();
  #hash: Hash = createHash("sha256");
  #offset = 0;
  #over = false;

  private constructor(folder: string, place: Placement, file: FileHandle) {
    this.#folder = folder;
    this.#place = place;
    this.#file = file;
  }

  /** Opens the write in a folder of its own, and takes in what an earlier one left there. */
  static async open(folder: string, place: Placement): Promise<Ingest> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    const ingest = new Ingest(folder, place, await open(join(folder, "data"), flags, 0o644));
    await ingest.#rehash();
    return ingest;
  }

  /** Bytes written. */
  get offset(): number {
    return this.#offset;
  }

  /** Settles when the write is over or put aside. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Of what was written so far. */
  digest(): string {
    return `sha256:${this.#hash.copy().digest("hex")}`;
  }

  /** Writes at the end, or anew from 0. Any other place is OUT_OF_RANGE. */
  async write(data: Uint8Array, at: number): Promise<void> {
    if (at === 0 && this.#offset > 0) {
      await this.#file.truncate(0);
      this.#hash = createHash("sha256");
      this.#offset = 0;
    }
    if (at !== this.#offset) {
      throw new SessionError(
        grpcStatus.outOfRange,
        `write @${at} must occur at current offset ${this.#offset}`,
      );
    }
    for (let from = 0; from < data.length; ) {
      const { bytesWritten } = await this.#file.write(data, from, data.length - from, at + from);
      from += bytesWritten;
    }
    this.#hash.update(data);
    this.#offset += data.length;
  }

  /** Verifies and names the blob. Size 0 and digest "": whatever came. A mismatch is FAILED_PRECONDITION. */
  async commit(size: number, expected: string): Promise<string> {
    const digest = this.digest();
    if (size > 0 && size !== this.#offset)
      throw this.#mismatch(`size ${this.#offset}, expected ${size}`);
    if (expected !== "" && expected !== digest)
      throw this.#mismatch(`digest ${digest}, expected ${expected}`);
    const target = await this.#place(digest);
    await this.#file.chmod(0o444);
    await this.#file.datasync(); // a name that survives a crash must have its bytes
    await rename(join(this.#folder, "data"), target);
    await rm(this.#folder, { recursive: true, force: true });
    await rmdir(dirname(this.#folder)).catch(() => {}); // when it was the last
    await this.close();
    return digest;
  }

  async close(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    await this.#file.close();
    this.#closed.resolve();
  }

  #mismatch(what: string): SessionError {
    return new SessionError(
      grpcStatus.failedPrecondition,
      `failed commit: unexpected commit ${what}`,
    );
  }

  async #rehash(): Promise<void> {
    const buffer = Buffer.allocUnsafe(rehashBytes);
    for (;;) {
      const { bytesRead } = await this.#file.read(buffer, 0, rehashBytes, this.#offset);
      if (bytesRead === 0) return;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.#offset += bytesRead;
    }
  }
}
