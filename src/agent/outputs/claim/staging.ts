// A file or a folder on a volume that is there whole or not at all: written under a name of its own beside its place,
// and renamed when it is complete. Nothing is written through a link.

import { constants } from "node:fs";
import {
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  symlink,
} from "node:fs/promises";
import path from "node:path";

/** One place on a mounted volume. */
export interface StagedPlace {
  /** Where the volume is mounted. */
  readonly root: string;
  /** Below it; clean, relative. */
  readonly path: string;
  /** Whose attempt writes: names the staging folder. */
  readonly ref: string;
}

/** Why nothing can be written: `code` is that of a file system, or one of ours. */
export class PlaceError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = "PlaceError";
    this.code = code;
  }
}

/** A place while it is written. */
export interface Staging {
  /** A regular file; missing folders are made. The caller closes it. */
  create(file: string, mode: number): Promise<FileHandle>;
  folder(folder: string): Promise<void>;
  /** A symbolic link, which may say anything: it is data. */
  symlink(file: string, target: string): Promise<void>;
  /** A second name for a file that is there already. */
  link(file: string, target: string): Promise<void>;
  /** All came: `single` names the one file that becomes the place; without it the folder does. */
  commit(single?: string): Promise<void>;
  /** What was not committed goes. */
  discard(): Promise<void>;
}

/** Begins to write a place. What an earlier attempt of the same run left is removed. Throws PlaceError. */
export async function stage({ root, path: place, ref }: StagedPlace): Promise<Staging> {
  const parts = clean(place);
  const parent = await madeFolder(root, parts.slice(0, -1));
  const target = path.join(parent, parts.at(-1) ?? "");
  const folder = path.join(parent, `.kiln-${ref}`);
  const old = `${folder}-old`;
  await tidy(parent, ref, target);
  await mkdir(folder, { mode: 0o755 });
  const links = new Set<string>();
  const below = async (file: string): Promise<string> => {
    const names = clean(file);
    if (names.some((_, at) => links.has(names.slice(0, at + 1).join("/"))))
      throw new PlaceError("LINK", `${file} leads through a link`);
    await mkdir(path.join(folder, ...names.slice(0, -1)), { recursive: true, mode: 0o755 });
    return path.join(folder, ...names);
  };
  return {
    create: async (file, mode) => await open(await below(file), "wx", mode & 0o777),
    async folder(name) {
      await mkdir(await below(name), { recursive: true, mode: 0o755 });
    },
    async symlink(file, to) {
      await symlink(to, await below(file));
      links.add(clean(file).join("/"));
    },
    async link(file, to) {
      await link(await below(to), await below(file));
    },
    async commit(single) {
      if (single === undefined) await replace(folder, target, old);
      else {
        await rename(path.join(folder, ...clean(single)), target);
        await rm(folder, { recursive: true, force: true });
      }
      await persist(parent);
    },
    discard: async () => await rm(folder, { recursive: true, force: true }),
  };
}

/** Removes what attempts of this run left that were cut off; one was perhaps cut off between its two renames. */
async function tidy(parent: string, ref: string, target: string): Promise<void> {
  const mine = `.kiln-${ref.replace(/-\d+$/, "")}-`;
  const names = await readdir(parent);
  for (const name of names.filter((one) => one.startsWith(mine))) {
    const left = path.join(parent, name);
    const isThere = (await lstat(target).catch(() => undefined)) !== undefined;
    if (name.endsWith("-old") && !isThere) await rename(left, target);
    else await rm(left, { recursive: true, force: true });
  }
}

/** Puts a folder in the place of another; between two renames there is none, never a half one. */
async function replace(folder: string, target: string, old: string): Promise<void> {
  const there = await lstat(target).catch(() => undefined);
  if (there !== undefined && !there.isDirectory())
    throw new PlaceError("ENOTDIR", "there is a file in the place of the folder");
  await persist(folder);
  if (there === undefined) {
    await rename(folder, target);
    return;
  }
  await rm(old, { recursive: true, force: true });
  await rename(target, old);
  try {
    await rename(folder, target);
  } catch (error) {
    await rename(old, target);
    throw error;
  }
  await rm(old, { recursive: true, force: true });
}

/** Folders below a root, each a real one: a link there could lead out of the place. */
async function madeFolder(root: string, parts: readonly string[]): Promise<string> {
  let at = root;
  for (const part of parts) {
    at = path.join(at, part);
    const found = await lstat(at).catch(() => undefined);
    if (found?.isSymbolicLink() === true)
      throw new PlaceError("LINK", `${part} in the path of the place is a link`);
    if (found === undefined) await mkdir(at, { mode: 0o755 }).catch(unlessThere);
  }
  return at;
}

function unlessThere(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
}

function clean(file: string): string[] {
  const parts = file.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.length === 0 || parts.includes("..") || file.includes("\0"))
    throw new PlaceError("PATH", "the path leads out of the place");
  return parts;
}

/** What a folder lists survives a crash of the machine. */
async function persist(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
