import assert from "node:assert/strict";
import { Uses } from "../../../src/builder/uses.ts";

const ref = { kind: "Builder", namespace: "shop", name: "main" } as const;

describe("the starts of a Builder's runs", () => {
  it("go on from those that an earlier process wrote down, each once", () => {
    const uses = new Uses();
    uses.start(ref, "a", { nowMs: 3_000, spends: false });
    uses.recall(ref, [1_000, 2_000, 3_000]);
    uses.recall(ref, [500]);
    assert.deepEqual(uses.starts(ref), [1_000, 2_000, 3_000]);
    uses.start(ref, "a", { nowMs: 4_000, spends: false });
    assert.deepEqual(uses.starts(ref), [1_000, 2_000, 3_000, 4_000]);
  });

  it("are recalled anew for another Builder of the name", () => {
    const uses = new Uses();
    uses.recall(ref, [1_000]);
    uses.forget(ref);
    uses.recall(ref, [2_000]);
    assert.deepEqual(uses.starts(ref), [2_000]);
  });
});
