// Is what a sender lists a tree, and nothing but a tree? Each name, the order, parents before children, hard links
// only to files that came before, and no more than fits in memory. As fsutil's receiver, which BuildKit uses. Pure.
import { grpcStatus } from "../../errors/grpc-status.ts";
import { compareBytes, goMode } from "../filesync/tree.ts";
import { bytesOf } from "../filesync/names.ts";
import type { WireStat } from "../filesync/packets.ts";
import { SessionError } from "../attachable.ts";
import { splitPath } from "./confined.ts";

const maxNameBytes = 255;
const maxPathBytes = 4096;
const socketBit = 0x01000000;
const irregularBit = 0x00080000;

/** The most that a sender may list. */
export interface ListingLimits {
  readonly maxEntries: number;
  /** Bytes of all names together: they are kept until the end. */
  readonly maxNameBytes: number;
}

/** What an entry is for us; "other" is left out (sockets). */
export type EntryKind = "directory" | "file" | "hardlink" | "symlink" | "device" | "other";

/** An entry of the tree, as far as it is kept. */
export interface Entry {
  readonly path: string;
  readonly kind: EntryKind;
  /** Go's os.FileMode, unsigned. */
  readonly mode: number;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly linkname: string;
  readonly device: { readonly major: number; readonly minor: number } | undefined;
}

function kindOf({ mode, linkname }: WireStat): EntryKind {
  if ((mode & goMode.directory) !== 0) return "directory";
  if ((mode & goMode.symlink) !== 0) return "symlink";
  if ((mode & (goMode.device | goMode.namedPipe)) !== 0) return "device";
  if ((mode & (socketBit | irregularBit)) !== 0) return "other";
  return linkname === "" ? "file" : "hardlink";
}

function refuse(path: string, why: string): SessionError {
  const shown = JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path);
  return new SessionError(
    grpcStatus.invalidArgument,
    `the builder sent a bad path ${shown}: ${why}`,
  );
}

/** By bytes, as Go compares strings. */
function compare(a: string, b: string): number {
  return a.isWellFormed() && b.isWellFormed()
    ? compareBytes(a, b)
    : Buffer.compare(bytesOf(a), bytesOf(b));
}

/** The entries of one transfer, in the order in which they come. */
export class Listing {
  readonly #limits: ListingLimits;
  /** The directory that is being listed and those above it, each with its last name. */
  readonly #parents = [{ path: "", last: "" }];
  /** What hard links may point to. */
  readonly #files = new Set<string>();
  readonly #paths = new Set<string>();
  #nameBytes = 0;

  constructor(limits: ListingLimits) {
    this.#limits = limits;
  }

  /** Whether the sender has listed this path. */
  has(path: string): boolean {
    return this.#paths.has(path);
  }

  /** Checks and takes in one entry. Throws SessionError INVALID_ARGUMENT or RESOURCE_EXHAUSTED. */
  add(stat: WireStat): Entry {
    const { path, linkname } = stat;
    this.#account(path, linkname);
    checkNames(path);
    const kind = kindOf(stat);
    this.#checkOrder(path, kind);
    if (kind === "hardlink" && !this.#files.has(linkname))
      throw refuse(path, "it is a hard link to a file that was not sent");
    if (linkname.includes("\0")) throw refuse(path, "its link has a zero byte");
    if (kind === "file" || kind === "device") this.#files.add(path);
    this.#paths.add(path);
    const { mode, size, mtimeNs, devmajor: major, devminor: minor } = stat;
    const device = kind === "device" ? { major, minor } : undefined;
    return { path, kind, mode, size, mtimeNs, linkname, device };
  }

  #account(path: string, linkname: string): void {
    this.#nameBytes += path.length + linkname.length;
    const fits =
      this.#paths.size < this.#limits.maxEntries && this.#nameBytes <= this.#limits.maxNameBytes;
    if (!fits)
      throw new SessionError(
        grpcStatus.resourceExhausted,
        "the builder sent more files than this export may have",
      );
  }

  #checkOrder(path: string, kind: EntryKind): void {
    const [directory, name] = splitPath(path);
    while (this.#parents.length > 1 && this.#parents.at(-1)?.path !== directory)
      this.#parents.pop();
    const parent = this.#parents.at(-1);
    if (parent?.path !== directory) throw refuse(path, "its directory was not sent before it");
    if (parent.last !== "" && compare(parent.last, name) >= 0) throw refuse(path, "out of order");
    parent.last = name;
    if (kind === "directory") this.#parents.push({ path, last: "" });
  }
}

function checkNames(path: string): void {
  if (Buffer.byteLength(path) > maxPathBytes) throw refuse(path, "too long");
  if (path.includes("\0")) throw refuse(path, "a zero byte");
  for (const name of path.split("/")) {
    if (name === "" || name === "." || name === "..") throw refuse(path, "not a clean path");
    if (Buffer.byteLength(name) > maxNameBytes) throw refuse(path, "a name is too long");
  }
}
