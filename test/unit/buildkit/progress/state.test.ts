// The fold over a build's events: steps, groups, times, counts, and output that is kept within bounds.

import assert from "node:assert/strict";
import fc from "fast-check";
import type { SolveEvent, VertexEvent } from "../../../../src/buildkit/progress/events.ts";
import { mergeIntervals, secondsOf } from "../../../../src/buildkit/progress/intervals.ts";
import { appendChunk, noOutput } from "../../../../src/buildkit/progress/log-tail.ts";
import {
  advance,
  countSteps,
  isCanceled,
  isCompleted,
  noProgress,
  stepOf,
  type ProgressState,
} from "../../../../src/buildkit/progress/state.ts";
import { batchesOf } from "./recordings.ts";

function vertex(digest: string, rest: Partial<VertexEvent> = {}): VertexEvent {
  return { kind: "vertex", digest, name: digest, inputs: [], cached: false, ...rest };
}

const ran = (started: number, completed?: number): Partial<VertexEvent> => ({
  started: new Date(started),
  ...(completed === undefined ? {} : { completed: new Date(completed) }),
});

const after = (...events: SolveEvent[]): ProgressState => advance(noProgress, events, 0);

function log(text: string | Uint8Array, time = 0): SolveEvent {
  const data = typeof text === "string" ? Buffer.from(text) : text;
  return { kind: "log", vertex: "v", stream: 1, data, timestamp: new Date(time) };
}

describe("the progress of a build", () => {
  it("has steps in the order in which they began", () => {
    const state = after(vertex("b"), vertex("a", ran(1)), vertex("b", ran(2)));
    assert.deepEqual(state.shown, ["a", "b"]);
    assert.deepEqual([...state.steps.keys()], ["b", "a"]);
  });

  it("counts steps that have not begun, and keeps canceled ones apart from failed ones", () => {
    const state = after(
      vertex("waiting"),
      vertex("cached", { ...ran(1, 1), cached: true }),
      vertex("failed", { ...ran(1, 2), error: "exit code: 1" }),
      vertex("stopped", { ...ran(1, 2), error: "rpc error: context canceled" }),
      { kind: "warning", vertex: "cached", level: 1, short: "s", detail: [] },
    );
    assert.deepEqual(countSteps(state), {
      ...{ total: 4, completed: 3, cached: 1, failed: 1, warnings: 1 },
    });
    const stopped = stepOf(state, "stopped");
    assert.ok(stopped !== undefined && isCanceled(stopped));
  });

  it("does not let a late first record take a start back", () => {
    const step = stepOf(after(vertex("a", ran(1, 2)), vertex("a")), "a");
    assert.ok(step !== undefined && isCompleted(step));
  });

  it("adds up the runs of a step that started again", () => {
    const step = stepOf(after(vertex("a", ran(0, 1000)), vertex("a", ran(5000, 7000))), "a");
    assert.equal(secondsOf(step?.intervals ?? [], 0n), 3);
  });

  it("shows a group as one step, and a weak one when something else reveals it", () => {
    const weak = { id: "g", name: "group", weak: true };
    const strong = { ...weak, weak: false };
    const hidden = after(vertex("a", { ...ran(1, 2), group: weak }));
    assert.deepEqual([hidden.shown, countSteps(hidden).total], [[], 0]);
    const shown = advance(hidden, [vertex("b", { ...ran(3, 4), group: strong })], 0);
    assert.deepEqual([shown.shown, countSteps(shown).total], [["g"], 1]);
    assert.equal(stepOf(shown, "a")?.id, "g");
  });

  it("is the same for events one by one and in batches", () => {
    for (const name of ["steps", "groups", "parallel"]) {
      const batches = batchesOf(name);
      const whole = advance(noProgress, batches.flat(), 0);
      const single = batches
        .flat()
        .reduce((state, event) => advance(state, [event], 0), noProgress);
      assert.deepEqual(single, whole);
    }
  });

  it("changes nothing of the state before", () => {
    const before = after(vertex("v", ran(0)), log("one\n"));
    const copy = structuredClone(before);
    advance(before, [log("two\n"), vertex("v", ran(0, 9)), vertex("w", ran(2))], 0);
    assert.deepEqual(before, copy);
  });

  it("stays small whatever is printed", () => {
    let state = after(vertex("v", ran(0)));
    for (let chunk = 0; chunk < 3_000; chunk++)
      state = advance(state, [log(`${"x".repeat(chunk % 7 === 0 ? 5_000 : 20)}\n`)], 0);
    for (let chunk = 0; chunk < 100; chunk++) state = advance(state, [log("y".repeat(50_000))], 0);
    const { lines, dropped } = stepOf(state, "v")?.output ?? noOutput;
    assert.ok(lines.reduce((sum, { text }) => sum + text.length, 0) <= 64 * 1024);
    assert.ok(lines.length <= 1_000 && dropped > 2_000);
  });

  it("lets go of most output of a step that ended well", () => {
    const lines = Array.from({ length: 100 }, (_, index) => log(`${index}\n`));
    const running = after(vertex("v", ran(0)), ...lines);
    assert.equal(stepOf(running, "v")?.output.lines.length, 100);
    const done = advance(running, [vertex("v", ran(0, 1))], 0);
    assert.equal(stepOf(done, "v")?.output.lines.length, 10);
    const failed = advance(running, [vertex("v", { ...ran(0, 1), error: "x" })], 0);
    assert.equal(stepOf(failed, "v")?.output.lines.length, 100);
  });
});

