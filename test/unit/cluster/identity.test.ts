// Is a process only ever taken for the recorded one when it is that one?
import assert from "node:assert/strict";
import { identify, signal, stillRuns } from "../../cluster/base/identity.ts";

describe("identity of a process", () => {
  const self = identify(process.pid);
  assert.ok(self !== undefined);

  const cases: readonly [string, typeof self, boolean][] = [
    ["the recorded process itself still runs", self, true],
    [
      "a process with the id but another start time is a stranger",
      { ...self, startTime: "1" },
      false,
    ],
    [
      "a process recorded before the machine restarted is a stranger",
      { ...self, bootId: "x" },
      false,
    ],
    ["an id that nobody has does not run", { ...self, pid: 2 ** 22 + 1 }, false],
  ];
  for (const [sentence, recorded, expected] of cases) {
    it(sentence, () => assert.equal(stillRuns(recorded), expected));
  }

  it("a stranger gets no signal", () => {
    // SIGKILL to this very process would end the test run.
    assert.equal(signal({ ...self, startTime: "1" }, "SIGKILL"), false);
  });

  it("a process that is not there has no identity", () => {
    assert.equal(identify(2 ** 22 + 1), undefined);
  });
});
