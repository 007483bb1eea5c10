import assert from "node:assert/strict";
import {
  findCondition,
  removeCondition,
  setCondition,
  timestamp,
} from "../../../src/api/condition.ts";
import type { Condition } from "../../../src/api/v1alpha1/index.ts";

const ready: Condition = {
  type: "Ready",
  status: "True",
  reason: "Answering",
  message: "BuildKit answers.",
  lastTransitionTime: "2026-01-01T00:00:00Z",
  observedGeneration: 1,
};
const stalled: Condition = { ...ready, type: "Stalled", status: "False" };
const at = { now: new Date("2026-02-02T10:20:30.456Z"), observedGeneration: 2 };
const state = { type: "Ready", status: "True", reason: "Answering", message: "m" } as const;

describe("setCondition", () => {
  it("adds a condition with the time of now in whole seconds", () => {
    assert.deepEqual(setCondition(undefined, state, at), [
      { ...state, lastTransitionTime: "2026-02-02T10:20:30Z", observedGeneration: 2 },
    ]);
  });

  it("keeps the time while the status stays", () => {
    const [changed] = setCondition([ready], { ...state, reason: "Other" }, at);
    assert.equal(changed?.lastTransitionTime, ready.lastTransitionTime);
    assert.equal(changed?.reason, "Other");
    assert.equal(changed?.observedGeneration, 2);
  });

  it("moves the time when the status changes", () => {
    const [changed] = setCondition([ready], { ...state, status: "False" }, at);
    assert.equal(changed?.lastTransitionTime, "2026-02-02T10:20:30Z");
  });

  it("keeps the order and the other conditions", () => {
    const list = setCondition([ready, stalled], state, at);
    assert.deepEqual(
      list.map(({ type }) => type),
      ["Ready", "Stalled"],
    );
    assert.equal(list[1], stalled);
  });

  it("changes nothing when the same is said again", () => {
    const once = setCondition([ready], state, at);
    assert.deepEqual(setCondition(once, state, { ...at, now: new Date(0) }), once);
  });

  it("leaves the given list alone", () => {
    const list = [ready];
    setCondition(list, { ...state, status: "False" }, at);
    assert.deepEqual(list, [ready]);
  });
});

describe("other views of conditions", () => {
  it("finds by type", () => {
    assert.equal(findCondition([ready, stalled], "Stalled"), stalled);
    assert.equal(findCondition([ready], "Stalled"), undefined);
    assert.equal(findCondition(undefined, "Ready"), undefined);
  });

  it("removes by type", () => {
    assert.deepEqual(removeCondition([ready, stalled], "Stalled"), [ready]);
    assert.deepEqual(removeCondition(undefined, "Ready"), []);
  });

  it("writes times in UTC without a fraction", () => {
    assert.equal(timestamp(new Date("2026-02-02T10:20:30.999+02:00")), "2026-02-02T08:20:30Z");
  });
});
