// Any spec that fits the schema: the planner answers with a plan, the same one every time, or with a sentence that names a
// field; it never crashes.

import assert from "node:assert/strict";
import fc from "fast-check";
import { parseBuildRun } from "../../../src/api/parse.ts";
import { planOf } from "../../../src/buildrun/plan/plan.ts";
import { KilnError } from "../../../src/errors/index.ts";
import { aRun } from "./fixture.ts";
import { anySpec } from "./spec-arbitrary.ts";

function planned(spec: unknown): { readonly plan?: string; readonly refusal?: KilnError } {
  const run = parseBuildRun({ ...aRun(), spec });
  try {
    return { plan: JSON.stringify(planOf(run)) };
  } catch (refusal) {
    assert.ok(refusal instanceof KilnError, String(refusal));
    return { refusal };
  }
}

describe("the planner", () => {
  it("makes one plan, and always the same, of each of 500 specs, or names a field of it", () => {
    let plans = 0;
    fc.assert(
      fc.property(anySpec, (spec) => {
        const first = planned(spec);
        const again = planned(JSON.parse(JSON.stringify(spec)));
        assert.deepEqual(again, first);
        if (first.plan !== undefined) plans += 1;
        else assert.match(first.refusal?.message ?? "", /\bspec\.\w+/);
      }),
      { numRuns: 500 },
    );
    assert.ok(plans > 200, `only ${plans} of the specs have a plan`);
  }).timeout(30_000);
});
