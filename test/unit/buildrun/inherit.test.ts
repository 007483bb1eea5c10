// What a split run tells of its parts: attempts, caches, timings, warnings, base images; and that all of it fits.

import assert from "node:assert/strict";
import fc from "fast-check";
import type { SolveFailure } from "../../../src/agent/agent.ts";
import { parseBuildRun } from "../../../src/api/parse.ts";
import { BuildRunStatus } from "../../../src/api/v1alpha1/index.ts";
import type { PartView } from "../../../src/buildrun/parts/decide-parts.ts";
import { inherited } from "../../../src/buildrun/parts/inherit.ts";
import { partRun, partsOf } from "../../../src/buildrun/parts/split.ts";
import { maxStatusBytes } from "../../../src/buildrun/status/bound.ts";
import { nextStatus } from "../../../src/buildrun/status/status.ts";
import { aRun, at, builderRef } from "./fixture.ts";

describe("what a split run tells of its parts", () => {
  const run = aRun({
    spec: {
      platforms: ["linux/amd64", "linux/arm64"],
      outputs: [{ image: { tags: ["registry.example/web:1"] } }],
    },
    status: { startTime: at(1).toISOString() },
  });
  const views = (...statuses: readonly Record<string, unknown>[]): PartView[] =>
    partsOf(
      run,
      statuses.map((_, index) => [`linux/arm/v${index}`]),
    ).map((part, index) => {
      const status = {
        phase: "Succeeded",
        completionTime: at(9).toISOString(),
        ...statuses[index],
      };
      return { ...part, found: parseBuildRun({ ...partRun(run, part, builderRef), status }) };
    });
  const anAttempt = (number: number, begin: number, more = {}) => ({
    number,
    ref: `u-${begin}`,
    builder: { kind: "Builder", name: "b" },
    instance: "i",
    startedAt: at(begin).toISOString(),
    ...more,
  });

  it("is every attempt in order, each with its part", () => {
    const failed = { outcome: "Failed", reason: "RegistryUnavailable", message: "It failed." };
    const parts = views(
      { attempts: [anAttempt(1, 1, failed), anAttempt(2, 5)] },
      { attempts: [anAttempt(1, 3)] },
    );
    const told = inherited(parts);
    assert.deepEqual(
      told.attempts?.map(({ number, ref, part }) => [number, ref, part]),
      [
        [1, "u-1", parts[0]?.run],
        [2, "u-3", parts[1]?.run],
        [3, "u-5", parts[0]?.run],
      ],
    );
    assert.equal(told.attempts?.[0]?.message, "linux/arm/v0: It failed.");
  });

  it("is the caches of all with their failures first, and the condition that goes with them", () => {
    const ok = { type: "registry", ref: "a:1", ok: true };
    const bad = { type: "registry", ref: "b:1", ok: false, message: "no" };
    const parts = views(
      { cache: { steps: 3, cached: 1, imports: [ok], exports: [ok] } },
      { cache: { steps: 4, cached: 2, imports: [{ ...ok, ok: false }], exports: [bad] } },
    );
    const told = inherited(parts);
    assert.deepEqual(told.cache, {
      steps: 7,
      cached: 3,
      imports: [{ ...ok, ok: false }],
      exports: [bad, ok],
    });
    const status = nextStatus(run, { kind: "ended", result: "Succeeded", told }, at(10));
    const condition = status?.conditions?.find(({ type }) => type === "CacheExported");
    assert.deepEqual([condition?.status, condition?.reason], ["False", "ExportFailed"]);
    assert.match(condition?.message ?? "", /b:1: no/);
  });

  it("is the longest of each stage, every warning once and every base image", () => {
    const item = (message: string) => ({ rule: "R", message, line: 1 });
    const image = (ref: string) => ({ ref, digest: "sha256:a" });
    const told = inherited(
      views(
        {
          timings: { buildMs: 10, pushMs: 7, queueMs: 99, totalMs: 99 },
          warnings: { total: 2, items: [item("a"), item("b")] },
          baseImages: [image("x"), image("y")],
        },
        {
          timings: { buildMs: 30, contextMs: 1 },
          warnings: { total: 2, items: [item("b"), item("c")] },
          baseImages: [image("y")],
        },
      ),
    );
    assert.deepEqual(told.timings, { contextMs: 1, buildMs: 30, pushMs: 7 });
    assert.equal(told.warnings?.total, 3);
    assert.deepEqual(
      told.warnings.items.map(({ message }) => message),
      ["a", "b", "c"],
    );
    assert.deepEqual(
      told.baseImages?.map(({ ref }) => ref),
      ["x", "y"],
    );
    const parts = { run: "p", platforms: [] };
    const split = { ...run, status: { ...run.status, parts: [parts] } };
    const status = nextStatus(split, { kind: "ended", result: "Succeeded", told }, at(40));
    assert.equal(status?.timings?.buildMs, 30);
    assert.ok((status.timings.totalMs ?? 0) > 0, "of the run itself");
  });

  it("is under 32 KB and fits the schema, whatever there is of each", () => {
    const text = (max: number) => fc.string({ maxLength: max, unit: "grapheme" });
    const list = <T>(of: fc.Arbitrary<T>, max: number) =>
      fc.array(of, { maxLength: max, size: "max" });
    const word = fc.string({ minLength: 1, maxLength: 200 });
    const entry = fc.record({
      type: fc.constant("s3"),
      ref: text(500),
      ok: fc.boolean(),
      message: text(2000),
    });
    const status = fc.record({
      attempts: list(fc.record({ instance: word, message: text(900) }), 12).map((all) =>
        all.map((more, index) => anAttempt(index + 1, index, { outcome: "Failed", ...more })),
      ),
      warnings: fc.record({ total: fc.nat(), items: list(fc.record({ message: text(900) }), 20) }),
      baseImages: list(fc.record({ ref: text(500), digest: fc.constant("sha256:a") }), 32),
      cache: fc.record({ imports: list(entry, 16), exports: list(entry, 16) }),
      failure: fc.record({
        class: fc.constant("User"),
        reason: fc.constant("StepFailed"),
        message: text(4000),
        logTail: list(text(900), 60),
      }),
    });
    fc.assert(
      fc.property(fc.array(status, { minLength: 1, maxLength: 16 }), (statuses) => {
        const told = inherited(views(...statuses));
        const failure = { ...statuses[0]?.failure, retryable: false, logTail: [] } as SolveFailure;
        const next = nextStatus(run, { kind: "ended", result: "Failed", failure, told }, at(40));
        assert.ok(next !== undefined);
        const bytes = Buffer.byteLength(JSON.stringify(next));
        assert.ok(bytes <= maxStatusBytes, `${bytes} bytes`);
        const parsed = BuildRunStatus.safeParse(next);
        assert.ok(parsed.success, parsed.error?.message);
        assert.equal(next.parts?.length, statuses.length);
      }),
      { numRuns: 40 },
    );
  });
});
