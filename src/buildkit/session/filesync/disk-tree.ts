// A tree on disk. Symlinks are told as links and never followed, so nothing outside of the root is read.
// Extended attributes are not sent (docs/buildkit-client.md says why).
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  read,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  type BigIntStats,
} from "node:fs";
import { fsPath, nameOf } from "./names.ts";
import { PatternList, type ParentMatches } from "./patterns/pattern-list.ts";
import { goMode, type DirectoryEntry, type FileStat, type OpenFile, type Tree } from "./tree.ts";

/** What of the folder is not for the daemon, whatever it asks for. */
export interface DiskTreeOptions {
  /** Patterns as in .dockerignore; an excluded directory is excluded with all that is in it. */
  readonly excludes?: readonly string[];
}

/** File systems tell a directory's own size in bytes; this many are some thousands of names. */
const largeDirectoryBytes = 96 * 1024;

const typeBits: Readonly<Record<number, number>> = {
  [constants.S_IFDIR]: goMode.directory,
  [constants.S_IFLNK]: goMode.symlink,
  [constants.S_IFBLK]: goMode.device,
  [constants.S_IFCHR]: goMode.device | goMode.charDevice,
  [constants.S_IFIFO]: goMode.namedPipe,
};

/** st_mode → Go's os.FileMode. A socket loses its type, as fsutil does it: the daemon gets an empty file. */
export function goModeOf(stMode: number): number {
  const special =
    (stMode & 0o4000 ? goMode.setuid : 0) |
    (stMode & 0o2000 ? goMode.setgid : 0) |
    (stMode & 0o1000 ? goMode.sticky : 0);
  return ((stMode & 0o777) | special | (typeBits[stMode & constants.S_IFMT] ?? 0)) >>> 0;
}

function isGone(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : "";
  return code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP" || code === "ENXIO";
}

/** Runs a call; undefined when what it is about is not there any more. */
function unlessGone<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** Linux's split of a device number, as fsutil sends it. */
function deviceOf(rdev: bigint): { major: number; minor: number } {
  return {
    major: Number((rdev >> 8n) & 0xfffn),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n)),
  };
}

function fileStat(path: string, stats: BigIntStats): FileStat {
  const mode = goModeOf(Number(stats.mode));
  const isLink = (mode & goMode.symlink) !== 0;
  const isDirectory = (mode & goMode.directory) !== 0;
  return {
    mode,
    size: isDirectory ? 0 : Number(stats.size),
    mtimeNs: stats.mtimeNs,
    linkTarget: isLink ? nameOf(readlinkSync(fsPath(path), { encoding: "buffer" })) : "",
    ...(stats.nlink > 1n && !isDirectory && !isLink
      ? { linkKey: `${stats.dev}:${stats.ino}` }
      : {}),
    ...((mode & goMode.device) === 0 ? {} : { device: deviceOf(stats.rdev) }),
  };
}

function openFile(path: string): OpenFile | undefined {
  // O_NONBLOCK: a file that became a pipe since it was listed must not hold us.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const fd = unlessGone(() => openSync(fsPath(path), flags));
  if (fd === undefined) return undefined;
  const stats = fstatSync(fd);
  if (!stats.isFile()) {
    closeSync(fd);
    return undefined;
  }
  return {
    size: stats.size,
    readSync: (into, position) => readSync(fd, into, 0, into.length, position),
    read: (into, position) =>
      new Promise((resolve, reject) => {
        read(fd, into, 0, into.length, position, (error, count) =>
          error === null ? resolve(count) : reject(error),
        );
      }),
    close: () => closeSync(fd),
  };
}

function namesIn(folder: string): DirectoryEntry[] {
  const entries = readdirSync(fsPath(folder), { withFileTypes: true });
  if (entries.some(({ name }) => name.includes("\uFFFD"))) return odd(folder);
  return entries.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }));
}

/** Names that may be no UTF-8. */
function odd(folder: string): DirectoryEntry[] {
  const entries = readdirSync(fsPath(folder), { withFileTypes: true, encoding: "buffer" });
  return entries.map((entry) => ({ name: nameOf(entry.name), isDirectory: entry.isDirectory() }));
}

/** Remembers the verdict on the directory that was asked about last: its entries are asked about one after another. */
function exclusion(patterns: readonly string[]): (directory: string) => (name: string) => boolean {
  const excludes = new PatternList(patterns);
  const parentMatches = (directory: string): ParentMatches | undefined => {
    if (directory === "") return undefined;
    let own: ParentMatches | undefined;
    for (let end = directory.indexOf("/"); ; end = directory.indexOf("/", end + 1)) {
      ({ own } = excludes.match(end === -1 ? directory : directory.slice(0, end), own));
      if (end === -1) return own;
    }
  };
  return (directory) => {
    const own = parentMatches(directory);
    const prefix = directory === "" ? "" : `${directory}/`;
    return (name) => excludes.match(prefix + name, own).matched;
  };
}

/** A folder on disk. Throws when it is listed, not before, if it is not there. Throws SyntaxError for a bad pattern. */
export function diskTree(root: string, options: DiskTreeOptions = {}): Tree {
  const excludes = options.excludes ?? [];
  const excludedIn = exclusion(excludes);
  const full = (path: string): string => (path === "" ? root : `${root}/${path}`);
  return {
    folder: { root, excludes },
    list(directory) {
      // The root itself may be a symlink.
      const entries = namesIn(directory === "" ? realpathSync(root) : full(directory));
      if (excludes.length === 0) return entries;
      const excluded = excludedIn(directory);
      return entries.filter(({ name }) => !excluded(name));
    },
    stat(path) {
      return unlessGone(() => {
        const place = full(path);
        return fileStat(place, lstatSync(fsPath(place), { bigint: true }));
      });
    },
    open: (path) => openFile(full(path)),
    isLarge: (directory) =>
      (unlessGone(() => lstatSync(fsPath(full(directory))).size) ?? 0) > largeDirectoryBytes,
  };
}
