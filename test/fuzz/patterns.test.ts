// Do our patterns match what BuildKit's match? Against Go itself (tools/filesync).
import { globMatches } from "../../src/buildkit/session/filesync/patterns/glob.ts";
import { ignorePatterns } from "../../src/buildkit/session/filesync/patterns/ignore-file.ts";
import {
  PatternList,
  type ParentMatches,
} from "../../src/buildkit/session/filesync/patterns/pattern-list.ts";
import type { Random } from "./random.ts";
import { asBytes, reference, type Reference } from "./reference.ts";
import { fuzz } from "./run.ts";

const plain = ["a", "b", "ab", ".", "a.b", "é", "😀", "-", " ", "A", "_", "1", "\n", "\uDCFF"];
const special = ["*", "**", "?", "[", "]", "^", "!", "\\", "/", "$", "(", ")", "+", "|", "{", "}"];
const classes = [
  "[a-b]",
  "[^a]",
  "[]a]",
  "[a-",
  "[[:alpha:]]",
  "[[:^digit:]]",
  "[\\d]",
  "[*]",
  "[?b]",
];
const escapes = ["\\*", "\\d", "\\W", "\\s", "\\pL", "\\PL", "\\Q", "\\E", "\\x61", "\\07", "\\1"];
const repeats = [
  "{2}",
  "{1,2}",
  "{0,}",
  "{2",
  "{,2}",
  "a{3}",
  "|",
  "\\x{61}",
  "\\p{L}",
  "\\p{^Lu}",
  "\\Q\\E",
];
const more = [
  "\\A",
  "\\z",
  "\\b",
  "\\B",
  "\\n",
  "\\-",
  "**/",
  "/**",
  "/*",
  "\\\\",
  "[^/]",
  "\uFEFF",
];
const tokens = [...plain, ...special, ...classes, ...escapes, ...repeats, ...more];
const usual = ["a", "b", "ab", "*", "**", "?", "/", "/", ".", "*.a", "**/", "/**"];

function pattern(random: Random): string {
  const from = random.oneIn(2) ? usual : tokens;
  const text = random.list(7, () => random.pick(from)).join("");
  return (random.oneIn(4) ? "!" : "") + text;
}

function path(random: Random): string {
  const name = (): string => {
    const text = random
      .list(2, () =>
        random.pick(random.oneIn(3) ? [...plain, "*", "[", "$", "\\"] : ["a", "b", "ab"]),
      )
      .join("");
    return text === "" || text === "." || text.includes("..") ? "a" : text;
  };
  return [name(), ...random.list(3, name)].join("/");
}

/** A verdict in the reference's words. */
function letter(verdict: () => boolean): string {
  try {
    return verdict() ? "1" : "0";
  } catch (error) {
    if (error instanceof SyntaxError) return "e";
    throw error;
  }
}

function descend(list: PatternList, file: string): string {
  const parts = file.split("/");
  let parent: ParentMatches | undefined;
  let word = "";
  for (let depth = 1; depth <= parts.length; depth++) {
    word += letter(() => {
      const verdict = list.match(parts.slice(0, depth).join("/"), parent);
      parent = verdict.own;
      return verdict.matched;
    });
    if (word.endsWith("e")) break;
  }
  return word;
}

function ours(patterns: readonly string[], paths: readonly string[]): unknown {
  let list: PatternList;
  try {
    list = new PatternList(patterns);
  } catch (error) {
    if (error instanceof SyntaxError) return "refused";
    throw error;
  }
  return paths.map(
    (file) => `${letter(() => list.matchesPathOrParent(file))}:${descend(list, file)}`,
  );
}

function difference(go: unknown, here: unknown): string | undefined {
  const [theirs, own] = [JSON.stringify(go), JSON.stringify(here)];
  return theirs === own ? undefined : `Go says ${theirs}, we say ${own}`;
}

describe("patterns", () => {
  let go: Reference;
  before(async () => {
    go = await reference();
  });
  after(() => go.stop());

  it("match what BuildKit's match", async function () {
    const done = await fuzz({
      generate: (random) => ({
        patterns: [pattern(random), ...random.list(3, () => pattern(random))],
        paths: [path(random), ...random.list(3, () => path(random))],
      }),
      async check(cases) {
        const verdicts = await go.ask(
          cases.map(({ patterns, paths }) => ({
            op: "match",
            patterns: patterns.map(asBytes),
            paths: paths.map(asBytes),
          })),
        );
        return cases.map(({ patterns, paths }, index) =>
          difference(verdicts[index], ours(patterns, paths)),
        );
      },
    });
    this.test!.title += ` (${done})`;
  });

  it("match one name as filepath.Match", async function () {
    const done = await fuzz({
      generate: (random) => ({
        pattern: random.list(6, () => random.pick(tokens)).join(""),
        names: [path(random), ...random.list(3, () => random.pick(plain))],
      }),
      async check(cases) {
        const verdicts = await go.ask(
          cases.map((one) => ({
            op: "glob",
            patterns: [asBytes(one.pattern)],
            paths: one.names.map(asBytes),
          })),
        );
        return cases.map((one, index) =>
          difference(
            verdicts[index],
            one.names.map((name) => letter(() => globMatches(one.pattern, name))),
          ),
        );
      },
    });
    this.test!.title += ` (${done})`;
  });

  it("are read from an ignore file as BuildKit reads them", async function () {
    const parts = [
      ...plain,
      ...special,
      "\n",
      "\n",
      "\r\n",
      "#",
      " ",
      "\t",
      "\u0085",
      "\uFEFF",
      "..",
    ];
    const done = await fuzz({
      share: 0.2,
      generate: (random) => random.list(20, () => random.pick(parts)).join(""),
      async check(cases) {
        const verdicts = await go.ask(
          cases.map((file) => ({ op: "ignore", bytes: asBytes(file) })),
        );
        return cases.map((file, index) =>
          difference(verdicts[index] ?? [], ignorePatterns(file).map(asBytes)),
        );
      },
    });
    this.test!.title += ` (${done})`;
  });
});
