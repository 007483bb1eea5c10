// The blobs of an OCI layout directory: what is there, and the writes that go on. As containerd's local store keeps
// them: blobs/<algorithm>/<hex>, and ingest/<hash of the write's name>/{ref,total,data}.
import { grpcStatus } from "../../errors/grpc-status.ts";
import { createHash } from "node:crypto";
import { mkdir, open, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SessionError } from "../attachable.ts";
import { parseDigest } from "./digest.ts";
import { Ingest } from "./ingest.ts";

const readBytes = 1024 * 1024;
const maxWrites = 256;

/** A blob that is there. */
export interface StoredBlob {
  /** `sha256:<hex>`. */
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A write that goes on, or that broke off and can be resumed. */
export interface WriteStatus {
  readonly ref: string;
  /** Bytes written. */
  readonly offset: number;
  /** Bytes announced; 0: not known. */
  readonly total: number;
  readonly startedAt: Date;
  readonly updatedAt: Date;
}

/** The blobs of one directory. All reject with SessionError, whose code is what a content service answers. */
export interface ContentStore {
  readonly writable: boolean;
  info(digest: string): Promise<StoredBlob>;
  /** The bytes from `from`, in chunks of at most 1 MiB; as many as there are of `length`. */
  read(digest: string, from: number, length: number): AsyncIterable<Uint8Array>;
  list(): Promise<StoredBlob[]>;
  /** Removes a blob. Not offered to daemons. */
  remove(digest: string): Promise<void>;
  status(ref: string): Promise<WriteStatus>;
  statuses(): Promise<WriteStatus[]>;
  /** Begins a write, or goes on with one that broke off. One at a time for a ref. */
  write(ref: string, total: number): Promise<Ingest>;
  abort(ref: string): Promise<void>;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function unknownRef(ref: string): SessionError {
  return new SessionError(grpcStatus.notFound, `write ${JSON.stringify(ref)}: not found`);
}

/**
 * The store in an OCI layout directory, which need not be there yet when it may be written to. What is written
 * gets its name only when its digest was verified.
 */
export function layoutStore(directory: string, options: { writable: boolean }): ContentStore {
  return new LayoutStore(directory, options.writable);
}

class LayoutStore implements ContentStore {
  readonly writable: boolean;
  readonly #directory: string;
  readonly #writing = new Set<string>();

  constructor(directory: string, writable: boolean) {
    this.#directory = directory;
    this.writable = writable;
  }

  async info(digest: string): Promise<StoredBlob> {
    const found = await stat(this.#blobPath(digest)).catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    });
    if (found?.isFile() !== true)
      throw new SessionError(grpcStatus.notFound, `content ${digest}: not found`);
    return { digest, size: found.size, createdAt: found.mtime, updatedAt: found.mtime };
  }

  read(digest: string, from: number, length: number): AsyncIterable<Uint8Array> {
    return readBlob(this.#blobPath(digest), from, length);
  }

  async list(): Promise<StoredBlob[]> {
    const found: StoredBlob[] = [];
    for (const algorithm of ["sha256", "sha384", "sha512"]) {
      const names = await readdir(join(this.#directory, "blobs", algorithm)).catch(() => []);
      const digests = names.map((hex) => `${algorithm}:${hex}`).filter(parseDigest);
      for (const digest of digests) found.push(await this.info(digest));
    }
    return found;
  }

  async remove(digest: string): Promise<void> {
    await rm(this.#blobPath(digest), { force: true });
  }

  async status(ref: string): Promise<WriteStatus> {
    const found = await statusIn(this.#folderOf(ref));
    if (found === undefined) throw unknownRef(ref);
    return found;
  }

  async statuses(): Promise<WriteStatus[]> {
    const ingests = join(this.#directory, "ingest");
    const names = await readdir(ingests).catch(() => []);
    const all = await Promise.all(names.map((name) => statusIn(join(ingests, name))));
    return all.filter((status) => status !== undefined);
  }

  async write(ref: string, total: number): Promise<Ingest> {
    if (!this.writable)
      throw new SessionError(grpcStatus.failedPrecondition, "this store is lent for reading only");
    if (this.#writing.has(ref))
      throw new SessionError(grpcStatus.unavailable, `write ${JSON.stringify(ref)}: locked`);
    if (this.#writing.size >= maxWrites)
      throw new SessionError(grpcStatus.resourceExhausted, "too many writes at once");
    this.#writing.add(ref);
    try {
      const ingest = await this.#begin(ref, total);
      void ingest.closed.then(() => this.#writing.delete(ref));
      return ingest;
    } catch (error) {
      this.#writing.delete(ref);
      throw error;
    }
  }

  async abort(ref: string): Promise<void> {
    const folder = this.#folderOf(ref);
    if ((await statusIn(folder)) === undefined) throw unknownRef(ref);
    await rm(folder, { recursive: true, force: true });
  }

  async #begin(ref: string, total: number): Promise<Ingest> {
    const folder = this.#folderOf(ref);
    await mkdir(folder, { recursive: true });
    if ((await statusIn(folder)) === undefined) {
      await writeFile(join(folder, "ref"), ref);
      await writeFile(join(folder, "total"), String(total));
    }
    return Ingest.open(folder, async (digest) => {
      const target = this.#blobPath(digest);
      await mkdir(join(target, ".."), { recursive: true });
      if ((await this.info(digest).catch(() => undefined)) === undefined) return target;
      throw new SessionError(grpcStatus.alreadyExists, `content ${digest}: already exists`);
    });
  }

  #blobPath(digest: string): string {
    const parsed = parseDigest(digest);
    if (parsed === undefined)
      throw new SessionError(
        grpcStatus.invalidArgument,
        `${JSON.stringify(digest)} failed validation`,
      );
    return join(this.#directory, "blobs", parsed.algorithm, parsed.hex);
  }

  /** Names of writes are the daemon's words, and no paths. */
  #folderOf(ref: string): string {
    return join(this.#directory, "ingest", createHash("sha256").update(ref).digest("hex"));
  }
}

async function statusIn(folder: string): Promise<WriteStatus | undefined> {
  try {
    const ref = await readFile(join(folder, "ref"), "utf8");
    const total = Number(await readFile(join(folder, "total"), "utf8"));
    const begun = await stat(join(folder, "ref"));
    const data = await stat(join(folder, "data"));
    return { ref, total, offset: data.size, startedAt: begun.mtime, updatedAt: data.mtime };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function* readBlob(
  path: string,
  from: number,
  length: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const handle = await open(path, "r");
  try {
    for (let at = from; at < from + length; ) {
      const size = Math.min(readBytes, from + length - at);
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafeSlow(size), 0, size, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}
