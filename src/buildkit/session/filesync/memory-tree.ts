// A tree out of files in memory: an inline Dockerfile, a ConfigMap.
import { createHash } from "node:crypto";
import { goMode, type DirectoryEntry, type FileStat, type OpenFile, type Tree } from "./tree.ts";

/** A file in memory. */
export interface MemoryFile {
  readonly data: Uint8Array | string;
  /** Permission bits; default 0644. */
  readonly mode?: number;
  /** Default: a time on 1 January 1970 that depends on the bytes alone. */
  readonly mtime?: Date;
}

interface Entry {
  readonly data: Uint8Array | undefined;
  readonly stat: FileStat;
  readonly children: Map<string, Entry>;
}

function directory(): Entry {
  const stat = { mode: (goMode.directory | 0o755) >>> 0, size: 0, mtimeNs: 0n, linkTarget: "" };
  return { data: undefined, stat, children: new Map() };
}

const dayNs = 86_400n * 1_000_000_000n;

/**
 * The daemon takes a file of the same size, mode and time as one it has for that file. Without a time of its
 * own, changed bytes must change the time; and equal bytes must not, or images would not be reproducible.
 */
function timeOfContent(data: Uint8Array): bigint {
  return createHash("sha256").update(data).digest().readBigUInt64BE() % dayNs;
}

function file({ data, mode, mtime }: MemoryFile): Entry {
  const bytes = typeof data === "string" ? Buffer.from(data, "utf8") : data;
  const mtimeNs = mtime === undefined ? timeOfContent(bytes) : BigInt(mtime.getTime()) * 1_000_000n;
  const stat = { mode: (mode ?? 0o644) & 0o777, size: bytes.length, mtimeNs, linkTarget: "" };
  return { data: bytes, stat, children: new Map() };
}

function pathParts(path: string): string[] {
  const parts = path.split("/");
  if (parts.some((part) => part === "" || part === "." || part === "..") || path.includes("\0")) {
    throw new TypeError(`${JSON.stringify(path)} is not a clean relative path`);
  }
  return parts;
}

function place(root: Entry, path: string, entry: Entry): void {
  const parts = pathParts(path);
  const name = parts.pop() ?? "";
  let at = root;
  for (const part of parts) {
    const next = at.children.get(part) ?? directory();
    if (next.data !== undefined) throw new TypeError(`${JSON.stringify(path)} is inside of a file`);
    at.children.set(part, next);
    at = next;
  }
  if (at.children.has(name)) throw new TypeError(`${JSON.stringify(path)} is there twice`);
  at.children.set(name, entry);
}

/** Files by path ("app/main.go"); directories come by themselves. Throws TypeError for unclean or clashing paths. */
export function inMemoryTree(files: ReadonlyMap<string, MemoryFile>): Tree {
  const root = directory();
  for (const [path, content] of files) place(root, path, file(content));
  const find = (path: string): Entry | undefined => {
    let at: Entry | undefined = root;
    for (const part of path === "" ? [] : path.split("/")) at = at?.children.get(part);
    return at;
  };
  return {
    list: (path) =>
      [...(find(path)?.children ?? [])].map(
        ([name, { data }]): DirectoryEntry => ({ name, isDirectory: data === undefined }),
      ),
    stat: (path) => find(path)?.stat,
    open(path) {
      const data = find(path)?.data;
      return data === undefined ? undefined : openBytes(data);
    },
  };
}

function openBytes(data: Uint8Array): OpenFile {
  const readSync = (into: Uint8Array, position: number): number => {
    const bytes = data.subarray(position, position + into.length);
    into.set(bytes);
    return bytes.length;
  };
  return {
    size: data.length,
    readSync,
    read: (into, position) => Promise.resolve(readSync(into, position)),
    close() {},
  };
}
