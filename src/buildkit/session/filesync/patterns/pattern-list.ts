// Lists of patterns with exceptions ("!x"): which paths do they match? Pure.
// Semantics: github.com/moby/patternmatcher v0.6.1, MatchesUsingParentResults and MatchesOrParentMatches.
import { cleanPath, trimSpace } from "./go-text.ts";
import { BadPattern, globMatches } from "./glob.ts";
import type { TextMatcher } from "./matcher.ts";
import { compilePattern } from "./pattern.ts";

/** One pattern of a list; compiled when it is first needed, as a bad one that nothing needs is no error. */
class Pattern {
  /** Cleaned, without "!". */
  readonly text: string;
  readonly exception: boolean;
  /** What paths have to begin with; undefined: a wildcard leads anywhere. */
  readonly plainPrefix: string | undefined;
  #matcher: TextMatcher | undefined;

  constructor(written: string) {
    const cleaned = cleanPath(written);
    this.exception = cleaned.startsWith("!");
    this.text = this.exception ? cleaned.slice(1) : cleaned;
    if (this.text === "") throw new SyntaxError('illegal exclusion pattern: "!"');
    named(this.text, () => globMatches(this.text, ".")); // for its errors alone, as upstream does
    const prefix = this.text.replace(/\/\*\*$/, "").replace(/\/\*$/, "");
    this.plainPrefix = /[*[\]?^\\]/.test(prefix) ? undefined : `${prefix}/`;
  }

  matches(path: string): boolean {
    this.#matcher ??= named(this.text, () => compilePattern(this.text));
    return this.#matcher(path);
  }
}

/** Runs a check; what it refuses is refused with the pattern's text. */
function named<T>(text: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof SyntaxError) throw new BadPattern(text);
    throw error;
  }
}

/** Which patterns matched a directory: whatever is in it is matched by them, too. */
export type ParentMatches = readonly boolean[];

/** What a list says about one path. */
export interface Verdict {
  readonly matched: boolean;
  readonly own: ParentMatches;
}

/** A list of patterns; later ones win over earlier ones. Throws SyntaxError for a pattern that Go refuses. */
export class PatternList {
  readonly #patterns: readonly Pattern[];

  constructor(patterns: readonly string[]) {
    const texts = patterns.map(trimSpace).filter((pattern) => pattern !== "");
    this.#patterns = texts.map((text) => new Pattern(text));
  }

  /** The verdict on a path, given that on the directory it is in (none: it is in the root). Throws BadPattern. */
  match(path: string, parent: ParentMatches | undefined): Verdict {
    let matched = false;
    const own = this.#patterns.map((pattern, index) => {
      const inherited = parent?.[index] ?? false;
      // An exception only matters to what is matched, another pattern only to what is not.
      if (!inherited && pattern.exception !== matched) return false;
      const hit = inherited || pattern.matches(path);
      if (hit) matched = !pattern.exception;
      return hit;
    });
    return { matched, own };
  }

  /** The verdict on a path by itself: whether it or a directory above it is matched. Throws BadPattern. */
  matchesPathOrParent(path: string): boolean {
    let matched = false;
    for (const pattern of this.#patterns) {
      if (pattern.exception !== matched) continue;
      if (pattern.matches(path) || parentsOf(path).some((parent) => pattern.matches(parent))) {
        matched = !pattern.exception;
      }
    }
    return matched;
  }

  /**
   * Whether nothing below an unmatched directory can match: patterns are plain paths, and none leads into it.
   * `exceptions`: the same for the exceptions of a list that matched the directory.
   */
  nothingBelow(directory: string, exceptions: boolean): boolean {
    for (const { exception, plainPrefix } of this.#patterns) {
      if (exception !== exceptions) continue;
      if (plainPrefix === undefined || plainPrefix.startsWith(`${directory}/`)) return false;
    }
    return true;
  }
}

function parentsOf(path: string): string[] {
  const parents: string[] = [];
  for (let end = path.indexOf("/"); end !== -1; end = path.indexOf("/", end + 1)) {
    parents.push(path.slice(0, end));
  }
  return parents;
}
