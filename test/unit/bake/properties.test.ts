// Whatever a Bake file says, it is built or refused with a sentence: nothing crashes, and the same file gives the same plan.

import assert from "node:assert/strict";
import fc from "fast-check";
import { lint } from "../../../src/cli/lint.ts";
import { readBakeFile, readBakeText } from "../../../src/bake/file/document.ts";
import { planBake } from "../../../src/bake/plan/plan.ts";
import { KilnError } from "../../../src/errors/index.ts";
import { readFileSync } from "node:fs";
import { aBake } from "./fixture.ts";

const reasons: ReadonlySet<string> = new Set([
  ...["BakeFileInvalid", "OverrideInvalid", "TargetNotFound", "TargetCircle", "TargetNotSupported"],
]);

/** Runs it; a refusal is a result, too. */
function outcome(made: () => unknown): unknown {
  try {
    return made();
  } catch (error) {
    assert.ok(error instanceof KilnError, String(error));
    assert.equal(error.class, "User");
    assert.ok(reasons.has(error.reason), error.reason);
    assert.ok(error.message.length > 10 && error.message.length < 2_000, error.message);
    return [error.reason, error.message];
  }
}

const word = fc.oneof(
  fc.constantFrom(
    "a",
    "b",
    "target:b",
    "./web",
    "../..",
    "/",
    "",
    "-",
    "*",
    "\n",
    '"',
    "${",
    "$${",
  ),
  fc.constantFrom(
    "type=image,push=true",
    "type=local,dest=x",
    "type=oci",
    "type=",
    "=",
    ",",
    "a=b",
    "type=image,constructor=b",
    "constructor",
  ),
  fc.constantFrom(
    "https://g.example/a.git#b:c",
    "git@g.example:a",
    "docker-image://a",
    "128m",
    "-1",
  ),
  fc.string({ maxLength: 12 }),
);
const scalar = fc.oneof(word, fc.integer(), fc.boolean());
const entry = fc.oneof(
  word,
  fc.dictionary(fc.constantFrom("type", "ref", "dest", "id", "x", "constructor"), scalar),
);
const list = fc.array(word, { maxLength: 3 });
const entries = fc.array(entry, { maxLength: 3 });
const map = fc.dictionary(word, fc.option(word), { maxKeys: 3 });

const target = fc.record(
  {
    ...{ context: word, dockerfile: word, "dockerfile-inline": word, target: word, call: word },
    ...{ network: word, "shm-size": word, pull: fc.boolean(), "no-cache": fc.boolean() },
    ...{ args: map, labels: map, contexts: map, "extra-hosts": map, resources: map },
    ...{ tags: list, platforms: list, ulimits: list, entitlements: list, annotations: list },
    ...{ "no-cache-filter": list, attest: entries, "cache-from": entries, "cache-to": entries },
    ...{ output: entries, secret: entries, ssh: list, policy: fc.array(fc.anything()) },
  },
  { requiredKeys: [] },
);

const document = fc.record({
  group: fc.dictionary(fc.constantFrom("default", "g", "a"), fc.record({ targets: list })),
  target: fc.dictionary(fc.constantFrom("a", "b", "c"), target, { maxKeys: 3 }),
});

const override = fc
  .tuple(
    fc.constantFrom("a", "*", "b", "x", "[a-c]", "[", "[c-a]"),
    fc.constantFrom(
      "args.A",
      "tags",
      "output",
      "push",
      "cache-to",
      "secret.id",
      "ssh",
      "platform",
      "y",
    ),
    fc.constantFrom("=", "+="),
    word,
  )
  .map((parts) => `${parts[0]}.${parts[1]}${parts[2]}${parts[3]}`);

describe("any Bake file", () => {
  it("that is JSON is read or refused", () => {
    fc.assert(fc.property(fc.json(), (text) => void outcome(() => readBakeText(text))));
  });

  it("is planned or refused, and the same twice", () => {
    fc.assert(
      fc.property(document, fc.array(override, { maxLength: 3 }), (file, set) => {
        const bake = aBake({ spec: { targets: ["*"], push: set.length > 1 } });
        const made = { ...bake, spec: { ...bake.spec, set } };
        const plan = (): unknown => outcome(() => planBake(made, readBakeFile(file)));
        assert.deepEqual(plan(), plan());
      }),
      { numRuns: 100 },
    );
  });
});

describe("the examples of docs/bake.md", () => {
  const page = readFileSync(new URL("../../../docs/bake.md", import.meta.url), "utf8");
  const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = ""]) => text);
  for (const [index, block] of blocks.entries())
    it(`have nothing wrong with them: ${index}`, () => {
      const { checked, findings } = lint(block);
      assert.deepEqual(findings, []);
      assert.ok(checked > 0);
    });
});
