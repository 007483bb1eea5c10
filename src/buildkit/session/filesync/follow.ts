// Paths that a build copies, with their symlinks followed inside of the tree → include patterns.
// Semantics: fsutil's FollowLinks as BuildKit v0.34.2 pins it.
import { posix } from "node:path";
import { globMatches } from "./patterns/glob.ts";
import { cleanPath, joinPath } from "./patterns/go-text.ts";
import { compareBytes, goMode, type DirectoryEntry, type Tree } from "./tree.ts";

/** Each path and each link on its way; undefined: the root is among them, so everything is wanted. */
export function followPaths(tree: Tree, paths: readonly string[]): string[] | undefined {
  const resolved = new Set<string>();
  for (const path of paths) resolve(tree, path, resolved);
  return withoutNested([...resolved].sort(compareBytes));
}

/** Drops what lies below the one before it; undefined when "." is in the list. */
export function withoutNested(paths: readonly string[]): string[] | undefined {
  const kept: string[] = [];
  let last = "";
  for (const path of paths) {
    if (path === ".") return undefined;
    if (path.startsWith(`${last}/`)) continue;
    kept.push(path);
    last = path;
  }
  return kept;
}

function resolve(tree: Tree, path: string, resolved: Set<string>): void {
  const parts = joinPath(".", path).split("/");
  let current = ".";
  for (const [index, part] of parts.entries()) {
    current = joinPath(current, part);
    const rest = parts.slice(index + 1).join("/");
    const targets = targetsOf(tree, current);
    if (targets === undefined && rest !== "") continue;
    if (resolved.has(current)) return;
    resolved.add(current);
    for (const target of targets ?? []) resolve(tree, joinPath(target, rest), resolved);
    if (targets !== undefined) return;
  }
}

function hasWildcard(name: string): boolean {
  return /[*?[]/.test(name.replaceAll(/\\[^]?/g, ""));
}

/** Where a link leads; where every link that a wildcard matches leads; undefined: it is no link. */
function targetsOf(tree: Tree, path: string): string[] | undefined {
  const name = posix.basename(path);
  const folder = posix.dirname(path);
  if (!hasWildcard(name)) {
    const target = linkTarget(tree, path);
    return target === undefined ? undefined : [target];
  }
  const links = listed(tree, folder)
    .filter((entry) => matches(name, entry.name))
    .map((entry) => linkTarget(tree, joinPath(folder, entry.name)))
    .filter((target) => target !== undefined);
  return links.length === 0 ? undefined : links;
}

function matches(pattern: string, name: string): boolean {
  try {
    return globMatches(pattern, name);
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

/** The tree's own names in byte order; none for what is no directory of it, or above it. */
function listed(tree: Tree, folder: string): readonly DirectoryEntry[] {
  if (isAbove(folder)) return [];
  try {
    const entries = tree.list(folder === "." ? "" : folder);
    return [...entries].sort((a, b) => compareBytes(a.name, b.name));
  } catch {
    return [];
  }
}

function isAbove(path: string): boolean {
  return path === ".." || path.startsWith("../");
}

function linkTarget(tree: Tree, path: string): string | undefined {
  if (path === "." || isAbove(path)) return undefined;
  const stat = tree.stat(path);
  if (stat === undefined || (stat.mode & goMode.symlink) === 0) return undefined;
  const link = cleanPath(stat.linkTarget);
  return link.startsWith("/") ? link : joinPath("/", posix.dirname(path), link);
}
