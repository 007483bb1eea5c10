// A tar stream taken apart while it comes in: regular files go to sinks of their own, the rest is only counted. Reads
// what Go's archive/tar writes: ustar, and PAX records for what does not fit.
import type { FileSink } from "../../buildkit/index.ts";
import { blockBytes, headerOf, type TarHeader } from "./tar-header.ts";

const maxRecords = 1024 * 1024;

/** A regular file of the archive. */
export interface TarFile {
  /** Clean and relative, without "..". */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
}

/** Something of the archive that has no bytes. */
export interface TarEntry {
  /** As that of a file. */
  readonly path: string;
  readonly type: "folder" | "symlink" | "link";
  /** Of a link: what it says, which may be any text; of a hard link, a clean path. */
  readonly target: string;
}

/** What takes the files. */
export interface TarTarget {
  /** Called for each file before its bytes. */
  open(file: TarFile): Promise<FileSink>;
  /** A folder or a link; without it, links are skipped. */
  entry?(entry: TarEntry): Promise<void>;
  /** A device, or a link that nobody takes. */
  skipped(path: string): void;
  finish(): Promise<void>;
  abort(): Promise<void>;
}

const entryTypes: Readonly<Record<string, TarEntry["type"]>> = {
  "1": "link",
  "2": "symlink",
  "5": "folder",
};

function recordsOf(data: Buffer): Map<string, string> {
  const found = new Map<string, string>();
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at);
    const length = Number(data.toString("latin1", at, space));
    if (space === -1 || !Number.isInteger(length) || length < 5) return found;
    const [key = "", ...value] = data.toString("utf8", space + 1, at + length - 1).split("=");
    found.set(key, value.join("="));
    at += length;
  }
  return found;
}

/** A path as it may be used below a place; throws RangeError for one that leads out of it. */
function cleanPath(path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..") || parts.length === 0)
    throw new RangeError("the archive has a path that leads out of it");
  return parts.join("/");
}

/** A sink for a tar stream; it may keep what it is given. A damaged one throws RangeError. */
export function tarSink(target: TarTarget): FileSink {
  const reader = new TarReader(target);
  return {
    write: (pieces) => reader.take(pieces),
    finish: () => reader.finish(),
    abort: () => reader.abort(),
  };
}

class TarReader {
  readonly #target: TarTarget;
  #kept: Buffer = Buffer.alloc(0);
  #records = new Map<string, string>();
  #sink: FileSink | undefined;
  /** Bytes of the current entry that are to come, and of what fills its last block. */
  #left = 0;
  #padding = 0;
  #pax: Buffer[] | undefined;
  #ended = false;

  constructor(target: TarTarget) {
    this.#target = target;
  }

  async take(pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces) {
      const data = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
      this.#kept = this.#kept.length === 0 ? data : Buffer.concat([this.#kept, data]);
      while (await this.#step());
    }
  }

  async finish(): Promise<void> {
    if (!this.#ended) throw new RangeError("the archive ends before its end");
    await this.#target.finish();
  }

  async abort(): Promise<void> {
    await this.#sink?.abort();
    await this.#target.abort();
  }

  #cut(bytes: number): Buffer {
    const piece = this.#kept.subarray(0, bytes);
    this.#kept = this.#kept.subarray(bytes);
    return piece;
  }

  /** false: more bytes are needed. */
  async #step(): Promise<boolean> {
    if (this.#ended) {
      // Only padding follows.
      this.#cut(this.#kept.length);
      return false;
    }
    if (this.#left > 0) return await this.#content();
    if (this.#padding > 0) {
      const piece = this.#cut(Math.min(this.#padding, this.#kept.length));
      this.#padding -= piece.length;
      return piece.length > 0;
    }
    if (this.#kept.length < blockBytes) return false;
    const block = this.#cut(blockBytes);
    if (block.every((byte) => byte === 0)) this.#ended = true;
    else await this.#begin(headerOf(block, this.#records));
    return true;
  }

  async #content(): Promise<boolean> {
    const piece = this.#cut(Math.min(this.#left, this.#kept.length));
    if (piece.length === 0) return false;
    this.#left -= piece.length;
    if (this.#pax !== undefined) this.#pax.push(Buffer.from(piece));
    else await this.#sink?.write([piece]);
    if (this.#left === 0) await this.#end();
    return true;
  }

  async #begin({ type, size, ...header }: TarHeader): Promise<void> {
    this.#left = size;
    this.#padding = (blockBytes - (size % blockBytes)) % blockBytes;
    if (type === "x" || type === "g") {
      if (size > maxRecords) throw new RangeError("the archive has too long a header");
      this.#pax = [];
    } else {
      this.#records = new Map();
      const { path, mode, target } = header;
      const kind = entryTypes[type];
      if (type === "0" || type === "\0")
        this.#sink = await this.#target.open({ path: cleanPath(path), size, mode });
      else if (kind === undefined) this.#target.skipped(path);
      else await this.#enter({ path, type: kind, target });
    }
    if (size === 0) await this.#end();
  }

  async #enter({ path, type, target }: TarEntry): Promise<void> {
    if (this.#target.entry === undefined) {
      if (type !== "folder") this.#target.skipped(path);
      return;
    }
    // The folder that all is in is there already.
    if (type === "folder" && /^[./]*$/.test(path)) return;
    const clean = type === "link" ? cleanPath(target) : target;
    await this.#target.entry({ path: cleanPath(path), type, target: clean });
  }

  async #end(): Promise<void> {
    if (this.#pax !== undefined) {
      this.#records = recordsOf(Buffer.concat(this.#pax));
      this.#pax = undefined;
      return;
    }
    const sink = this.#sink;
    this.#sink = undefined;
    await sink?.finish();
  }
}
