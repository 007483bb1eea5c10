// The places of an expression → a function that matches whole texts. Pure.
// JavaScript's engine tries every way through a text: a pattern with many stars, which a daemon may send, would hold it
// for hours. Go's does not. So few stars become a RegExp, and more of them a walk through all states at once.
import type { Atom, CharSet, GoRegexp, Place } from "./go-regexp.ts";

/** Whether a text matches. */
export type TextMatcher = (text: string) => boolean;

const manyLoops = 3;

/** Compiles an expression. */
export function textMatcher(expression: GoRegexp): TextMatcher {
  // A match that may begin anywhere counts like a loop.
  const loops = expression.flat().filter(isLoop).length + (isAnchored(expression) ? 0 : 1);
  return loops >= manyLoops ? stateMatcher(expression) : regexpMatcher(expression);
}

/** By JavaScript's engine: quick, but time may grow with a power of the text that has an exponent for each loop. */
export function regexpMatcher(expression: GoRegexp): TextMatcher {
  const ways = expression.map((places) => places.map(placeSource).join(""));
  const regexp = new RegExp(ways.join("|"), "u");
  return (text) => regexp.test(text);
}

function isLoop({ atom, min, max }: Place): boolean {
  return min !== max || atom.kind === "directories" || atom.kind === "place";
}

function hex(value: number): string {
  return `\\u{${value.toString(16)}}`;
}

function setSource(set: CharSet): string {
  const ranges = set.ranges.map(([low, high]) =>
    low === high ? hex(low) : `${hex(low)}-${hex(high)}`,
  );
  const categories = set.categories.map((category) =>
    category.startsWith("^") ? `\\P{${category.slice(1)}}` : `\\p{${category}}`,
  );
  return `[${set.negated ? "^" : ""}${[...ranges, ...categories].join("")}]`;
}

function placeSource({ atom, min, max }: Place): string {
  const source = atomSource(atom);
  if (min === 1 && max === 1) return source;
  return `(?:${source}){${min},${Number.isFinite(max) ? max : ""}}`;
}

function atomSource(atom: Atom): string {
  switch (atom.kind) {
    case "set":
      return setSource(atom.set);
    case "directories":
      return "[^\\n]*\\/";
    case "begin":
      return "^";
    case "end":
      return "$";
    case "word-boundary":
      return "\\b";
    case "no-word-boundary":
      return "\\B";
    case "place":
      return placeSource(atom.place);
  }
}

type Takes = (char: string) => boolean;

/** A state: what it takes to the next one, or an assertion to pass. */
type State =
  | { readonly kind: "char"; readonly takes: Takes; readonly next: number }
  | { readonly kind: "fork"; next: number; other: number }
  | { readonly kind: "assert"; readonly holds: (text: Position) => boolean; readonly next: number };

interface Position {
  readonly chars: readonly string[];
  readonly at: number;
}

function takesOf(set: CharSet): Takes {
  const regexp = new RegExp(`^${setSource(set)}$`, "u");
  return (char) => regexp.test(char);
}

function isWord(char: string | undefined): boolean {
  return char !== undefined && /^[0-9A-Za-z_]$/.test(char);
}

function atBoundary({ chars, at }: Position): boolean {
  return isWord(chars[at - 1]) !== isWord(chars[at]);
}

class States {
  readonly list: State[] = [];

  expression(ways: GoRegexp): void {
    const ends: { other: number }[] = [];
    for (const [index, places] of ways.entries()) {
      const fork = index === ways.length - 1 ? undefined : this.#fork();
      for (const place of places) this.#place(place);
      if (fork === undefined) continue;
      ends.push(this.#jump());
      fork.other = this.list.length;
    }
    for (const end of ends) Object.assign(end, { next: this.list.length, other: this.list.length });
  }

  #place({ atom, min, max }: Place): void {
    for (let count = 0; count < min; count++) this.#atom(atom);
    if (!Number.isFinite(max)) {
      const loop = this.#fork();
      const begin = this.list.length - 1;
      this.#atom(atom);
      Object.assign(this.#jump(), { next: begin, other: begin });
      loop.other = this.list.length;
      return;
    }
    const forks: { other: number }[] = [];
    for (let count = min; count < max; count++) {
      forks.push(this.#fork());
      this.#atom(atom);
    }
    for (const fork of forks) fork.other = this.list.length;
  }

  #atom(atom: Atom): void {
    switch (atom.kind) {
      case "set":
        this.#char(takesOf(atom.set));
        break;
      case "directories": {
        const loop = this.#fork();
        const begin = this.list.length - 1;
        this.#char((char) => char !== "\n");
        Object.assign(this.#jump(), { next: begin, other: begin });
        loop.other = this.list.length;
        this.#char((char) => char === "/");
        break;
      }
      case "begin":
        this.#assert(({ at }) => at === 0);
        break;
      case "end":
        this.#assert(({ chars, at }) => at === chars.length);
        break;
      case "word-boundary":
        this.#assert(atBoundary);
        break;
      case "no-word-boundary":
        this.#assert((text) => !atBoundary(text));
        break;
      case "place":
        this.#place(atom.place);
        break;
    }
  }

  #char(takes: Takes): void {
    this.list.push({ kind: "char", takes, next: this.list.length + 1 });
  }

  #assert(holds: (text: Position) => boolean): void {
    this.list.push({ kind: "assert", holds, next: this.list.length + 1 });
  }

  /** Goes on; or, once it is told, to another place. */
  #fork(): { next: number; other: number } {
    const fork = { kind: "fork" as const, next: this.list.length + 1, other: -1 };
    this.list.push(fork);
    return fork;
  }

  #jump(): { next: number; other: number } {
    return this.#fork();
  }
}

/** Adds a state and all that can be reached from it without a character. */
function enter(states: readonly State[], first: number, text: Position, into: Set<number>): void {
  const open = [first];
  for (let index = open.pop(); index !== undefined; index = open.pop()) {
    if (into.has(index)) continue;
    into.add(index);
    const state = states[index];
    if (state?.kind === "fork") open.push(state.other, state.next);
    else if (state?.kind === "assert" && state.holds(text)) open.push(state.next);
  }
}

/** Whether a match can begin at the text's begin alone. "^{0,}" is none. */
function isAnchored([places, ...others]: GoRegexp): boolean {
  const first = places?.[0];
  return others.length === 0 && first?.atom.kind === "begin" && first.min > 0;
}

/** By all states at once: time grows with text × states, whatever the pattern is. */
export function stateMatcher(expression: GoRegexp): TextMatcher {
  const built = new States();
  built.expression(expression);
  const states = built.list;
  const mayBeginAnywhere = !isAnchored(expression);
  return (text) => {
    const chars = Array.from(text);
    let current = new Set<number>();
    enter(states, 0, { chars, at: 0 }, current);
    for (let at = 0; at < chars.length && !current.has(states.length); at++) {
      const next = new Set<number>();
      const after = { chars, at: at + 1 };
      for (const index of current) {
        const state = states[index];
        if (state?.kind === "char" && state.takes(chars[at] ?? "")) {
          enter(states, state.next, after, next);
        }
      }
      if (mayBeginAnywhere) enter(states, 0, after, next);
      current = next;
    }
    return current.has(states.length);
  };
}
