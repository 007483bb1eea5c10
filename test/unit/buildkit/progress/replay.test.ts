// A status stream that broke and was opened again: every event is told once, in the order of one whole telling.

import assert from "node:assert/strict";
import fc from "fast-check";
import type { LogEvent, SolveEvent } from "../../../../src/buildkit/progress/events.ts";
import { ReplayFilter } from "../../../../src/buildkit/progress/replay.ts";
import { batchesOf, recordingNames } from "./recordings.ts";

function log(text: string, time = 0, stream: 1 | 2 = 1): LogEvent {
  return { kind: "log", vertex: "v", stream, data: Buffer.from(text), timestamp: new Date(time) };
}

/** What is told of a telling that breaks after so many events, each time from the start, and then goes to its end. */
function toldOf(
  breaks: readonly number[],
  telling: (attempt: number) => readonly SolveEvent[],
): SolveEvent[] {
  const filter = new ReplayFilter();
  const told: SolveEvent[] = [];
  for (const [attempt, end] of [...breaks, Number.POSITIVE_INFINITY].entries()) {
    if (attempt > 0) filter.replay();
    told.push(
      ...telling(attempt)
        .slice(0, end)
        .filter((event) => filter.isNew(event)),
    );
  }
  return told;
}

describe("a status stream that broke is told once, wherever it broke and however often:", () => {
  for (const name of recordingNames) {
    it(`the recording ${name}`, () => {
      const sent = batchesOf(name).flat();
      fc.assert(
        fc.property(fc.array(fc.nat(sent.length), { maxLength: 4 }), (breaks) => {
          assert.deepEqual(
            toldOf(breaks, () => sent),
            sent,
          );
        }),
        { numRuns: 30 },
      );
    });
  }

  it("chunks of output with the same time, and with the same bytes", () => {
    const chunk = fc.record({
      time: fc.nat(3),
      stream: fc.constantFrom<1 | 2>(1, 2),
      text: fc.constantFrom("a", "b"),
    });
    const sorted = fc
      .array(chunk, { maxLength: 30 })
      .map((chunks) => [...chunks].sort((a, b) => a.time - b.time));
    fc.assert(
      fc.property(sorted, fc.array(fc.nat(30), { maxLength: 4 }), (chunks, breaks) => {
        const sent = chunks.map(({ text, time, stream }) => log(text, time, stream));
        assert.deepEqual(
          toldOf(breaks, () => sent),
          sent,
        );
      }),
      { numRuns: 1000 },
    );
  });

  it("a replay that leaves out what was overwritten in between", () => {
    const part = (current: number): SolveEvent => ({
      ...{ kind: "progress", vertex: "v", id: "extracting", name: "", current, total: 9 },
      timestamp: new Date(current),
    });
    const whole = [1, 2, 3, 4, 5, 6].map(part);
    const lagging = [2, 4, 6].map(part);
    const told = toldOf([3], (attempt) => (attempt === 0 ? whole : lagging));
    assert.deepEqual(told, [1, 2, 3, 4, 6].map(part));
  });

  it("a step that started again", () => {
    const at = (started: number, completed?: number): SolveEvent => ({
      ...{ kind: "vertex", digest: "v", name: "n", inputs: [], cached: false },
      started: new Date(started),
      ...(completed === undefined ? {} : { completed: new Date(completed) }),
    });
    const sent = [at(1), at(1, 2), at(3), at(3, 4), at(5)];
    for (let end = 0; end <= sent.length; end++)
      assert.deepEqual(
        toldOf([end], () => sent),
        sent,
      );
  });

  it("times that differ by a nanosecond", () => {
    const nano = (nanos: number): LogEvent => ({ ...log("x"), nanos: { timestamp: nanos } });
    const sent = [nano(1), nano(2), nano(3)];
    assert.deepEqual(
      toldOf([2], () => sent),
      sent,
    );
  });

  it("output that the daemon cut off ends with the notice of it", () => {
    const sent = [log("a", 1), log("[output clipped]", 1), log("b", 2)];
    for (let end = 0; end <= sent.length; end++)
      assert.deepEqual(
        toldOf([end], () => sent),
        sent,
      );
  });
});
