// The lines of a source that a failure is about, and how buildctl shows them. Pure.
// Upstream: solver/errdefs/source.go, BuildKit v0.34.2.
import { list, object, text, whole } from "../loose-json.ts";

/** A part of a source. Lines count from 1, characters from 0. */
export interface SourceRange {
  readonly line: number;
  readonly character: number;
  readonly endLine: number;
  readonly endCharacter: number;
}

/** The place in a Dockerfile (or other source) that an error is about. Lines count from 1. */
export interface ErrorSource {
  readonly path: string;
  /** First and last line of all ranges. */
  readonly line: number;
  readonly endLine: number;
  /** The lines themselves, without the final line break. */
  readonly excerpt: string;
  /** "Dockerfile", or "" when the frontend does not say. */
  readonly language: string;
  readonly ranges: readonly SourceRange[];
  /** The lines and some around them, at most 500; `line` is the number of the first. */
  readonly shown: { readonly line: number; readonly lines: readonly string[] };
}

const maxLines = 500;

function rangeOf(value: unknown): SourceRange {
  const [start, end] = [object(object(value)["start"]), object(object(value)["end"])];
  const line = whole(start["line"]);
  return {
    line,
    character: whole(start["character"]),
    endLine: Math.max(line, whole(end["line"])),
    endCharacter: whole(end["character"]),
  };
}

/** Widens a range of lines as buildctl does: by four lines in all for a single line, by two for more. */
function around(start: number, end: number, last: number): [first: number, last: number] {
  const wanted = start === end ? 4 : 2;
  let [from, to] = [start, end];
  for (let added = 0; added < wanted; added++) {
    if (from > 1) [from, added] = [from - 1, added + 1];
    if (to !== last) [to, added] = [to + 1, added + 1];
  }
  return [from, to];
}

/** The place that a detail of type errdefs.Source names; undefined when it names no line that there is. */
export function sourceOf(detail: unknown): ErrorSource | undefined {
  const info = object(object(detail)["info"]);
  const ranges = list(object(detail)["ranges"])
    .map(rangeOf)
    .filter(({ line }) => line >= 1);
  if (ranges.length === 0) return undefined;
  const lines = Buffer.from(text(info["data"]), "base64").toString("utf8").split("\n");
  const line = ranges.reduce((least, range) => Math.min(least, range.line), Infinity);
  const endLine = ranges.reduce((most, range) => Math.max(most, range.endLine), 0);
  const end = Math.min(endLine, lines.length);
  const [from, to] = line > end ? [1, 0] : around(line, end, lines.length);
  return {
    path: text(info["filename"]),
    line,
    endLine,
    excerpt: lines.slice(line - 1, Math.min(endLine, line + maxLines)).join("\n"),
    language: text(info["language"]),
    ranges,
    shown: { line: from, lines: lines.slice(from - 1, Math.min(to, from + maxLines - 1)) },
  };
}

const rule = "--------------------\n";

/**
 * The excerpt as buildctl and buildx print it, lines of the failure marked; "" when the source has no such line.
 *
 *     Dockerfile:3
 *     --------------------
 *        2 |
 *        3 | >>> RUN false
 *     --------------------
 */
export function renderSource(source: ErrorSource): string {
  const { path, line: first, ranges, shown } = source;
  if (shown.lines.length === 0) return "";
  const marked = (line: number): boolean =>
    ranges.some((range) => range.line <= line && line <= range.endLine);
  const rows = shown.lines.map((content, index) => {
    const line = shown.line + index;
    return ` ${String(line).padStart(3)} | ${marked(line) ? ">>>" : "   "} ${content}\n`;
  });
  return `${path}:${first}\n${rule}${rows.join("")}${rule}`;
}
