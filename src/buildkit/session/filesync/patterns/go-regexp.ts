// Reads the regular expressions that patternmatcher makes out of patterns, as Go's regexp/syntax does. Pure.
// A pattern's odd characters reach that parser as they are ("\pL", "[[:alpha:]]", "\Q"), so they mean what they mean there.

/** Which characters a place takes. */
export interface CharSet {
  /** Code points from–to, both included. */
  readonly ranges: readonly (readonly [low: number, high: number])[];
  /** Unicode properties in JavaScript's words ("L", "Script=Greek"); "^L" for what is not in L. */
  readonly categories: readonly string[];
  readonly negated: boolean;
}

/** What can stand at a place of an expression. */
export type Atom =
  | { readonly kind: "set"; readonly set: CharSet }
  /** ".*\/" in brackets: directories on the way. */
  | { readonly kind: "directories" }
  | { readonly kind: "begin" | "end" | "word-boundary" | "no-word-boundary" }
  /** A place that is repeated once more. */
  | { readonly kind: "place"; readonly place: Place };

/** An atom, and how often. */
export interface Place {
  readonly atom: Atom;
  readonly min: number;
  /** Infinity: as often as it goes. */
  readonly max: number;
}

/** Ways to match, each a row of places. Only the first begins with "^" by itself, and only the last ends with "$". */
export type GoRegexp = readonly (readonly Place[])[];

const directories = "(.*/)?";
const allButLineFeed: CharSet = { ranges: [[10, 10]], categories: [], negated: true };
const maxRune = 0x10ffff;
const maxRepetitions = 1000;

type Range = readonly [low: number, high: number];

const digit: Range[] = [[0x30, 0x39]];
const lower: Range[] = [[0x61, 0x7a]];
const upper: Range[] = [[0x41, 0x5a]];
const alpha: Range[] = [...upper, ...lower];
const word: Range[] = [...digit, ...alpha, [0x5f, 0x5f]];

const perlGroups: Readonly<Record<string, readonly Range[]>> = {
  d: digit,
  // biome-ignore format: one row
  s: [[0x09, 0x0a], [0x0c, 0x0d], [0x20, 0x20]],
  w: word,
};

const posixGroups: Readonly<Record<string, readonly Range[]>> = {
  alnum: [...digit, ...alpha],
  alpha,
  ascii: [[0x00, 0x7f]],
  // biome-ignore format: one row
  blank: [[0x09, 0x09], [0x20, 0x20]],
  // biome-ignore format: one row
  cntrl: [[0x00, 0x1f], [0x7f, 0x7f]],
  digit,
  graph: [[0x21, 0x7e]],
  lower,
  print: [[0x20, 0x7e]],
  // biome-ignore format: one row
  punct: [[0x21, 0x2f], [0x3a, 0x40], [0x5b, 0x60], [0x7b, 0x7e]],
  // biome-ignore format: one row
  space: [[0x09, 0x0d], [0x20, 0x20]],
  upper,
  word,
  // biome-ignore format: one row
  xdigit: [[0x30, 0x39], [0x41, 0x46], [0x61, 0x66]],
};

const controls: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };

function refuse(why: string): SyntaxError {
  return new SyntaxError(why);
}

function complement(ranges: readonly Range[]): Range[] {
  const sorted = ranges.toSorted((a, b) => a[0] - b[0]);
  const gaps: Range[] = [];
  let next = 0;
  for (const [low, high] of sorted) {
    if (low > next) gaps.push([next, low - 1]);
    next = Math.max(next, high + 1);
  }
  return next > maxRune ? gaps : [...gaps, [next, maxRune]];
}

/** A set that grows while a class is read. */
interface Growing {
  readonly ranges: Range[];
  readonly categories: string[];
}

/** Reads an expression. Throws SyntaxError for what Go refuses. */
export function readGoRegexp(source: string): GoRegexp {
  return new Parser(source).alternatives();
}

class Parser {
  readonly #chars: readonly string[];
  #at = 0;
  /** Whether the last place was repeated just now: Go refuses to do that twice. */
  #repeated = false;

  constructor(source: string) {
    this.#chars = Array.from(source);
  }

  alternatives(): Place[][] {
    let places: Place[] = [];
    const all = [places];
    while (this.#at < this.#chars.length) {
      if (this.#chars[this.#at] === "|") {
        this.#at++;
        this.#repeated = false;
        all.push((places = []));
      } else this.#next(places);
    }
    return all;
  }

