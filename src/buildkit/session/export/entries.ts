// The entries of a tree on disk, as buildctl leaves them: modes with setuid, setgid and sticky, times, links, devices.
// All belong to us, whatever the sender says of owners. Nothing here follows a symlink (confined.ts).
import { grpcStatus } from "../../errors/grpc-status.ts";
import { execFile } from "node:child_process";
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  futimesSync,
  linkSync,
  lutimesSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { promisify } from "node:util";
import { SessionError } from "../attachable.ts";
import { fsPath, nameOf } from "../filesync/names.ts";
import { goMode } from "../filesync/tree.ts";
import {
  errorCode,
  lstat,
  openForUs,
  splitPath,
  type ConfinedRoot,
  type OpenDirectory,
} from "./confined.ts";
import type { Entry, Listing } from "./listing.ts";

const createFlags =
  constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const mknodMs = 10_000;

/** Go's os.FileMode → the bits of chmod. */
export function permissions(mode: number): number {
  return (
    (mode & 0o777) |
    ((mode & goMode.setuid) === 0 ? 0 : 0o4000) |
    ((mode & goMode.setgid) === 0 ? 0 : 0o2000) |
    ((mode & goMode.sticky) === 0 ? 0 : 0o1000)
  );
}

/**
 * Nanoseconds for node:fs, which takes seconds as a double: exact for whole seconds, else to a quarter of a
 * microsecond; times before 1970 to the millisecond, since it takes negative numbers for "now".
 */
export function fileTime(mtimeNs: bigint): number | Date {
  return mtimeNs < 0n ? new Date(Number(mtimeNs / 1_000_000n)) : Number(mtimeNs) / 1e9;
}

/** A file that is being made. */
export interface NewFile {
  readonly fd: number;
  /** Gives it mode, time and, where it replaces another, its name; closes it. */
  finish(): void;
  /** Closes and removes it. */
  discard(): void;
}

/** Makes an empty file that only we can read yet. */
export function createFile(root: ConfinedRoot, entry: Entry): NewFile {
  let at: string | Buffer = "";
  const { made: fd, commit } = withRoom(root, entry.path, () =>
    root.place(entry.path, (place) => {
      at = place;
      return openSync(place, createFlags, 0o600);
    }),
  );
  const name = nameIn(at);
  let open = true;
  const close = (): void => {
    if (open) closeSync(fd); // twice would close what another has opened since
    open = false;
  };
  return {
    fd,
    finish() {
      setMetadata(fd, entry);
      close();
      commit();
    },
    discard() {
      close();
      rmSync(root.directory(splitPath(entry.path)[0]).at(name), { force: true });
    },
  };
}

function nameIn(place: string | Buffer): string {
  const text = typeof place === "string" ? place : nameOf(place);
  return text.slice(text.lastIndexOf("/") + 1);
}

/** Another export into the same directory may have given it its final mode already. */
function withRoom<T>(root: ConfinedRoot, path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (errorCode(error) !== "EACCES") throw error;
    openForUs(root.directory(splitPath(path)[0]));
    return work();
  }
}

/** In this order: a change of owner takes setuid away. */
function setMetadata(fd: number, { mode, mtimeNs }: Entry): void {
  const { uid, gid } = fstatSync(fd);
  const [ourUid, ourGid] = [process.geteuid?.() ?? uid, process.getegid?.() ?? gid];
  if (uid !== ourUid || gid !== ourGid) fchownSync(fd, ourUid, ourGid);
  fchmodSync(fd, permissions(mode));
  futimesSync(fd, fileTime(mtimeNs), fileTime(mtimeNs));
}

/** Makes a directory, or takes the one that is there; its mode is set when all is in it. */
export function createDirectory(root: ConfinedRoot, path: string): void {
  withRoom(root, path, () => root.makeDirectory(path));
  openForUs(root.directory(path));
}

/** The last of a directory. */
export function finishDirectory(root: ConfinedRoot, entry: Entry): void {
  setMetadata(root.directory(entry.path).fd, entry);
}

/** Makes a symlink; its target is text and is not looked at. */
export function createSymlink(root: ConfinedRoot, { path, linkname, mtimeNs }: Entry): void {
  const target = fsPath(linkname);
  const { commit } = withRoom(root, path, () =>
    root.place(path, (place) => {
      symlinkSync(target, place);
      lutimesSync(place, fileTime(mtimeNs), fileTime(mtimeNs));
    }),
  );
  commit();
}

/** Gives a file of this transfer a further name. */
export function createHardLink(root: ConfinedRoot, { path, linkname }: Entry): void {
  const [directory, name] = splitPath(linkname);
  const { commit } = withRoom(root, path, () =>
    root.place(path, (place) => {
      const first = root.directory(directory).at(name);
      const found = lstat(first);
      if (found === undefined || found.isSymbolicLink() || found.isDirectory())
        throw new SessionError(
          grpcStatus.invalidArgument,
          `the file behind hard link ${path} has changed`,
        );
      linkSync(first, place);
    }),
  );
  commit();
}

/** Makes a device or a pipe, by mknod(1): Node has no call for it. Devices need root. */
export async function createDevice(root: ConfinedRoot, entry: Entry): Promise<void> {
  const { path, mode, mtimeNs } = entry;
  const [directory, name] = splitPath(path);
  const open: OpenDirectory = root.directory(directory);
  const pin = openSync(open.at("."), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const place = open.at(name);
    if (lstat(place) !== undefined) rmSync(place, { recursive: true, force: true });
    // Our descriptors are not the program's: it reaches the directory by our process id.
    const full = nameFor(pin, place, name);
    const bits = (mode & 0o777).toString(8).padStart(4, "0");
    const { major, minor } = entry.device ?? { major: 0, minor: 0 };
    const kind = (mode & goMode.charDevice) === 0 ? "b" : "c";
    const what = (mode & goMode.namedPipe) === 0 ? [kind, `${major}`, `${minor}`] : ["p"];
    await promisify(execFile)("mknod", ["-m", bits, full, ...what], { timeout: mknodMs });
    const made = `/proc/self/fd/${pin}/${name}`;
    lutimesSync(full.startsWith("/proc/") ? made : full, fileTime(mtimeNs), fileTime(mtimeNs));
  } catch (error) {
    if (error instanceof SessionError) throw error;
    throw new SessionError(
      grpcStatus.invalidArgument,
      `device ${path} cannot be made here; it needs root`,
    );
  } finally {
    closeSync(pin);
  }
}

function nameFor(pin: number, place: string | Buffer, name: string): string {
  if (typeof place !== "string")
    throw new SessionError(
      grpcStatus.invalidArgument,
      "a device whose name is no UTF-8 cannot be made",
    );
  return place.startsWith("/proc/self/") ? `/proc/${process.pid}/fd/${pin}/${name}` : place;
}

/** Removes what the sender did not list (mode=delete). */
export function prune(root: ConfinedRoot, directories: readonly string[], listing: Listing): void {
  for (const directory of ["", ...directories]) {
    const open = root.directory(directory);
    for (const bytes of readdirSync(open.at("."), { encoding: "buffer" })) {
      const name = nameOf(bytes);
      const path = directory === "" ? name : `${directory}/${name}`;
      if (!listing.has(path)) rmSync(open.at(name), { recursive: true, force: true });
    }
  }
}
