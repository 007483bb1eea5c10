// The status after each change, and what holds for every status: terminal never changes, always under 32 KB.

import assert from "node:assert/strict";
import fc from "fast-check";
import { BuildRunStatus, type BuildRun } from "../../../src/api/v1alpha1/index.ts";
import type { SolveFacts, SolveFailure } from "../../../src/agent/agent.ts";
import { findCondition } from "../../../src/api/condition.ts";
import { accepted, bounded, maxStatusBytes } from "../../../src/buildrun/status/bound.ts";
import { type Change, nextStatus, progressDueMs } from "../../../src/buildrun/status/status.ts";
import { fold, noProgress } from "../../../src/buildrun/status/progress.ts";
import { aFailure, aRun, aRunningRun, at, builderRef, succeeded, uid } from "./fixture.ts";

const ref = `${uid}-1`;
const waiting: Change = {
  kind: "waiting",
  why: {
    phase: "Queued",
    reason: "NotNext",
    message: "2 older runs are to start first.",
    stalled: false,
    ahead: 2,
  },
  builder: builderRef,
};
const stalled: Change = {
  kind: "waiting",
  why: {
    phase: "Pending",
    reason: "BuilderNotFound",
    message: "There is no Builder.",
    stalled: true,
  },
};
const claimed: Change = {
  kind: "claimed",
  number: 1,
  ref,
  builder: builderRef,
  instance: "default-0",
};
const retrying: Change = {
  kind: "retrying",
  attempt: { ref, outcome: "Lost" },
  failure: aFailure({ class: "Infra", reason: "AttemptLost", message: "The attempt was lost." }),
};
const succeededChange: Change = {
  kind: "ended",
  result: "Succeeded",
  attempt: { ref, outcome: "Succeeded" },
  outcome: succeeded(),
  progress: noProgress,
};
const failedChange: Change = {
  kind: "ended",
  result: "Failed",
  attempt: { ref, outcome: "Failed" },
  failure: aFailure({
    exitCode: 7,
    step: "[2/2] RUN false",
    dockerfile: { path: "Dockerfile", line: 2 },
  }),
};
const cancelledChange: Change = {
  kind: "ended",
  result: "Cancelled",
  failure: aFailure({ reason: "Cancelled" }),
};
const changes = [
  waiting,
  stalled,
  claimed,
  retrying,
  succeededChange,
  failedChange,
  cancelledChange,
];

/** The run with the change written, or unchanged. */
function after(run: BuildRun, change: Change, seconds = 5): BuildRun {
  const status = nextStatus(run, change, at(seconds));
  return status === undefined ? run : { ...run, status };
}

function flags(run: BuildRun): Record<string, string> {
  return Object.fromEntries(
    (run.status?.conditions ?? []).map(({ type, status, reason }) => [type, `${status} ${reason}`]),
  );
}

const digestOf = (letter: string): string => `sha256:${letter.repeat(64)}`;
const output = { outputs: [{ image: { tags: ["registry.example/web:1"] } }] };

