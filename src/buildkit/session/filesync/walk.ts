// A tree as the daemon may see it: filtered, in the order that the protocol wants, parents before children.
// Semantics: fsutil's filterFS as BuildKit v0.34.2 pins it.
import { followPaths, withoutNested } from "./follow.ts";
import { PatternList, type ParentMatches } from "./patterns.ts";
import { compareBytes, goMode, type DirectoryEntry, type FileStat, type Tree } from "./tree.ts";

/** Which part of a tree is asked for. */
export interface Selection {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Paths whose symlinks are followed; they become includes. */
  readonly follow: readonly string[];
}

/** One entry of a walk. */
export interface WalkEntry {
  readonly path: string;
  readonly stat: FileStat;
}

interface Level {
  readonly path: string;
  /** A directory that is sent only if something in it is; undefined once it is sent. */
  pending: WalkEntry | undefined;
  readonly included: ParentMatches | undefined;
  readonly excluded: ParentMatches | undefined;
  readonly parent: Level | undefined;
}

const statsAtOnce = 32;
const breathMs = 8;

/**
 * Walks in byte order, "/" below all characters. Gives way to other work every few milliseconds: the session
 * must answer health checks while a large tree is sent. Throws SyntaxError for a bad pattern.
 */
export async function* walk(
  tree: Tree,
  selection: Selection,
  signal: AbortSignal,
): AsyncGenerator<WalkEntry, void, undefined> {
  const walker = new Walker(
    tree,
    new PatternList(await includesOf(tree, selection)),
    new PatternList(selection.exclude),
    signal,
  );
  yield* walker.directory({
    path: "",
    pending: undefined,
    included: undefined,
    excluded: undefined,
    parent: undefined,
  });
}

async function includesOf(tree: Tree, selection: Selection): Promise<readonly string[]> {
  if (selection.follow.length === 0) return selection.include;
  const followed = await followPaths(tree, selection.follow);
  if (followed === undefined) return selection.include;
  return withoutNested([...selection.include, ...followed]) ?? [];
}

interface Candidate {
  readonly entry: DirectoryEntry;
  readonly path: string;
  readonly selected: boolean;
  readonly enter: boolean;
  readonly included: ParentMatches | undefined;
  readonly excluded: ParentMatches | undefined;
}

class Walker {
  readonly #tree: Tree;
  readonly #include: PatternList;
  readonly #exclude: PatternList;
  readonly #signal: AbortSignal;
  #breath = performance.now();

  constructor(tree: Tree, include: PatternList, exclude: PatternList, signal: AbortSignal) {
    this.#tree = tree;
    this.#include = include;
    this.#exclude = exclude;
    this.#signal = signal;
  }

  async *directory(level: Level): AsyncGenerator<WalkEntry, void, undefined> {
    const candidates = await this.#candidates(level);
    for (let from = 0; from < candidates.length; from += statsAtOnce) {
      const batch = candidates.slice(from, from + statsAtOnce);
      const stats = await Promise.all(batch.map(({ path }) => this.#tree.stat(path)));
      await this.#breathe();
      for (const [index, candidate] of batch.entries()) {
        const stat = stats[index];
        if (stat !== undefined) yield* this.#entry(candidate, stat, level);
      }
    }
  }

  async *#entry(
    candidate: Candidate,
    stat: FileStat,
    level: Level,
  ): AsyncGenerator<WalkEntry, void, undefined> {
    const { path, selected, enter, included, excluded } = candidate;
    if (selected) {
      yield* ancestors(level);
      yield { path, stat };
    }
    if (!enter || (stat.mode & goMode.directory) === 0) return;
    const pending = selected ? undefined : { path, stat };
    yield* this.directory({ path, pending, included, excluded, parent: level });
  }

  async #candidates(level: Level): Promise<Candidate[]> {
    let entries: readonly DirectoryEntry[];
    try {
      entries = await this.#tree.list(level.path);
    } catch (error) {
      if (level.path !== "" && mayBeLeftOut(error, level.pending !== undefined)) return [];
      throw error;
    }
    const sorted = [...entries].sort((a, b) => compareBytes(a.name, b.name));
    return sorted
      .map((entry) => this.#candidate(entry, level))
      .filter(({ selected, enter }) => selected || enter);
  }

  #candidate(entry: DirectoryEntry, level: Level): Candidate {
    const path = level.path === "" ? entry.name : `${level.path}/${entry.name}`;
    let [selected, enter] = [true, entry.isDirectory];
    let included: ParentMatches | undefined;
    let excluded: ParentMatches | undefined;
    if (!this.#include.isEmpty) {
      const verdict = this.#include.match(path, level.included);
      included = verdict.own;
      if (!verdict.matched) {
        selected = false;
        enter &&= !this.#include.nothingBelow(path, false);
      }
    }
    if (!this.#exclude.isEmpty) {
      const verdict = this.#exclude.match(path, level.excluded);
      excluded = verdict.own;
      if (verdict.matched) {
        selected = false;
        enter &&= !this.#exclude.nothingBelow(path, true);
      }
    }
    return { entry, path, selected, enter, included, excluded };
  }

  async #breathe(): Promise<void> {
    this.#signal.throwIfAborted();
    if (performance.now() - this.#breath < breathMs) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#breath = performance.now();
  }
}

/** Directories on the way that were not sent yet, the outermost first. */
function* ancestors(level: Level | undefined): Generator<WalkEntry, void, undefined> {
  if (level === undefined) return;
  yield* ancestors(level.parent);
  const entry = level.pending;
  level.pending = undefined;
  if (entry !== undefined) yield entry;
}

/** A directory that vanished since it was listed; or one that is not wanted itself and may not be read. */
function mayBeLeftOut(error: unknown, unwanted: boolean): boolean {
  const code = error instanceof Error && "code" in error ? error.code : "";
  return code === "ENOENT" || code === "ENOTDIR" || (unwanted && code === "EACCES");
}
