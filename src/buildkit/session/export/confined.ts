// How are files below a root reached so that no symlink leads out of it, even one that appears meanwhile?
// Each directory is opened by its parent's descriptor, one name at a time and never through a symlink, and files
// are named by the descriptor of their directory: /proc/self/fd/<n>/<name> is what openat(2) does, which Node lacks.
// Without /proc (not Linux) the names are full paths: a directory that another process swaps is not noticed there.
import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  unlinkSync,
  type Stats,
} from "node:fs";
import { randomBytes } from "node:crypto";
import { fsPath } from "../filesync/names.ts";

const openDirectories = 128;
const ownerAll = 0o700;
const hasDescriptorPaths = existsSync("/proc/self/fd");

/** What failed, by its code ("EACCES"); "" when it is no error of the system. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** An open directory below the root. Use it at once: it stays open for one further call, not for two. */
export interface OpenDirectory {
  readonly fd: number;
  /** The path of an entry, for any call of node:fs that does not follow a symlink at its end. */
  at(name: string): string | Buffer;
}

/** A new entry, which takes its name at `commit`. */
export interface Placed<T> {
  readonly made: T;
  readonly commit: () => void;
}

class Directory implements OpenDirectory {
  readonly fd: number;
  readonly base: string;

  constructor(fd: number, fullPath: string) {
    this.fd = fd;
    this.base = hasDescriptorPaths ? `/proc/self/fd/${fd}` : fullPath;
  }

  at(name: string): string | Buffer {
    return fsPath(`${this.base}/${name}`);
  }
}

/** "a/b/c" → ["a/b", "c"]; "a" → ["", "a"]. */
export function splitPath(path: string): [directory: string, name: string] {
  const slash = path.lastIndexOf("/");
  return slash === -1 ? ["", path] : [path.slice(0, slash), path.slice(slash + 1)];
}

/** The directories below one root. Paths are relative, "/" between names that were checked; "" is the root. */
export class ConfinedRoot {
  readonly #root: Directory;
  readonly #path: string;
  /** Least recently used first. */
  readonly #open = new Map<string, Directory>();
  #closed = false;

  /** Makes the root where it is missing. A root that is a symlink itself is the caller's choice, and followed. */
  constructor(path: string) {
    mkdirSync(path, { recursive: true, mode: ownerAll });
    this.#path = realpathSync(path);
    this.#root = this.#opened(this.#path, this.#path);
  }

  /** Opens a directory. Throws ENOTDIR or ELOOP where a name on the way is a symlink or a file. */
  directory(path: string): OpenDirectory {
    if (this.#closed) throw new Error("the directory is closed"); // its descriptors may be another's by now
    this.#closeOldest();
    return this.#descend(path);
  }

  /** Makes a directory where there is none, in the place of anything else that has its name. */
  makeDirectory(path: string): void {
    const [parent, name] = splitPath(path);
    const place = this.directory(parent).at(name);
    const found = lstat(place);
    if (found?.isDirectory() === true) return;
    if (found !== undefined) unlinkSync(place);
    mkdirSync(place, { mode: ownerAll });
  }

  /**
   * Makes an entry with `make`, which must fail with EEXIST where its path is taken: what has the name already is
   * then replaced in one step, never written through. `make` may open one other directory.
   */
  place<T>(path: string, make: (place: string | Buffer) => T): Placed<T> {
    const [parent, name] = splitPath(path);
    try {
      return { made: make(this.directory(parent).at(name)), commit: () => {} };
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw error;
    }
    const temporary = `.kiln-${randomBytes(8).toString("hex")}`;
    const made = make(this.directory(parent).at(temporary));
    return {
      made,
      commit: () => {
        const now = this.directory(parent);
        if (lstat(now.at(name))?.isDirectory() === true)
          rmSync(now.at(name), { recursive: true, force: true });
        renameSync(now.at(temporary), now.at(name));
      },
    };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { fd } of this.#open.values()) closeSync(fd);
    this.#open.clear();
    closeSync(this.#root.fd);
  }

  #descend(path: string): Directory {
    if (path === "") return this.#root;
    const [parent, name] = splitPath(path);
    const known = this.#open.get(path);
    this.#open.delete(path);
    const directory =
      known ?? this.#opened(this.#descend(parent).at(name), `${this.#path}/${path}`);
    this.#open.set(path, directory);
    return directory;
  }

  #opened(place: string | Buffer, fullPath: string): Directory {
    const fd = openSync(place, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    return new Directory(fd, fullPath);
  }

  #closeOldest(): void {
    for (const [path, { fd }] of this.#open) {
      if (this.#open.size <= openDirectories) return;
      this.#open.delete(path);
      closeSync(fd);
    }
  }
}

/** undefined: nothing has this name. */
export function lstat(place: string | Buffer): Stats | undefined {
  return lstatSync(place, { throwIfNoEntry: false });
}

/** Lets us write in a directory of ours, until its own mode is set. */
export function openForUs({ fd }: OpenDirectory): void {
  const { mode } = fstatSync(fd);
  if ((mode & ownerAll) !== ownerAll) fchmodSync(fd, (mode & 0o7777) | ownerAll);
}
