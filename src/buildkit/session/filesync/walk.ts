// A tree as the daemon may see it: filtered, in the order that the protocol wants, parents before children.
// Semantics: fsutil's filterFS as BuildKit v0.34.2 pins it.
import { followPaths, withoutNested } from "./follow.ts";
import { PatternList, type ParentMatches } from "./patterns/pattern-list.ts";
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

/**
 * Where a walk stands: the directories that it is in, from the root down, the name in each that came last, and whether
 * the directory itself was sent. Plain data, which passes between threads.
 */
export type WalkPosition = readonly {
  readonly last: string | undefined;
  readonly sent: boolean;
}[];

interface Level {
  readonly path: string;
  /** A directory that is sent only if something in it is; undefined once it is sent. */
  pending: WalkEntry | undefined;
  readonly included: ParentMatches | undefined;
  readonly excluded: ParentMatches | undefined;
  readonly entries: readonly DirectoryEntry[];
  next: number;
}

interface Candidate {
  readonly path: string;
  readonly selected: boolean;
  readonly enter: boolean;
  readonly included: ParentMatches | undefined;
  readonly excluded: ParentMatches | undefined;
}

function includesOf(tree: Tree, { include, follow }: Selection): readonly string[] {
  if (follow.length === 0) return include;
  const followed = followPaths(tree, follow);
  if (followed === undefined) return include;
  return withoutNested([...include, ...followed]) ?? [];
}

/** An empty list selects everything; one of blanks is a list that matches nothing. */
function listOf(patterns: readonly string[]): PatternList | undefined {
  return patterns.length === 0 ? undefined : new PatternList(patterns);
}

/**
 * Walks in byte order, "/" below all characters, one step at a time: whoever drives it decides when other work gets
 * its turn. The constructor and `step` throw SyntaxError for a bad pattern, and errors of node:fs.
 */
export class Walker {
  readonly #tree: Tree;
  readonly #include: PatternList | undefined;
  readonly #exclude: PatternList | undefined;
  /** From the root down to where we are. */
  readonly #levels: Level[] = [];
  #steps = 0;

  constructor(tree: Tree, selection: Selection) {
    this.#tree = tree;
    this.#include = listOf(includesOf(tree, selection));
    this.#exclude = listOf(selection.exclude);
    this.#enter({
      path: "",
      selected: true,
      enter: true,
      included: undefined,
      excluded: undefined,
    });
  }

  /** How many names were looked at. */
  get steps(): number {
    return this.#steps;
  }

  get done(): boolean {
    return this.#levels.length === 0;
  }

  get position(): WalkPosition {
    return this.#levels.map(({ entries, next, pending }) => ({
      last: entries[next - 1]?.name,
      sent: pending === undefined,
    }));
  }

  /**
   * Goes on where another walk of this selection stood; call it before the first step. By the order of names, so that
   * none comes twice, whatever came and went meanwhile.
   */
  seek(position: WalkPosition): void {
    for (const [index, { last, sent }] of position.entries()) {
      const level = this.#levels[index];
      if (level === undefined || last === undefined) return;
      if (sent) level.pending = undefined;
      const at = level.entries.findIndex(({ name }) => compareBytes(name, last) >= 0);
      const entry = level.entries[at];
      const found = entry?.name === last;
      level.next = at === -1 ? level.entries.length : at + (found ? 1 : 0);
      if (index === position.length - 1 || entry === undefined || !found) return;
      if (!this.#reenter(entry, level)) return;
    }
  }

  /** Enters a directory that was entered before; false: it is none any more. */
  #reenter(entry: DirectoryEntry, level: Level): boolean {
    const candidate = this.#candidate(entry, level);
    const stat = candidate.enter ? this.#tree.stat(candidate.path) : undefined;
    if (stat === undefined || (stat.mode & goMode.directory) === 0) return false;
    this.#enter(candidate, { path: candidate.path, stat });
    return true;
  }

  /** Whether the next step would read a directory that takes long. */
  get beforeLarge(): boolean {
    const level = this.#levels.at(-1);
    const entry = level?.entries[level.next];
    if (level === undefined || entry?.isDirectory !== true) return false;
    return this.#tree.isLarge?.(joined(level.path, entry.name)) ?? false;
  }

  /** Looks at one name, and adds what there is to send: nothing, or an entry with directories on its way. */
  step(into: WalkEntry[]): void {
    const level = this.#levels.at(-1);
    if (level === undefined) return;
    const entry = level.entries[level.next++];
    if (entry === undefined) {
      this.#levels.pop();
      return;
    }
    this.#steps++;
    const candidate = this.#candidate(entry, level);
    if (!candidate.selected && !candidate.enter) return;
    const stat = this.#tree.stat(candidate.path);
    if (stat === undefined) return;
    const own = { path: candidate.path, stat };
    if (candidate.selected) {
      this.#ancestors(into);
      into.push(own);
    }
    const isDirectory = (stat.mode & goMode.directory) !== 0;
    if (isDirectory && candidate.enter) this.#enter(candidate, own);
  }

  /** Directories on the way that were not sent yet, the outermost first. */
  #ancestors(into: WalkEntry[]): void {
    for (const level of this.#levels) {
      if (level.pending !== undefined) into.push(level.pending);
      level.pending = undefined;
    }
  }

  #enter({ path, selected, included, excluded }: Candidate, own?: WalkEntry): void {
    const entries = this.#list(path, selected);
    const pending = selected ? undefined : own;
    this.#levels.push({ path, pending, included, excluded, entries, next: 0 });
  }

  #list(path: string, selected: boolean): readonly DirectoryEntry[] {
    try {
      return sorted(this.#tree.list(path));
    } catch (error) {
      if (path !== "" && mayBeLeftOut(error, !selected)) return [];
      throw error;
    }
  }

  #candidate(entry: DirectoryEntry, level: Level): Candidate {
    const path = joined(level.path, entry.name);
    let [selected, enter] = [true, entry.isDirectory];
    let included: ParentMatches | undefined;
    let excluded: ParentMatches | undefined;
    if (this.#include !== undefined) {
      const verdict = this.#include.match(path, level.included);
      included = verdict.own;
      selected = verdict.matched;
      enter &&= verdict.matched || !this.#include.nothingBelow(path, false);
      // As upstream: what no include leads into is not held against the excludes.
      if (entry.isDirectory && !enter) return { path, selected, enter, included, excluded };
    }
    if (this.#exclude !== undefined) {
      const verdict = this.#exclude.match(path, level.excluded);
      excluded = verdict.own;
      selected &&= !verdict.matched;
      enter &&= !verdict.matched || !this.#exclude.nothingBelow(path, true);
    }
    return { path, selected, enter, included, excluded };
  }
}

function joined(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}

function sorted(entries: readonly DirectoryEntry[]): DirectoryEntry[] {
  const plain = !entries.some(({ name }) => /[\ud800-\uffff]/.test(name));
  const byUnits = (a: DirectoryEntry, b: DirectoryEntry): number => (a.name < b.name ? -1 : 1);
  return entries.toSorted(plain ? byUnits : (a, b) => compareBytes(a.name, b.name));
}

/** A directory that vanished since it was listed; or one that is not wanted itself and may not be read. */
function mayBeLeftOut(error: unknown, unwanted: boolean): boolean {
  const code = error instanceof Error && "code" in error ? error.code : "";
  return code === "ENOENT" || code === "ENOTDIR" || (unwanted && code === "EACCES");
}
