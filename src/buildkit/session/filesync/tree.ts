// A directory tree that a build may read: on disk, or in memory. What the daemon may see of it is up to filters.
import { bytesOf } from "./names.ts";

/** Type bits of Go's os.FileMode, which the wire uses; not those of st_mode. */
export const goMode = {
  directory: 0x80000000,
  symlink: 0x08000000,
  device: 0x04000000,
  namedPipe: 0x02000000,
  setuid: 0x00800000,
  setgid: 0x00400000,
  charDevice: 0x00200000,
  sticky: 0x00100000,
  /** A file whose bytes can be asked for has none of these. */
  type: 0x8f280000,
} as const;

/** A name in a directory. */
export interface DirectoryEntry {
  readonly name: string;
  readonly isDirectory: boolean;
}

/** One entry as the daemon is told of it. */
export interface FileStat {
  /** Go's os.FileMode, unsigned. */
  readonly mode: number;
  /** Bytes; 0 for directories. */
  readonly size: number;
  readonly mtimeNs: bigint;
  /** Target of a symlink, else "". */
  readonly linkTarget: string;
  /** Equal for names of one file with several; undefined: just one name. */
  readonly linkKey?: string;
  readonly device?: { readonly major: number; readonly minor: number };
}

/** A regular file that was opened. */
export interface OpenFile {
  /** Bytes it had then. */
  readonly size: number;
  /** Fills `into` from a place in the file; how many bytes there were, 0 at the end. */
  readSync(into: Uint8Array, position: number): number;
  /** The same without holding this thread; `into` has to stay as it is until then. */
  read(into: Uint8Array, position: number): Promise<number>;
  /** Only when no read is under way. */
  close(): void;
}

/** What another thread needs to open the same tree of a disk. */
export interface Folder {
  readonly root: string;
  readonly excludes: readonly string[];
}

/**
 * A tree. Paths are relative, with "/", without "." and ".."; "" is the root. All calls are synchronous: one costs
 * microseconds, and a promise for each would cost more than the call.
 */
export interface Tree {
  /** Entries in any order. Throws when the directory is not there. */
  list(directory: string): readonly DirectoryEntry[];
  /** undefined: not there (any more). */
  stat(path: string): FileStat | undefined;
  /** undefined: no regular file is there (any more). Throws when it may not be read. */
  open(path: string): OpenFile | undefined;
  /** A folder on disk; trees that are large are read by a worker thread. */
  readonly folder?: Folder;
  /** Whether reading a directory would take long. */
  isLarge?(directory: string): boolean;
}

/** The biggest chunk of file data in one message: smaller ones cost speed, bigger ones gain none (bench-client). */
export const chunkBytes = 256 * 1024;

/** Orders names as their bytes do; JavaScript's own order differs for characters above U+FFFF. */
export function compareBytes(a: string, b: string): number {
  if (!a.isWellFormed() || !b.isWellFormed()) return Buffer.compare(bytesOf(a), bytesOf(b));
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const [left, right] = [a.charCodeAt(index), b.charCodeAt(index)];
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for characters above all others. */
function rank(unit: number): number {
  if (unit >= 0xe000) return unit - 0x800;
  return unit >= 0xd800 ? unit + 0x2000 : unit;
}