describe("the output of a step", () => {
  const limits = { lines: 1_000, characters: 100_000 };

  it("is the same text wherever its chunks end", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        fc.constantFrom("é€😀\n", "a\r\nb", ""),
        fc.array(fc.nat(90), { maxLength: 10 }),
        (noise, text, cuts) => {
          const bytes = Buffer.concat([Buffer.from(text), noise, Buffer.from("\né\n")]);
          let tail = noOutput;
          const ends = [...cuts, bytes.length].sort((a, b) => a - b);
          for (const [index, end] of ends.entries()) {
            const data = bytes.subarray(ends[index - 1] ?? 0, end);
            tail = appendChunk(tail, { stream: 1, data, seconds: 0 }, limits);
          }
          const lines = bytes.toString("utf8").split("\n").slice(0, -1);
          assert.deepEqual(
            tail.lines.map((line) => line.text),
            lines,
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  it("keeps characters of stdout and stderr apart that are cut at the same time", () => {
    const [first, second] = [Buffer.from("é").subarray(0, 1), Buffer.from("é").subarray(1)];
    let tail = noOutput;
    for (const data of [first, second])
      for (const stream of [1, 2] as const)
        tail = appendChunk(tail, { stream, data, seconds: 0 }, limits);
    assert.equal(tail.lines[0]?.text, "éé");
  });
});

describe("spans of time", () => {
  it("are joined where they touch, and cover the same time", () => {
    const span = fc.tuple(fc.nat(20), fc.nat(5)).map(([start, length]) => ({
      start: BigInt(start),
      stop: BigInt(start + length),
    }));
    fc.assert(
      fc.property(fc.array(span, { maxLength: 8 }), (spans) => {
        const merged = mergeIntervals(spans);
        for (const [index, { start }] of merged.entries())
          assert.ok(index === 0 || start > (merged[index - 1]?.stop ?? 0n));
        const covered = (all: readonly { start: bigint; stop?: bigint }[]) => (at: bigint) =>
          all.some(({ start, stop = 99n }) => start <= at && at <= stop);
        for (let at = 0n; at < 30n; at++)
          assert.equal(covered(merged)(at), covered(spans)(at), `at ${at}`);
      }),
    );
  });

  it("go on without an end when one of them does", () => {
    assert.deepEqual(mergeIntervals([{ start: 5n, stop: 6n }, { start: 1n }]), [{ start: 1n }]);
  });
});
