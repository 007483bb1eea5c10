// A tree on disk. Symlinks are told as links and never followed, so nothing outside of the root is read.
// Extended attributes are not sent: Node cannot read them (docs/buildkit-client.md says so).
import { constants, type BigIntStats, type Dirent } from "node:fs";
import { lstat, open, readdir, readlink, realpath } from "node:fs/promises";
import { join } from "node:path";
import { PatternList, type ParentMatches } from "./patterns.ts";
import { chunkBytes, goMode, type DirectoryEntry, type FileStat, type Tree } from "./tree.ts";

/** What of the folder is not for the daemon, whatever it asks for. */
export interface DiskTreeOptions {
  /** Patterns as in .dockerignore; an excluded directory is excluded with all that is in it. */
  readonly excludes?: readonly string[];
}

const typeBits: Readonly<Record<number, number>> = {
  [constants.S_IFDIR]: goMode.directory,
  [constants.S_IFLNK]: goMode.symlink,
  [constants.S_IFBLK]: goMode.device,
  [constants.S_IFCHR]: goMode.device | goMode.charDevice,
  [constants.S_IFIFO]: goMode.namedPipe,
};

/** st_mode → Go's os.FileMode. */
export function goModeOf(stMode: number): number {
  const special =
    (stMode & 0o4000 ? goMode.setuid : 0) |
    (stMode & 0o2000 ? goMode.setgid : 0) |
    (stMode & 0o1000 ? goMode.sticky : 0);
  return ((stMode & 0o777) | special | (typeBits[stMode & constants.S_IFMT] ?? 0)) >>> 0;
}

function isGone(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : "";
  return code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP";
}

/** Linux's split of a device number, as fsutil sends it. */
function deviceOf(rdev: bigint): { major: number; minor: number } {
  return {
    major: Number((rdev >> 8n) & 0xfffn),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n)),
  };
}

async function fileStat(path: string, stats: BigIntStats): Promise<FileStat> {
  const mode = goModeOf(Number(stats.mode));
  const isDirectory = stats.isDirectory();
  return {
    mode,
    size: isDirectory ? 0 : Number(stats.size),
    mtimeNs: stats.mtimeNs,
    linkTarget: stats.isSymbolicLink() ? await readlink(path) : "",
    ...(stats.isFile() && stats.nlink > 1n ? { linkKey: `${stats.dev}:${stats.ino}` } : {}),
    ...((mode & goMode.device) === 0 ? {} : { device: deviceOf(stats.rdev) }),
  };
}

async function* readFile(
  path: string,
  sizeHint: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  // O_NONBLOCK: a file that became a pipe since it was listed must not hold us.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(path, flags).catch((error: unknown) => {
    if (isGone(error)) return undefined;
    throw error;
  });
  if (handle === undefined) return;
  const size = Math.min(chunkBytes, Math.max(sizeHint, 4096)); // no 256 KiB for each small file
  try {
    for (;;) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafeSlow(size), 0, size, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** A folder on disk. Rejects later, on `list`, when it is not there. */
export function diskTree(root: string, options: DiskTreeOptions = {}): Tree {
  const excludes = new PatternList(options.excludes ?? []);
  const excluded = (path: string): boolean => {
    let parent: ParentMatches | undefined;
    let verdict = { matched: false };
    for (let end = path.indexOf("/"); ; end = path.indexOf("/", end + 1)) {
      const { matched, own } = excludes.match(end === -1 ? path : path.slice(0, end), parent);
      [verdict, parent] = [{ matched }, own];
      if (matched || end === -1) return verdict.matched;
    }
  };
  const visible = (directory: string, entry: Dirent): boolean =>
    !entry.isSocket() &&
    (excludes.isEmpty || !excluded(directory === "" ? entry.name : `${directory}/${entry.name}`));
  return {
    async list(directory) {
      // The root itself may be a symlink.
      const folder = directory === "" ? await realpath(root) : join(root, directory);
      const entries = await readdir(folder, { withFileTypes: true });
      return entries
        .filter((entry) => visible(directory, entry))
        .map((entry): DirectoryEntry => ({ name: entry.name, isDirectory: entry.isDirectory() }));
    },
    async stat(path) {
      try {
        const full = join(root, path);
        return await fileStat(full, await lstat(full, { bigint: true }));
      } catch (error) {
        if (isGone(error)) return undefined;
        throw error;
      }
    },
    read: (path, sizeHint) => readFile(join(root, path), sizeHint),
  };
}
