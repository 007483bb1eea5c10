// Paths that a build copies, with their symlinks followed inside of the tree → include patterns.
// Semantics: fsutil's FollowLinks as BuildKit v0.34.2 pins it.
import { posix } from "node:path";
import { segmentMatcher } from "./pattern-syntax.ts";
import { compareBytes, goMode, type Tree } from "./tree.ts";

/** Each path and each link on its way; undefined: the root is among them, so everything is wanted. */
export async function followPaths(
  tree: Tree,
  paths: readonly string[],
): Promise<string[] | undefined> {
  const resolver = new Resolver(tree);
  for (const path of paths) await resolver.add(path);
  return withoutNested([...resolver.resolved].sort(compareBytes));
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

/** Within the tree whatever the path says: ".." above the root is the root. */
function inside(path: string): string {
  return posix.normalize(`/${path}`).slice(1).replace(/\/$/, "");
}

function hasWildcard(name: string): boolean {
  return /(?:^|[^\\])(?:\\\\)*[*?[]/.test(name);
}

class Resolver {
  readonly resolved = new Set<string>();
  readonly #tree: Tree;

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  async add(path: string): Promise<void> {
    const parts = inside(path).split("/");
    let current = "";
    for (const [index, part] of parts.entries()) {
      current = current === "" ? part : `${current}/${part}`;
      const name = current === "" ? "." : current;
      const rest = parts.slice(index + 1).join("/");
      const targets = await this.#targetsOf(current, part);
      if ((rest === "" || targets !== undefined) && this.resolved.has(name)) return;
      if (targets !== undefined || rest === "") this.resolved.add(name);
      if (targets === undefined) continue;
      for (const target of targets) await this.add(`${target}/${rest}`);
      return;
    }
  }

  /** Where a link leads; every link that a wildcard matches; undefined: it is no link. */
  async #targetsOf(path: string, name: string): Promise<string[] | undefined> {
    const folder = posix.dirname(path) === "." ? "" : posix.dirname(path);
    if (!hasWildcard(name)) {
      const target = await this.#linkTarget(path, folder);
      return target === undefined ? undefined : [target];
    }
    const fits = segmentMatcher(name);
    const entries = await this.#tree.list(folder).catch(() => undefined);
    if (entries === undefined) return undefined;
    const targets: string[] = [];
    for (const entry of entries.filter((found) => fits(found.name))) {
      const target = await this.#linkTarget(
        folder === "" ? entry.name : `${folder}/${entry.name}`,
        folder,
      );
      if (target !== undefined) targets.push(target);
    }
    return targets.length === 0 ? undefined : targets;
  }

  async #linkTarget(path: string, folder: string): Promise<string | undefined> {
    if (path === "") return undefined;
    const stat = await this.#tree.stat(path);
    if (stat === undefined || (stat.mode & goMode.symlink) === 0) return undefined;
    return stat.linkTarget.startsWith("/")
      ? stat.linkTarget
      : posix.join("/", folder, stat.linkTarget);
  }
}
