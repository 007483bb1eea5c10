import assert from "node:assert/strict";
import { z } from "zod";
import {
  cel,
  duration,
  durationMs,
  exactlyOne,
  listMap,
  listSet,
  oneOf,
  only,
  quantity,
  rules,
  section,
  structural,
  text,
  textMap,
} from "../../../src/api/schema.ts";

const message = "must be lower case";
const lower = text({ max: 5 }, { matches: /^[a-z/]+$/, lacks: /\.\./, message });

describe("a structural schema", () => {
  const cases: readonly (readonly [name: string, schema: z.ZodType, want: unknown])[] = [
    [
      "turns the patterns of a text into one CEL rule with its message",
      lower,
      {
        type: "string",
        minLength: 1,
        maxLength: 5,
        ...rules(cel("self.matches(r'^[a-z/]+$') && !self.matches(r'\\.\\.')", message)),
      },
    ],
    [
      "is open to fields that it does not know",
      z.object({ a: z.string().max(1).optional() }),
      { type: "object", properties: { a: { type: "string", maxLength: 1 } } },
    ],
    [
      "names the keys of a list map",
      listMap(z.object({ id: z.boolean() }), ["id"], 3),
      {
        type: "array",
        maxItems: 3,
        items: { type: "object", properties: { id: { type: "boolean" } }, required: ["id"] },
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["id"],
      },
    ],
    [
      "calls a list of which nothing is said atomic",
      z.array(z.boolean()).max(2),
      {
        type: "array",
        maxItems: 2,
        items: { type: "boolean" },
        "x-kubernetes-list-type": "atomic",
      },
    ],
    [
      "does not require what has a default",
      z.object({ a: z.boolean().default(true) }),
      { type: "object", properties: { a: { type: "boolean", default: true } } },
    ],
    [
      "fills a section with the defaults of its members",
      section(z.object({ limit: z.int().min(0).max(9).default(2) })),
      {
        type: "object",
        default: { limit: 2 },
        properties: {
          limit: { type: "integer", format: "int64", minimum: 0, maximum: 9, default: 2 },
        },
      },
    ],
    [
      "makes the members of a one-of optional and counts them",
      oneOf("source", { git: z.boolean(), none: z.object({}) }),
      {
        type: "object",
        properties: { git: { type: "boolean" }, none: { type: "object", properties: {} } },
        ...rules(exactlyOne("source", ["git", "none"])),
      },
    ],
  ];
  for (const [name, schema, want] of cases) {
    it(name, () => assert.deepEqual(structural(schema), want));
  }

  it("lets a quantity be a number or a text, and nothing else", () => {
    const { anyOf, type } = structural(quantity());
    assert.deepEqual(anyOf, [{ type: "integer" }, { type: "string" }]);
    assert.equal(type, undefined);
  });

  it("bounds the keys of a map", () => {
    const schema = structural(textMap({ max: 2, key: 3, value: 4 }));
    assert.deepEqual(schema["additionalProperties"], { type: "string", maxLength: 4 });
    assert.equal(schema["maxProperties"], 2);
    assert.match(JSON.stringify(schema), /size\(k\) <= 3/);
    assert.equal(schema["propertyNames"], undefined);
  });
});

describe("the parser of a schema", () => {
  const accepted: readonly (readonly [name: string, schema: z.ZodType, value: unknown])[] = [
    ["a text that matches", lower, "a/b"],
    ["a quantity with a binary suffix", quantity(), "4Gi"],
    ["a quantity with a decimal suffix", quantity(), "500m"],
    ["a quantity that is a number", quantity(), 2],
    ["a duration at its upper bound", duration("1s", "1h"), "60m"],
    ["one member of a one-of", oneOf("x", { a: z.boolean(), b: z.boolean() }), { b: true }],
    ["a set", listSet(lower, 2), ["a", "b"]],
  ];
  for (const [name, schema, value] of accepted) {
    it(`accepts ${name}`, () => assert.deepEqual(schema.parse(value), value));
  }

  const refused: readonly (readonly [
    name: string,
    schema: z.ZodType,
    value: unknown,
    want: RegExp,
  ])[] = [
    ["a text that does not match", lower, "A", /must be lower case/],
    ["a text that is too long", lower, "abcdef", /<=5 characters/],
    [
      "a text that has what it should lack",
      text({ max: 9 }, { lacks: /x/, message }),
      "x",
      /lower/,
    ],
    ["an empty text", lower, "", />=1 characters/],
    ["a quantity in words", quantity(), "a lot", /must be a quantity/],
    ["a duration below its bound", duration("1s", "1h"), "0s", /between 1s and 1h/],
    ["a duration above its bound", duration("1s", "1h"), "2h", /between 1s and 1h/],
    ["a duration without a unit", duration("1s", "1h"), "90", /written like 90s/],
    [
      "a one-of with two members",
      oneOf("x", { a: z.boolean(), b: z.boolean() }),
      { a: true, b: true },
      /exactly one of a, b/,
    ],
    ["a one-of with none", oneOf("x", { a: z.boolean() }), {}, /x must set a/],
    ["a list that is too long", listSet(lower, 1), ["a", "b"], /<=1 items/],
    [
      "a map that is too large",
      textMap({ max: 1, key: 9, value: 9 }),
      { a: "", b: "" },
      /at most 1/,
    ],
    ["a map with a long key", textMap({ max: 1, key: 3, value: 9 }), { abcd: "" }, /1 to 3 char/],
  ];
  for (const [name, schema, value, want] of refused) {
    it(`refuses ${name}`, () => {
      const result = schema.safeParse(value);
      assert.ok(!result.success);
      assert.match(result.error.issues[0]?.message ?? "", want);
    });
  }

  it("drops fields that it does not know", () => {
    assert.deepEqual(z.object({ a: z.boolean() }).parse({ a: true, b: 1 }), { a: true });
  });
});

describe("only", () => {
  const schema = oneOf("x", { a: z.boolean(), b: z.int() });

  it("gives the member that is set, with its name", () => {
    assert.deepEqual(only(schema.parse({ b: 3 })), { kind: "b", value: 3 });
  });

  it("knows the type of the value by the kind", () => {
    const member = only(schema.parse({ a: true }));
    const seen: boolean | number = member.kind === "a" ? member.value === true : member.value + 1;
    assert.equal(seen, true);
  });

  it("throws when nothing is set, which no parsed value can be", () => {
    assert.throws(() => only({}), /no member/);
  });
});

describe("durationMs", () => {
  const cases: readonly (readonly [written: string, ms: number])[] = [
    ["0s", 0],
    ["90s", 90_000],
    ["15m", 900_000],
    ["1h30m", 5_400_000],
    ["1h1m1s", 3_661_000],
  ];
  for (const [written, ms] of cases) {
    it(`reads ${written}`, () => assert.equal(durationMs(written), ms));
  }
  for (const written of ["", "5", "1.5h", "-1h", "1d", "30m1h", " 1h"]) {
    it(`does not read "${written}"`, () =>
      assert.throws(() => durationMs(written), /not a duration/));
  }
});
