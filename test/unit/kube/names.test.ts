import assert from "node:assert/strict";
import fc from "fast-check";
import { dnsName, isDnsLabel, labelValue } from "../../../src/kube/names.ts";

describe("dnsName", () => {
  const cases: [string, string[], number, string | RegExp][] = [
    ["leaves a name that fits alone", ["kiln", "main"], 63, "kiln-main"],
    ["leaves out empty parts", ["kiln", "", "main"], 63, "kiln-main"],
    ["keeps double dashes of a valid name", ["a--b"], 63, "a--b"],
    ["cuts a long name and adds a hash", ["x".repeat(80)], 63, /^x{52}-[0-9a-f]{10}$/],
    ["leaves room when told to", ["builder-of-the-team"], 17, /^builde-[0-9a-f]{10}$/],
    [
      "replaces what a label may not hold, and adds a hash",
      ["Web.App"],
      63,
      /^web-app-[0-9a-f]{10}$/,
    ],
    ["makes a name of nothing usable", ["…"], 63, /^[0-9a-f]{10}$/],
  ];
  for (const [name, parts, max, want] of cases) {
    it(name, () => {
      const got = dnsName(parts, max);
      if (typeof want === "string") assert.equal(got, want);
      else assert.match(got, want);
    });
  }

  it("is always a DNS label, whatever people write", () => {
    const parts = fc.array(fc.string({ unit: "grapheme" }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(parts, fc.integer({ min: 12, max: 63 }), (words, max) => {
        const name = dnsName(words, max);
        assert.ok(isDnsLabel(name) && name.length <= max, name);
        assert.equal(dnsName(words, max), name);
      }),
    );
  });

  it("keeps apart what it had to change", () => {
    assert.notEqual(dnsName(["a.b"]), dnsName(["a_b"]));
    assert.notEqual(dnsName([`${"x".repeat(70)}1`]), dnsName([`${"x".repeat(70)}2`]));
  });
});

describe("labelValue", () => {
  it("leaves a valid value alone, and the empty one", () => {
    for (const value of ["", "a", "Web_App-1.2", "x".repeat(63)])
      assert.equal(labelValue(value), value);
  });

  it("is always a valid label value", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 100 }), (text) => {
        assert.match(labelValue(text), /^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/);
      }),
    );
  });
});
