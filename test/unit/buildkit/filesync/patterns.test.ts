import assert from "node:assert/strict";
import fc from "fast-check";
import { globMatches } from "../../../../src/buildkit/session/filesync/patterns/glob.ts";
import {
  PatternList,
  type ParentMatches,
} from "../../../../src/buildkit/session/filesync/patterns/pattern-list.ts";

/** The verdict on a path as a walk comes to it, from the root down. */
function matched(patterns: readonly string[], path: string): boolean {
  const list = new PatternList(patterns);
  let parent: ParentMatches | undefined;
  let hit = false;
  const parts = path.split("/");
  for (const index of parts.keys()) {
    const verdict = list.match(parts.slice(0, index + 1).join("/"), parent);
    [parent, hit] = [verdict.own, verdict.matched];
  }
  return hit;
}

describe("patterns", () => {
  const cases: [sentence: string, patterns: string[], path: string, hit: boolean][] = [
    ["matches a name", ["a"], "a", true],
    ["matches what is in a matched directory", ["a"], "a/b/c", true],
    ["does not match a longer name", ["a"], "ab", false],
    ["does not match deeper down", ["a"], "b/a", false],
    ["lets * stand for part of a name", ["*.go"], "main.go", true],
    ["does not let * cross a slash", ["*.go"], "cmd/main.go", false],
    ["lets ** cross slashes", ["**/*.go"], "a/b/main.go", true],
    ["lets **/ stand for nothing", ["**/*.go"], "main.go", true],
    ["matches **/name at the root", ["**/foo"], "foo", true],
    ["matches **/name deep down", ["**/foo"], "a/b/foo", true],
    ["does not match **/name in a longer one", ["**/foo"], "xfoo", false],
    ["matches all below dir/**", ["dir/**"], "dir/a/b", true],
    ["does not match the directory of dir/**", ["dir/**"], "dir", false],
    ["matches everything with **", ["**"], "a/b", true],
    ["puts ** in the middle", ["a/**/z"], "a/b/c/z", true],
    ["lets ? stand for one character", ["a?c"], "abc", true],
    ["does not let ? stand for a slash", ["a?c"], "a/c", false],
    ["lets ? stand for one character beyond U+FFFF", ["a?c"], "a😀c", true],
    ["knows ranges", ["[a-c]x"], "bx", true],
    ["knows negated classes", ["[^a-c]x"], "bx", false],
    ["takes escaped stars for stars", ["a\\*"], "a*", true],
    ["takes an escaped star for no wildcard", ["a\\*"], "ab", false],
    ["takes a dot for a dot", ["a.c*"], "abc", false],
    ["takes brackets of other languages for themselves", ["a{b}(c)+*"], "a{b}(c)+", true],
    ["takes a comma for a comma", ["a, b.txt"], "a, b.txt", true],
    ["cuts blanks off", ["  a  "], "a", true],
    ["cleans a pattern", ["./a/../b/"], "b", true],
    ["excepts with !", ["*", "!keep"], "keep", false],
    ["excepts within a matched directory", ["dir", "!dir/keep"], "dir/keep", false],
    ["matches the rest of that directory", ["dir", "!dir/keep"], "dir/other", true],
    ["lets the later pattern win", ["*", "!keep", "keep"], "keep", true],
    ["does nothing for an exception alone", ["!a"], "a", false],
    ["ignores empty patterns", ["", "  "], "a", false],
  ];
  for (const [sentence, patterns, path, hit] of cases) {
    it(sentence, () => assert.equal(matched(patterns, path), hit));
  }

  const bad: [sentence: string, pattern: string][] = [
    ["an exception of nothing", "!"],
    ["an open class", "a["],
    ["a last backslash", "a\\"],
  ];
  for (const [sentence, pattern] of bad) {
    it(`refuses ${sentence}`, () => assert.throws(() => new PatternList([pattern]), SyntaxError));
  }

  const below: [sentence: string, patterns: string[], directory: string, nothing: boolean][] = [
    ["enters a directory on the way", ["a/b/c"], "a", false],
    ["leaves out a directory aside", ["a/b/c"], "b", true],
    ["leaves out one that only begins alike", ["ab/c"], "a", true],
    ["enters everything for a wildcard", ["*/c"], "b", false],
    ["sees through a last star", ["a/b/**"], "c", true],
  ];
  for (const [sentence, patterns, directory, nothing] of below) {
    it(sentence, () =>
      assert.equal(new PatternList(patterns).nothingBelow(directory, false), nothing),
    );
  }

  it("throws nothing but SyntaxError, and always ends", () => {
    const pattern = fc.string({
      unit: fc.constantFrom(...Array.from("a/*?[]!^-\\.é😀")),
      maxLength: 12,
    });
    fc.assert(
      fc.property(fc.array(pattern, { maxLength: 4 }), pattern, (patterns, path) => {
        try {
          matched(patterns, path);
        } catch (error) {
          assert.ok(error instanceof SyntaxError, String(error));
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("never skips a directory in which something matches", () => {
    const name = fc.constantFrom("a", "b", "ab", "c");
    const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
    const pattern = fc.oneof(
      path,
      path.map((text) => `${text}/*`),
      path.map((text) => `${text}/**`),
      fc.constantFrom("*", "**/b", "a?"),
    );
    fc.assert(
      fc.property(fc.array(pattern, { minLength: 1, maxLength: 3 }), path, (patterns, file) => {
        if (!matched(patterns, file)) return;
        const list = new PatternList(patterns);
        const parts = file.split("/");
        for (let depth = 1; depth < parts.length; depth++) {
          const directory = parts.slice(0, depth).join("/");
          if (!matched(patterns, directory))
            assert.equal(list.nothingBelow(directory, false), false);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("matches one segment as Go does", () => {
    assert.equal(globMatches("a*.go", "ab.go"), true);
    assert.equal(globMatches("a^*", "a^x"), true);
    assert.equal(globMatches("*[^é]", "é"), true); // by bytes: the second one of é is no é
    assert.throws(() => globMatches("[", "["), SyntaxError);
  });
});
