// The syntax of one pattern as github.com/moby/patternmatcher v0.6.1 reads it → a RegExp. Pure.
// It turns a pattern into a Go regular expression character by character; so do we, and then say the same in
// JavaScript's terms. Odd patterns keep their odd meaning: people's .dockerignore files depend on it.

/** How a pattern is compared: the first three avoid a regular expression, and differ from one in corner cases. */
export type PatternMatch =
  | { readonly kind: "exact"; readonly text: string }
  | { readonly kind: "prefix"; readonly text: string }
  | { readonly kind: "suffix"; readonly text: string }
  | { readonly kind: "regexp"; readonly regexp: RegExp };

const anything = "[^\\n]*"; // Go's dot stands for all but a line feed

/** Text as a regular expression that matches just it. */
function literal(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

const goEscapes: Readonly<Record<string, string>> = {
  n: "\\n",
  t: "\\t",
  r: "\\r",
  f: "\\f",
  v: "\\v",
  a: "\\x07",
  d: "\\d",
  D: "\\D",
  w: "\\w",
  W: "\\W",
};

/** What an escaped character means to Go. Throws SyntaxError for what Go refuses, or knows and we do not. */
function escape(char: string): string {
  if (/^[\x21-\x7e]$/.test(char) && !/[A-Za-z0-9]/.test(char)) {
    return char === "-" ? "\\-" : literal(char);
  }
  const known = goEscapes[char];
  if (known === undefined) throw new SyntaxError("escapes a character that needs none");
  return known;
}

/** Reads "[…]" from `from` on, as Go does: a "]" right after the opening stands for itself. */
function readClass(chars: readonly string[], from: number): { source: string; next: number } {
  let index = from + 1;
  let source = "[";
  if (chars[index] === "^") {
    source += "^";
    index++;
  }
  for (let first = true; ; first = false) {
    const char = chars[index++];
    if (char === undefined) throw new SyntaxError("has a [ without its ]");
    if (char === "]" && !first) return { source: `${source}]`, next: index };
    if (char === "[" && chars[index] === ":") throw new SyntaxError("has a named class");
    if (char !== "\\") {
      source += char === "-" ? "-" : literal(char);
      continue;
    }
    const escaped = chars[index++];
    if (escaped === undefined) throw new SyntaxError("ends with a backslash");
    source += escaped === "-" ? "\\-" : escape(escaped);
  }
}

interface Reading {
  source: string;
  kind: PatternMatch["kind"];
}

function readStars(chars: readonly string[], from: number, reading: Reading): number {
  if (chars[from + 1] !== "*") {
    reading.source += "[^/]*";
    reading.kind = "regexp";
    return from + 1;
  }
  // "**/" counts as "**".
  const next = chars[from + 2] === "/" ? from + 3 : from + 2;
  if (next < chars.length) {
    reading.source += `(?:${anything}/)?`;
    reading.kind = "regexp";
  } else if (reading.kind === "exact") {
    reading.kind = "prefix";
  } else {
    reading.source += anything;
    reading.kind = "regexp";
  }
  if (from === 0) reading.kind = "suffix";
  return next;
}

/** Reads one character (or "[…]", "**", "\x") and returns where the next begins. */
function readNext(chars: readonly string[], from: number, reading: Reading): number {
  const char = chars[from] ?? "";
  switch (char) {
    case "*":
      return readStars(chars, from, reading);
    case "?":
      reading.source += "[^/]";
      reading.kind = "regexp";
      return from + 1;
    case "[": {
      const { source, next } = readClass(chars, from);
      reading.source += source;
      reading.kind = "regexp";
      return next;
    }
    case "]":
      reading.source += "\\]";
      reading.kind = "regexp";
      return from + 1;
    case "\\": {
      const escaped = chars[from + 1];
      if (escaped === undefined) throw new SyntaxError("ends with a backslash");
      reading.source += escape(escaped);
      reading.kind = "regexp";
      return from + 2;
    }
    default:
      // Upstream does not escape "^": in a regular expression it is the anchor.
      reading.source += char === "^" ? "^" : literal(char);
      return from + 1;
  }
}

/** Compiles a cleaned pattern without its "!". Throws SyntaxError. */
export function compilePattern(pattern: string): PatternMatch {
  const chars = Array.from(pattern);
  const reading: Reading = { source: "", kind: "exact" };
  for (let index = 0; index < chars.length; ) index = readNext(chars, index, reading);
  switch (reading.kind) {
    case "exact":
      return { kind: "exact", text: pattern };
    case "prefix":
      return { kind: "prefix", text: pattern.slice(0, -2) };
    case "suffix":
      return { kind: "suffix", text: pattern.slice(2) };
    case "regexp":
      return { kind: "regexp", regexp: new RegExp(`^${reading.source}$`, "u") };
  }
}

/** Whether a compiled pattern matches a path. */
export function matches(match: PatternMatch, path: string): boolean {
  switch (match.kind) {
    case "exact":
      return path === match.text;
    case "prefix":
      return path.startsWith(match.text);
    case "suffix":
      return (
        path.endsWith(match.text) || (match.text.startsWith("/") && path === match.text.slice(1))
      );
    case "regexp":
      return match.regexp.test(path);
  }
}

/** Go's filepath.Match on one path segment, for wildcards in paths that are followed. Bad syntax matches nothing. */
export function segmentMatcher(pattern: string): (name: string) => boolean {
  const chars = Array.from(pattern);
  const reading: Reading = { source: "", kind: "exact" };
  try {
    for (let index = 0; index < chars.length; ) {
      if (chars[index] === "*") {
        reading.source += "[^/]*";
        index++;
      } else if (chars[index] === "^") {
        reading.source += "\\^";
        index++;
      } else index = readNext(chars, index, reading);
    }
    const regexp = new RegExp(`^${reading.source}$`, "u");
    return (name) => regexp.test(name);
  } catch {
    return () => false;
  }
}