describe("the status of a run", () => {
  const conditions: readonly (readonly [string, Change, Record<string, string>, string])[] = [
    ["queued", waiting, { Succeeded: "Unknown Queued", Reconciling: "True NotNext" }, "Queued"],
    [
      "stalled",
      stalled,
      { Succeeded: "Unknown Pending", Stalled: "True BuilderNotFound" },
      "Pending",
    ],
    ["running", claimed, { Succeeded: "Unknown Running", Reconciling: "True Running" }, "Running"],
    ["repeated", retrying, { Succeeded: "Unknown Queued", Reconciling: "True Retrying" }, "Queued"],
    ["succeeded", succeededChange, { Succeeded: "True Succeeded" }, "Succeeded"],
    [
      "failed",
      failedChange,
      { Succeeded: "False StepFailed", Stalled: "True StepFailed" },
      "Failed",
    ],
    [
      "cancelled",
      cancelledChange,
      { Succeeded: "False Cancelled", Stalled: "True Cancelled" },
      "Cancelled",
    ],
  ];
  for (const [name, change, expected, phase] of conditions)
    it(`tells kubectl wait and kstatus that a run is ${name}`, () => {
      const run = after(aRunningRun(), change);
      assert.deepEqual(flags(run), expected);
      assert.equal(run.status?.phase, phase);
      assert.equal(run.status?.observedGeneration, 1);
    });

  it("says how many runs are in front, and stops saying so", () => {
    const queued = after(aRun(), waiting);
    assert.deepEqual(queued.status?.queue, {
      position: 2,
      reason: "NotNext",
      message: "2 older runs are to start first.",
      since: at(5).toISOString(),
    });
    assert.equal(after(queued, claimed).status?.queue, undefined);
  });

  it("adds up how long it waited for the builder to start, whatever came between", () => {
    const why = { phase: "Pending", reason: "BuilderNotReady", message: "no pods", stalled: false };
    const starting = { kind: "waiting", why } as Change;
    const first = after(after(aRun(), starting, 5), starting, 9);
    assert.equal(first.status?.timings, undefined);
    const between = after(first, waiting, 15);
    assert.equal(between.status?.timings?.builderStartMs, 10_000);
    const again = after(after(between, starting, 20), claimed, 23);
    assert.equal(again.status?.timings?.builderStartMs, 13_000);
    const ended = after(again, succeededChange, 30);
    assert.equal(ended.status?.timings?.builderStartMs, 13_000);
  });

  it("writes an attempt down before it starts, and keeps the first start", () => {
    const first = after(aRun(), claimed, 5);
    assert.partialDeepStrictEqual(first.status?.attempts, [
      { number: 1, ref, instance: "default-0", startedAt: at(5).toISOString() },
    ]);
    const second = after(
      after(first, retrying, 8),
      { ...claimed, number: 2, ref: `${uid}-2` } as Change,
      9,
    );
    assert.equal(second.status?.startTime, at(5).toISOString());
    assert.deepEqual(
      second.status?.attempts?.map(({ number, outcome }) => [number, outcome]),
      [
        [1, "Lost"],
        [2, undefined],
      ],
    );
  });

  it("says what was pushed", () => {
    const run = after(aRunningRun({ spec: output }), succeededChange);
    assert.partialDeepStrictEqual(run.status?.outputs, [
      { image: { tags: ["registry.example/web:1"], digest: `sha256:${"a".repeat(64)}` } },
    ]);
    assert.match(
      findCondition(run.status?.conditions, "Succeeded")?.message ?? "",
      /^Pushed registry.example\/web:1@sha256:a{64}\.$/,
    );
  });

  it("writes progress at most every five seconds, and only when it moved", () => {
    const vertex = (digest: string) =>
      ({ kind: "vertex", digest, name: "[1/1] RUN x", inputs: [], cached: false }) as const;
    const one = fold(noProgress, vertex("a"));
    const two = fold(one, vertex("b"));
    const run = after(aRunningRun(), { kind: "running", progress: one }, 5);
    assert.equal(run.status?.progress?.total, 1);
    assert.equal(nextStatus(run, { kind: "running", progress: two }, at(9)), undefined);
    assert.equal(progressDueMs(run, two, at(9)), 1_000, "what came too soon is written later");
    assert.equal(progressDueMs(run, one, at(9)), undefined);
    assert.equal(nextStatus(run, { kind: "running", progress: one }, at(60)), undefined);
    assert.equal(nextStatus(run, { kind: "running", progress: two }, at(10))?.progress?.total, 2);
  });

  it("writes nothing when nothing changed", () => {
    for (const change of [waiting, stalled]) {
      const run = after(aRun(), change, 5);
      assert.equal(nextStatus(run, change, at(50)), undefined);
    }
  });

  it("never changes once the run ended", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(succeededChange, failedChange, cancelledChange),
        fc.array(fc.constantFrom(...changes), { maxLength: 6 }),
        (end, later) => {
          const ended = after(aRunningRun(), end);
          for (const change of later) assert.equal(nextStatus(ended, change, at(99)), undefined);
        },
      ),
    );
  });

  it("fits the schema after every change", () => {
    for (const change of changes) {
      const result = BuildRunStatus.safeParse(after(aRunningRun({ spec: output }), change).status);
      assert.ok(result.success, `${change.kind}: ${result.error?.message}`);
    }
  });
});

