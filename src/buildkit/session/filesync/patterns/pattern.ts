// One pattern as github.com/moby/patternmatcher v0.6.1 reads it. Pure.
// It turns a pattern into a Go regular expression character by character, with odd results for odd patterns. So do we,
// step by step, and then read that expression as Go does: people's .dockerignore files depend on what they got.
import { readGoRegexp } from "./go-regexp.ts";
import { textMatcher, type TextMatcher } from "./matcher.ts";

/** Which way of comparing upstream chooses; they differ in corner cases. */
type Kind = "exact" | "prefix" | "suffix" | "regexp";

interface Reading {
  source: string;
  kind: Kind;
}

/** Upstream means to escape "|", "{" and "}" as well, but its table of bits has no room for them: they stay special. */
const escapedByUpstream = new Set(".+()$");

function readStars(chars: readonly string[], from: number, reading: Reading): number {
  if (chars[from + 1] !== "*") {
    reading.source += "[^/]*";
    reading.kind = "regexp";
    return from + 1;
  }
  // "**/" counts as "**".
  const next = chars[from + 2] === "/" ? from + 3 : from + 2;
  if (next < chars.length) {
    reading.source += "(.*/)?";
    reading.kind = "regexp";
  } else if (reading.kind === "exact") {
    reading.kind = "prefix";
  } else {
    reading.source += ".*";
    reading.kind = "regexp";
  }
  if (from === 0) reading.kind = "suffix";
  return next;
}

function readEscape(chars: readonly string[], from: number, reading: Reading): number {
  const escaped = chars[from + 1];
  reading.source += `\\${escaped ?? ""}`;
  if (escaped !== undefined) reading.kind = "regexp";
  return from + 2;
}

/** Reads one character (or "**", "\x") and returns where the next begins. */
function readNext(chars: readonly string[], from: number, reading: Reading): number {
  const char = chars[from] ?? "";
  switch (char) {
    case "*":
      return readStars(chars, from, reading);
    case "\\":
      return readEscape(chars, from, reading);
    case "?":
      reading.source += "[^/]";
      reading.kind = "regexp";
      return from + 1;
    case "[":
    case "]":
      reading.source += char;
      reading.kind = "regexp";
      return from + 1;
    default:
      reading.source += escapedByUpstream.has(char) ? `\\${char}` : char;
      return from + 1;
  }
}

/** Upstream cuts two bytes for the stars that it saw first; behind a byte order mark these are two of its three. */
function endsWithRestOfMark(pattern: string): TextMatcher {
  const suffix = Buffer.from(pattern).subarray(2);
  return (path) => Buffer.from(path).subarray(-suffix.length).equals(suffix);
}

/** Compiles a cleaned pattern without its "!". Throws SyntaxError for what Go's regexp refuses. */
export function compilePattern(pattern: string): TextMatcher {
  // Upstream's scanner skips a byte order mark in front, and takes bytes that are no UTF-8 for U+FFFD.
  const chars = Array.from(pattern.replace(/^\uFEFF/, "").toWellFormed());
  const reading: Reading = { source: "^", kind: "exact" };
  for (let index = 0; index < chars.length; ) index = readNext(chars, index, reading);
  switch (reading.kind) {
    case "exact":
      return (path) => path === pattern;
    case "prefix": {
      const prefix = pattern.slice(0, -2);
      return (path) => path.startsWith(prefix);
    }
    case "suffix": {
      if (pattern.startsWith("\uFEFF")) return endsWithRestOfMark(pattern);
      const suffix = pattern.slice(2);
      const name = suffix.startsWith("/") ? suffix.slice(1) : undefined;
      return (path) => path.endsWith(suffix) || path === name;
    }
    case "regexp": {
      const matches = textMatcher(readGoRegexp(`${reading.source}$`));
      // Bytes that are no UTF-8 are U+FFFD to a regular expression of Go.
      return (path) => matches(path.toWellFormed());
    }
  }
}
