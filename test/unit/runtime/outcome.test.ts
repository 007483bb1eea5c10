import assert from "node:assert/strict";
import { isExpected, outcomeOf, Stalled, Waiting } from "../../../src/runtime/outcome.ts";
import { ApiError } from "../../../src/kube/errors.ts";

describe("outcomeOf", () => {
  it("does not retry what a user has to mend", () => {
    assert.deepEqual(outcomeOf(new Stalled("NoBuilder", "x")), { kind: "done" });
  });

  it("looks again when the wait is over", () => {
    assert.deepEqual(outcomeOf(new Waiting("Starting", "x", 1500)), { kind: "after", ms: 1500 });
  });

  it("retries everything else, with its cause", () => {
    const cause = new TypeError("x");
    assert.deepEqual(outcomeOf(cause), { kind: "retry", cause });
    assert.deepEqual(outcomeOf("text"), { kind: "retry", cause: "text" });
  });
});

describe("isExpected", () => {
  const error = (kind: "Conflict" | "Forbidden") =>
    new ApiError({ kind, status: 409, reason: "", message: "x" });
  const cases: [string, unknown, boolean][] = [
    ["a lost optimistic lock is normal life", error("Conflict"), true],
    ["a missing right is not", error("Forbidden"), false],
    ["an unknown error is not", new Error("x"), false],
    ["a thrown string is not", "x", false],
  ];
  for (const [name, cause, want] of cases) it(name, () => assert.equal(isExpected(cause), want));
});
