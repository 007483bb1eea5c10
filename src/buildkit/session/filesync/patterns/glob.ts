// Go's filepath.Match, byte for byte: which patterns does BuildKit refuse, and which names does a wildcard in a
// followed path match? Pure. Written after Go 1.26's documentation and behaviour; a fuzz run holds both together.
import { bytesOf } from "../names.ts";

/** A pattern that Go calls malformed. */
export class BadPattern extends SyntaxError {
  /** With the pattern, where it is known. */
  constructor(pattern?: string) {
    super(`syntax error in pattern${pattern === undefined ? "" : ` ${JSON.stringify(pattern)}`}`);
    this.name = "BadPattern";
  }
}

/** One byte per character, as Go indexes strings. */
function byteText(text: string): string {
  return bytesOf(text).toString("latin1");
}

/**
 * Whether a whole name matches. Throws BadPattern, but only for what is read: matching may end before a
 * malformed part, and then Go says nothing either.
 */
export function globMatches(pattern: string, name: string): boolean {
  let rest = byteText(pattern);
  let text = byteText(name);
  while (rest !== "") {
    const { star, chunk, after } = nextChunk(rest);
    rest = after;
    if (star && chunk === "") return !text.includes("/");
    const left = afterChunk(chunk, star, { text, last: rest === "" });
    if (left === undefined) return false;
    text = left;
  }
  return text === "";
}

/** Text behind the chunk, at the first place where it fits; undefined: nowhere. */
function afterChunk(
  chunk: string,
  star: boolean,
  { text, last }: { text: string; last: boolean },
): string | undefined {
  const fits = (left: string | undefined): left is string =>
    left !== undefined && (!last || left === "");
  const here = matchChunk(chunk, text);
  if (fits(here) || !star) return fits(here) ? here : undefined;
  for (let skipped = 0; skipped < text.length && text[skipped] !== "/"; skipped++) {
    const left = matchChunk(chunk, text.slice(skipped + 1));
    if (fits(left)) return left;
  }
  return undefined;
}

/** Stars, then what is up to the next star outside of a class. */
function nextChunk(pattern: string): { star: boolean; chunk: string; after: string } {
  let from = 0;
  while (pattern[from] === "*") from++;
  let inClass = false;
  let at = from;
  for (; at < pattern.length; at++) {
    const char = pattern[at];
    if (char === "\\") at++;
    else if (char === "[") inClass = true;
    else if (char === "]") inClass = false;
    else if (char === "*" && !inClass) break;
  }
  return { star: from > 0, chunk: pattern.slice(from, at), after: pattern.slice(at) };
}

/** What of the text is left behind the chunk; undefined: it does not begin with it. The chunk is always read to its end. */
function matchChunk(chunk: string, text: string): string | undefined {
  let failed = false;
  let used = 0;
  let at = 0;
  while (at < chunk.length) {
    failed ||= used >= text.length;
    const char = chunk[at] ?? "";
    if (char === "[") {
      const rune = decodeRune(text, used);
      if (!failed) used += rune.width;
      const { matched, next } = matchClass(chunk, at + 1, failed ? 0 : rune.value);
      failed ||= !matched;
      at = next;
    } else if (char === "?") {
      failed ||= text[used] === "/";
      if (!failed) used += decodeRune(text, used).width;
      at++;
    } else {
      const { literal, next } = literalAt(chunk, at);
      failed ||= literal !== text[used];
      used++;
      at = next;
    }
  }
  return failed ? undefined : text.slice(used);
}

function literalAt(chunk: string, from: number): { literal: string; next: number } {
  const at = chunk[from] === "\\" ? from + 1 : from;
  const literal = chunk[at];
  if (literal === undefined) throw new BadPattern();
  return { literal, next: at + 1 };
}

function matchClass(chunk: string, from: number, rune: number): { matched: boolean; next: number } {
  const negated = chunk[from] === "^";
  let at = negated ? from + 1 : from;
  let matched = false;
  for (let first = true; first || chunk[at] !== "]"; first = false) {
    let [low, next] = classChar(chunk, at);
    let high = low;
    if (chunk[next] === "-") [high, next] = classChar(chunk, next + 1);
    matched ||= low <= rune && rune <= high;
    at = next;
  }
  return { matched: matched !== negated, next: at + 1 };
}

/** A character of a class, maybe escaped, and where the next one begins: there has to be one. */
function classChar(chunk: string, from: number): [rune: number, next: number] {
  const char = chunk[from];
  if (char === undefined || char === "-" || char === "]") throw new BadPattern();
  const at = char === "\\" ? from + 1 : from;
  if (at >= chunk.length) throw new BadPattern();
  const { value, width } = decodeRune(chunk, at);
  if ((value === runeError && width === 1) || at + width >= chunk.length) throw new BadPattern();
  return [value, at + width];
}

const runeError = 0xfffd;

/** Go's utf8.DecodeRune: what is no character is one byte wide. */
function decodeRune(text: string, at: number): { value: number; width: number } {
  const lead = text.charCodeAt(at);
  if (!(lead >= 0x80)) return { value: lead, width: 1 };
  const width = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  const decoded = Buffer.from(text.slice(at, at + width), "latin1").toString("utf8");
  const value = decoded.codePointAt(0) ?? runeError;
  const whole = decoded.length === (value > 0xffff ? 2 : 1);
  if (!whole || (value === runeError && text.slice(at, at + 3) !== "\xef\xbf\xbd")) {
    return { value: runeError, width: 1 };
  }
  return { value, width };
}