  /** Reads one place into the row, or repeats its last one. */
  #next(places: Place[]): void {
    const times = this.#repetition();
    if (times !== undefined) {
      places.push(this.#again(places.pop(), times));
      this.#repeated = true;
      return;
    }
    this.#repeated = false;
    if (this.#startsWith(directories)) {
      this.#at += directories.length;
      this.#repeated = true;
      places.push({ atom: { kind: "directories" }, min: 0, max: 1 });
    } else if (this.#startsWith("\\Q")) places.push(...this.#quoted());
    else places.push(once(this.#atom()));
  }

  #startsWith(text: string): boolean {
    for (let index = 0; index < text.length; index++) {
      if (this.#chars[this.#at + index] !== text[index]) return false;
    }
    return true;
  }

  /** "*", "{2}", "{2,}", "{2,3}"; a "{" that begins nothing of that is a character. */
  #repetition(): { min: number; max: number } | undefined {
    if (this.#chars[this.#at] === "*") {
      this.#at++;
      return { min: 0, max: Number.POSITIVE_INFINITY };
    }
    if (this.#chars[this.#at] !== "{") return undefined;
    const rest = this.#chars.slice(this.#at, this.#at + 2_100).join("");
    const found = /^\{(0|[1-9][0-9]*)(,(0|[1-9][0-9]*)?)?\}/.exec(rest);
    if (found === null) return undefined;
    this.#at += found[0].length;
    const min = Number(found[1]);
    const most = found[3] === undefined ? Number.POSITIVE_INFINITY : Number(found[3]);
    const max = found[2] === undefined ? min : most;
    const tooMany = min > maxRepetitions || (Number.isFinite(max) && max > maxRepetitions);
    if (tooMany || min > max) throw refuse("repeats too often");
    return { min, max };
  }

  #again(place: Place | undefined, times: { min: number; max: number }): Place {
    if (place === undefined) throw refuse("repeats nothing");
    if (this.#repeated) throw refuse("repeats twice");
    const isSingle = place.min === 1 && place.max === 1;
    const again: Place = {
      atom: isSingle ? place.atom : { kind: "place", place },
      ...times,
    };
    if (repetitionsOf(again) > maxRepetitions) throw refuse("repeats too often");
    return again;
  }

  /** "\Q" up to "\E" or the end: nothing in it is special. */
  #quoted(): Place[] {
    this.#at += 2;
    const places: Place[] = [];
    while (this.#at < this.#chars.length && !this.#startsWith("\\E")) {
      places.push(once(one(this.#chars[this.#at++] ?? "")));
    }
    this.#at += 2;
    return places;
  }

  #atom(): Atom {
    const char = this.#chars[this.#at] ?? "";
    switch (char) {
      case "^":
        this.#at++;
        return { kind: "begin" };
      case "$":
        this.#at++;
        return { kind: "end" };
      case ".":
        this.#at++;
        return { kind: "set", set: allButLineFeed };
      case "[":
        return { kind: "set", set: this.#class() };
      case "\\":
        return this.#escaped();
      default:
        this.#at++;
        return one(char);
    }
  }

  #escaped(): Atom {
    const anchors: Readonly<
      Record<string, "begin" | "end" | "word-boundary" | "no-word-boundary">
    > = { A: "begin", z: "end", b: "word-boundary", B: "no-word-boundary" };
    const kind = anchors[this.#chars[this.#at + 1] ?? ""];
    if (kind !== undefined) {
      this.#at += 2;
      return { kind };
    }
    const set: Growing = { ranges: [], categories: [] };
    if (!this.#group(set)) {
      const value = this.#escape();
      set.ranges.push([value, value]);
    }
    return { kind: "set", set: { ...set, negated: false } };
  }

  #class(): CharSet {
    this.#at++;
    const negated = this.#chars[this.#at] === "^";
    if (negated) this.#at++;
    const set: Growing = { ranges: [], categories: [] };
    for (let first = true; first || this.#chars[this.#at] !== "]"; first = false) {
      if (!this.#posixGroup(set) && !this.#group(set)) set.ranges.push(this.#range());
    }
    this.#at++;
    return { ...set, negated };
  }

  #range(): Range {
    const low = this.#classChar();
    const after = this.#chars[this.#at + 1];
    if (this.#chars[this.#at] !== "-" || after === undefined || after === "]") return [low, low];
    this.#at++;
    const high = this.#classChar();
    if (high < low) throw refuse("has a range that ends before it begins");
    return [low, high];
  }

  #classChar(): number {
    const char = this.#chars[this.#at];
    if (char === undefined) throw refuse("has a [ without its ]");
    if (char === "\\") return this.#escape();
    this.#at++;
    return char.codePointAt(0) ?? 0;
  }

  /** "[:alpha:]" and the like. */
  #posixGroup(set: Growing): boolean {
    if (!this.#startsWith("[:")) return false;
    const rest = this.#chars.slice(this.#at + 2).join("");
    const end = rest.indexOf(":]");
    if (end === -1) return false;
    const text = rest.slice(0, end);
    const name = text.replace(/^\^/, "");
    const group = Object.hasOwn(posixGroups, name) ? posixGroups[name] : undefined;
    if (group === undefined) throw refuse("has a named class that is not known");
    set.ranges.push(...(name === text ? group : complement(group)));
    this.#at += 4 + Array.from(text).length;
    return true;
  }

  /** "\d" and the like, "\pL". */
  #group(set: Growing): boolean {
    const [backslash, char = ""] = this.#chars.slice(this.#at, this.#at + 2);
    if (backslash !== "\\") return false;
    if (char === "p" || char === "P") {
      set.categories.push(this.#property(char === "P"));
      return true;
    }
    const group = Object.hasOwn(perlGroups, char.toLowerCase())
      ? perlGroups[char.toLowerCase()]
      : undefined;
    if (group === undefined) return false;
    set.ranges.push(...(char === char.toLowerCase() ? group : complement(group)));
    this.#at += 2;
    return true;
  }

  /** "\pL", "\p{Lu}", "\p{^Greek}". */
  #property(negated: boolean): string {
    const from = this.#at + 2;
    const inBraces = this.#chars[from] === "{";
    const end = inBraces ? this.#chars.indexOf("}", from) : from + 1;
    if (end === -1) throw refuse("has a { without its }");
    const name = this.#chars.slice(inBraces ? from + 1 : from, end).join("");
    this.#at = inBraces ? end + 1 : end;
    const bare = name.replace(/^\^/, "");
    const property = unicodeProperty(bare);
    return negated === (bare === name) ? `^${property}` : property;
  }

  #escape(): number {
    const char = this.#chars[this.#at + 1];
    if (char === undefined) throw refuse("ends with a backslash");
    this.#at += 2;
    if (char < "\x80" && !/[A-Za-z0-9]/.test(char)) return char.codePointAt(0) ?? 0;
    if (/[0-7]/.test(char)) return this.#octal(char);
    if (char === "x") return this.#hexadecimal();
    const control = Object.hasOwn(controls, char) ? controls[char] : undefined;
    if (control === undefined) throw refuse("escapes a character that needs none");
    return control;
  }

  #octal(first: string): number {
    const isDigit = (): boolean => /^[0-7]$/.test(this.#chars[this.#at] ?? "");
    if (first !== "0" && !isDigit()) throw refuse("refers back");
    let value = Number(first);
    for (let more = 0; more < 2 && isDigit(); more++) {
      value = value * 8 + Number(this.#chars[this.#at++]);
    }
    return value;
  }

  #hexadecimal(): number {
    const braced = /^\{([0-9A-Fa-f]+)\}/.exec(this.#chars.slice(this.#at, this.#at + 100).join(""));
    if (braced !== null) {
      const value = Number.parseInt(braced[1] ?? "", 16);
      if (value > maxRune) throw refuse("has a character that there is not");
      this.#at += braced[0].length;
      return value;
    }
    const digits = this.#chars.slice(this.#at, this.#at + 2).join("");
    if (!/^[0-9A-Fa-f]{2}$/.test(digits)) throw refuse("has \\x without two digits");
    this.#at += 2;
    return Number.parseInt(digits, 16);
  }
}

function one(char: string): Atom {
  const value = char.codePointAt(0) ?? 0;
  return { kind: "set", set: { ranges: [[value, value]], categories: [], negated: false } };
}

function once(atom: Atom): Place {
  return { atom, min: 1, max: 1 };
}

/** How often an atom may have to be there: Go multiplies what is nested. */
function repetitionsOf({ atom, min, max }: Place): number {
  const own = Math.max(1, Number.isFinite(max) ? max : min);
  return own * (atom.kind === "place" ? repetitionsOf(atom.place) : 1);
}

/** Go's name of a category or a script, in any case, in JavaScript's words. Throws SyntaxError for one that is not known. */
function unicodeProperty(name: string): string {
  const canonical = name.slice(0, 1).toUpperCase() + name.slice(1).toLowerCase();
  if (!/^[A-Z][a-z]*$/.test(canonical)) throw refuse("has a category that is not known");
  const property = canonical.length <= 2 ? canonical : `Script=${canonical}`;
  if (!isRegexp(`\\p{${property}}`)) throw refuse("has a category that is not known");
  return property;
}

function isRegexp(source: string): boolean {
  try {
    return new RegExp(source, "u").source !== "";
  } catch {
    return false;
  }
}
