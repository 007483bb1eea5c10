import assert from "node:assert/strict";
import fc from "fast-check";
import { backoffMs, reconcileBackoff, watchBackoff } from "../../../src/runtime/backoff.ts";

describe("backoffMs", () => {
  const cases: [string, number, number, number][] = [
    ["begins at the base", 0, 0, 800],
    ["doubles", 1, 0, 1600],
    ["stops at the maximum", 20, 0, 30_000],
    ["stays finite after a very long outage", 5000, 0, 30_000],
    ["takes the jitter off, so that the maximum holds", 20, 0.999, 15_015],
  ];
  for (const [name, retry, random, want] of cases) {
    it(name, () => assert.equal(backoffMs(watchBackoff, retry, random), want));
  }

  it("never grows past the maximum and never falls under the base less jitter", () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.nat({ max: 10_000 }), random, (retry, draw) => {
        const wait = backoffMs(reconcileBackoff, retry, draw);
        assert.ok(wait <= reconcileBackoff.maxMs && wait >= 40, String(wait));
        assert.ok(wait <= backoffMs(reconcileBackoff, retry + 1, 0));
      }),
    );
  });
});