describe("the size of a status", () => {
  const text = (max: number) => fc.string({ maxLength: max, unit: "binary" });
  const big: fc.Arbitrary<SolveFailure> = fc.record({
    class: fc.constantFrom("User", "Registry"),
    reason: fc.constant("StepFailed"),
    message: text(8000),
    retryable: fc.boolean(),
    step: text(3000),
    dockerfile: fc.record({ path: text(3000), line: fc.nat() }),
    logTail: fc.array(text(3000), { maxLength: 60 }),
  });

  it("stays under 32 KB whatever a build prints, and fits the schema", () => {
    fc.assert(
      fc.property(big, fc.array(text(400), { maxLength: 60 }), (failure, refs) => {
        const attempts = refs.slice(0, 15).map((message, index) => ({
          number: index + 1,
          ref: `${uid}-${index}`,
          instance: "i",
          message,
          outcome: "Failed",
          builder: { kind: "Builder", name: "b" },
          startedAt: at(1).toISOString(),
          finishedAt: at(2).toISOString(),
        }));
        const run = aRunningRun({ status: { attempts } });
        const status = nextStatus(
          run,
          { kind: "ended", result: "Failed", failure, notes: { hints: refs, resolveMs: 1 } },
          at(9),
        );
        assert.ok(status !== undefined);
        assert.ok(Buffer.byteLength(JSON.stringify(status)) <= maxStatusBytes);
        const parsed = BuildRunStatus.safeParse(status);
        assert.ok(parsed.success, parsed.error?.message);
        assert.equal(status.failure?.reason, "StepFailed");
      }),
      { numRuns: 100 },
    );
  });

  it("stays under 32 KB whatever a solve made, used, warned of and answered", () => {
    const hex = fc.constant(digestOf("c"));
    const some = <T>(of: fc.Arbitrary<T>, maxLength: number) => fc.array(of, { maxLength });
    const facts: fc.Arbitrary<SolveFacts> = fc.record({
      images: some(
        fc.record({
          digest: hex,
          platforms: some(fc.record({ platform: text(64), digest: hex }), 40),
          attestations: some(fc.record({ predicateType: text(256), digest: hex }), 60),
          readBack: some(fc.record({ tag: text(400), message: text(4000) }), 32),
        }),
        8,
      ),
      baseImages: some(fc.record({ ref: text(500), digest: hex }), 80),
      git: fc.record({ url: text(2000), commit: text(64), author: text(4000) }),
      call: fc.record({
        request: text(128),
        version: text(300),
        statusCode: fc.nat({ max: 99 }),
        cut: fc.boolean(),
        result: text(16_000),
        text: text(16_000),
        lint: fc.record({
          warnings: some(
            fc.record({ message: text(3000), file: text(3000), url: text(3000) }),
            100,
          ),
        }),
      }),
    });
    const spec = { outputs: Array.from({ length: 8 }, () => output.outputs[0]) as never };
    fc.assert(
      fc.property(facts, (found) => {
        const outcome = { kind: "succeeded", facts: found, finishedAt: "" } as const;
        const change: Change = { ...succeededChange, outcome } as Change;
        const status = nextStatus(aRunningRun({ spec }), change, at(9));
        assert.ok(status !== undefined);
        const bytes = Buffer.byteLength(JSON.stringify(status));
        assert.ok(bytes <= maxStatusBytes, `${bytes} bytes`);
        const parsed = BuildRunStatus.safeParse(status);
        assert.ok(parsed.success, parsed.error?.message);
        assert.equal(
          status.outputs?.length ?? 0,
          found.images.length === 1 ? 8 : found.images.length,
        );
        if (status.call?.result === undefined) assert.equal(status.call?.history, ref);
      }),
      { numRuns: 60 },
    );
  });

  it("stays under 32 KB with the widest characters everywhere", () => {
    const wide = "\u4e16".repeat(4000);
    const attempts = Array.from({ length: 15 }, (_, index) => ({
      number: index + 1,
      ref: `${uid}-${index + 1}`,
      builder: { kind: "Builder", name: "b" },
      instance: "i",
      startedAt: at(1).toISOString(),
      ...(index < 14 && {
        finishedAt: at(2).toISOString(),
        outcome: "Failed",
        message: wide.slice(0, 500),
      }),
    }));
    const failure = aFailure({
      message: wide,
      step: wide,
      logTail: Array.from({ length: 30 }, () => wide),
    });
    const change: Change = { kind: "ended", result: "Failed", failure };
    const status = nextStatus(aRunningRun({ status: { attempts } }), change, at(9));
    assert.ok(status !== undefined);
    const bytes = Buffer.byteLength(JSON.stringify(status));
    assert.ok(bytes <= maxStatusBytes, `${bytes} bytes`);
    assert.equal(status.attempts?.length, 15);
    assert.ok((status.failure?.logTail?.length ?? 0) > 0);
  });

  it("gives up details before it gives up the digest and the reason", () => {
    const digest = `sha256:${"b".repeat(64)}`;
    const wide = "x".repeat(500);
    const status = bounded({
      phase: "Succeeded",
      conditions: [],
      baseImages: Array.from({ length: 60 }, () => ({ ref: wide, digest })),
      outputs: Array.from({ length: 8 }, () => ({
        image: { tags: Array.from({ length: 32 }, () => wide), digest, platforms: [] },
      })),
    });
    assert.ok(Buffer.byteLength(JSON.stringify(status)) <= maxStatusBytes);
    assert.ok(status.outputs?.every(({ image }) => image?.digest === digest));
  });

  it("gives up a detail that the schema refuses, and keeps the rest", () => {
    const digest = `sha256:${"b".repeat(64)}`;
    const outputs = [{ image: { tags: ["a"], digest } }];
    const cache = { steps: 1, exports: [{ ok: true, digest: "x".repeat(500) }] };
    assert.deepEqual(accepted({ phase: "Succeeded", outputs, cache }), {
      phase: "Succeeded",
      outputs,
      cache: { steps: 1 },
    });
    const timings = { buildMs: Number.NaN, totalMs: 5 };
    assert.deepEqual(accepted({ outputs, timings }), { outputs, timings: { totalMs: 5 } });
    assert.deepEqual(accepted({ outputs, progress: { total: 1 } as never }), { outputs });
  });

  it("holds no escape sequence, control character or direction override", () => {
    const nasty = "\u001b[31mred\u001b[0m \u001b]8;;http://x\u0007link \u202eevil\u0000\r\nnext";
    const status = nextStatus(
      aRunningRun(),
      { kind: "ended", result: "Failed", failure: aFailure({ message: nasty, logTail: [nasty] }) },
      at(9),
    );
    assert.equal(status?.failure?.message, "red link evil\nnext");
    assert.deepEqual(status?.failure?.logTail, ["red link evil\nnext"]);
  });
});
