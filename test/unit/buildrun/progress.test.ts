// Progress as a fold: what it counts, and that neither order nor repetition of events matters.

import assert from "node:assert/strict";
import fc from "fast-check";
import type { SolveEvent } from "../../../src/buildkit/progress/events.ts";
import {
  counts,
  exportResults,
  fold,
  importResults,
  noProgress,
  pushMs,
  stageMs,
  stageOf,
} from "../../../src/buildrun/status/progress.ts";

type Vertex = Extract<SolveEvent, { kind: "vertex" }>;

function vertex(digest: string, name: string, over: Partial<Vertex> = {}): Vertex {
  return { kind: "vertex", digest, name, inputs: [], cached: false, ...over };
}

const time = (ms: number): Date => new Date(1_700_000_000_000 + ms);
const folded = (events: readonly SolveEvent[]) => events.reduce(fold, noProgress);

const build: readonly SolveEvent[] = [
  vertex("a", "[internal] load build definition", { started: time(0), completed: time(5) }),
  vertex("b", "[1/3] FROM docker.io/library/debian:bookworm-slim", {
    cached: true,
    started: time(5),
    completed: time(5),
  }),
  vertex("c", "[2/3] RUN make", { started: time(10) }),
  vertex("d", "[3/3] COPY . .", {}),
  vertex("e", "importing cache manifest from registry.example/a:cache", {
    started: time(1),
    completed: time(2),
    error: "not found",
  }),
];

describe("progress", () => {
  it("counts the steps that a person would, and names the one that runs", () => {
    assert.deepEqual(counts(folded(build)), {
      total: 3,
      completed: 1,
      cached: 1,
      current: "[2/3] RUN make",
    });
  });

  it("takes a step for done when any record says so", () => {
    const done = folded([
      ...build,
      vertex("c", "[2/3] RUN make", { started: time(10), completed: time(90) }),
    ]);
    assert.deepEqual(counts(done), { total: 3, completed: 2, cached: 1 });
  });

  it("ends the same in any order and with any repetition", () => {
    const some = fc.array(
      fc.record({
        digest: fc.constantFrom("a", "b", "c"),
        cached: fc.boolean(),
        started: fc.option(fc.integer({ min: 0, max: 99 }), { nil: undefined }),
        completed: fc.option(fc.integer({ min: 0, max: 99 }), { nil: undefined }),
        error: fc.constantFrom(undefined, "x", "yy", "zz"),
      }),
      { maxLength: 12 },
    );
    const toEvent = ({
      digest,
      cached,
      started,
      completed,
      error,
    }: {
      digest: string;
      cached: boolean;
      started: number | undefined;
      completed: number | undefined;
      error: string | undefined;
    }): SolveEvent =>
      vertex(digest, `step ${digest}`, {
        cached,
        ...(started !== undefined && { started: time(started) }),
        ...(completed !== undefined && { completed: time(completed) }),
        ...(error !== undefined && { error }),
      });
    fc.assert(
      fc.property(some, fc.infiniteStream(fc.nat()), (records, picks) => {
        const events = records.map(toEvent);
        const shuffled = [...events, ...events].map((event) => ({
          event,
          at: picks.next().value as number,
        }));
        shuffled.sort((a, b) => a.at - b.at);
        const one = folded(events).vertices;
        const other = folded(shuffled.map(({ event }) => event)).vertices;
        assert.deepEqual(other, one);
      }),
      { numRuns: 200 },
    );
  });

  it("reports what became of cache imports and exports", () => {
    const progress = folded([
      ...build,
      vertex("f", "exporting cache to registry", { started: time(1), completed: time(2) }),
    ]);
    assert.deepEqual(importResults(progress), [
      { name: "registry.example/a:cache", ok: false, message: "not found" },
    ]);
    assert.deepEqual(
      exportResults(progress, ["exporting cache to registry"]).map(({ ok }) => ok),
      [true],
    );
  });

  it("gives a stage the wall time in which any of its steps ran", () => {
    const progress = folded([
      vertex("a", "[1/2] RUN a", { started: time(0), completed: time(100) }),
      vertex("b", "[1/2] RUN b", { started: time(50), completed: time(150) }),
      vertex("c", "[2/2] RUN c", { started: time(200), completed: time(210) }),
    ]);
    assert.equal(stageMs(progress, "build"), 160);
    assert.equal(stageMs(progress, "export"), undefined);
  });

  it("keeps each warning once, with the rule that its text begins with", () => {
    const warning = (short: string, line: number) =>
      ({
        kind: "warning",
        vertex: "a",
        level: 1,
        short,
        detail: [],
        url: "https://docs.example/rule",
        source: { path: "Dockerfile", line, endLine: line },
      }) as const;
    const casing = warning(
      "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 3)",
      3,
    );
    const { warnings } = folded([casing, warning("something else", 4), casing]);
    const place = { file: "Dockerfile", url: "https://docs.example/rule" };
    assert.deepEqual(
      [...warnings.values()],
      [
        {
          ...place,
          rule: "FromAsCasing",
          message: "'as' and 'FROM' keywords' casing do not match",
          line: 3,
        },
        { ...place, message: "something else", line: 4 },
      ],
    );
  });

  it("tells how long pushing took, apart from the export", () => {
    const part = (id: string, from: number, to: number): SolveEvent => ({
      kind: "progress",
      vertex: "e",
      id,
      name: "",
      current: 0,
      total: 0,
      started: time(from),
      completed: time(to),
    });
    const progress = folded([
      vertex("e", "exporting to image", { started: time(0), completed: time(100) }),
      part("exporting layers", 0, 40),
      part("pushing layers", 40, 80),
      part("pushing manifest for registry.example/a:1", 70, 100),
    ]);
    assert.deepEqual([stageMs(progress, "export"), pushMs(progress)], [100, 60]);
  });

  const stages: readonly (readonly [string, ReturnType<typeof stageOf>])[] = [
    ["[internal] load build context", "context"],
    ["[context] load git source https://git.example/a.git#main", "context"],
    ["[internal] load git source https://git.example/a.git", "context"],
    ["[internal] load remote build context", "context"],
    ["exporting to image", "export"],
    ["exporting cache to registry", "cacheExport"],
    ["pushing layers", "export"],
    ["[builder 2/4] RUN exporting", "build"],
    ["[2/2] COPY context .", "build"],
  ];
  for (const [name, stage] of stages)
    it(`takes "${name}" for ${stage}`, () => assert.equal(stageOf(name), stage));
});
