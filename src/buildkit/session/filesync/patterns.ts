// Lists of patterns with exceptions ("!x"): which paths do they match? Pure.
// Semantics: github.com/moby/patternmatcher v0.6.1, MatchesUsingParentResults and MatchesOrParentMatches.
import { posix } from "node:path";
import { compilePattern, matches, type PatternMatch } from "./pattern-syntax.ts";

interface Pattern {
  /** Cleaned, without "!". */
  readonly text: string;
  readonly exception: boolean;
  readonly match: PatternMatch;
}

/** Go's filepath.Clean: like normalize, but without a trailing slash. */
function clean(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}

function parse(text: string): Pattern {
  const cleaned = clean(text);
  const exception = cleaned.startsWith("!");
  const pattern = exception ? cleaned.slice(1) : cleaned;
  if (pattern === "") throw new SyntaxError('pattern "!" excepts nothing');
  try {
    return { text: pattern, exception, match: compilePattern(pattern) };
  } catch (error) {
    const why = error instanceof Error ? error.message : "is not valid";
    throw new SyntaxError(`pattern ${JSON.stringify(text)} ${why}`);
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
    const texts = patterns.map((pattern) => pattern.trim()).filter((pattern) => pattern !== "");
    this.#patterns = texts.map(parse);
  }

  /** Whether there is no pattern at all. */
  get isEmpty(): boolean {
    return this.#patterns.length === 0;
  }

  /** The verdict on a path, given that on the directory it is in (none: it is in the root). */
  match(path: string, parent: ParentMatches | undefined): Verdict {
    let matched = false;
    const own = this.#patterns.map((pattern, index) => {
      let hit = parent?.[index] ?? false;
      // An exception only matters to what is matched, another pattern only to what is not.
      if (!hit && pattern.exception !== matched) return false;
      hit ||= matches(pattern.match, path);
      if (hit) matched = !pattern.exception;
      return hit;
    });
    return { matched, own };
  }

  /**
   * Whether nothing below an unmatched directory can match: patterns are plain paths, and none leads into it.
   * `exceptions`: the same for the exceptions of a list that matched the directory.
   */
  nothingBelow(directory: string, exceptions: boolean): boolean {
    const relevant = this.#patterns.filter(({ exception }) => exception === exceptions);
    const prefixes = relevant.map(({ text }) => text.replace(/\/\*\*$/, "").replace(/\/\*$/, ""));
    if (prefixes.some((prefix) => /[*[\]?^\\]/.test(prefix))) return false;
    return !prefixes.some((prefix) => `${prefix}/`.startsWith(`${directory}/`));
  }
}
