// Every decision about a Bake, from worlds as they are.

import assert from "node:assert/strict";
import type { BakeSpecInput, BakeStatus, BuildRun } from "../../../src/api/v1alpha1/index.ts";
import { readBakeFile } from "../../../src/bake/file/document.ts";
import { type BakePlan, ownFile, planBake } from "../../../src/bake/plan/plan.ts";
import { decide } from "../../../src/bake/reconcile/decide.ts";
import { type Change, nextStatus } from "../../../src/bake/reconcile/status.ts";
import type { BakeWorld } from "../../../src/bake/reconcile/world.ts";
import { KilnError } from "../../../src/errors/index.ts";
import { aRun } from "../buildrun/fixture.ts";
import { aBake, created } from "./fixture.ts";

const inline = { "dockerfile-inline": "FROM scratch\n" };
const file = { target: { a: inline, b: inline } };
const base: Partial<BakeSpecInput> = { file: { inline: file }, targets: ["a", "b"] };
const plan: BakePlan = planBake(aBake({ spec: base }), readBakeFile(file));

const notFound = new KilnError({ class: "User", reason: "ConfigMapNotFound", message: "No." });

/** A run in this phase; terminal ones have ended. */
function inPhase(phase: string, reason = "StepFailed"): BuildRun {
  const isOver = ["Succeeded", "Failed", "Cancelled"].includes(phase);
  const failure = { class: "User", reason, message: "It failed.", logTail: [] };
  return aRun({
    status: {
      phase,
      ...(isOver ? { completionTime: created.toISOString() } : {}),
      ...(phase === "Failed" ? { failure } : {}),
    },
  });
}

interface Parts {
  readonly spec?: Partial<BakeSpecInput>;
  readonly status?: BakeStatus;
  readonly runs?: Readonly<Record<string, BuildRun>>;
  readonly metadata?: Record<string, unknown>;
  readonly plan?: BakePlan | KilnError;
  readonly seconds?: number;
}

function aWorld(parts: Parts): BakeWorld {
  const { spec, status, runs = {}, metadata, seconds = 5 } = parts;
  return {
    bake: aBake({
      spec: { ...base, ...spec },
      ...(status && { status }),
      ...(metadata && { metadata }),
    }),
    now: new Date(created.getTime() + seconds * 1000),
    runs: new Map(Object.entries(runs)),
    missingGraceMs: 10_000,
    ...(parts.plan && { plan: parts.plan }),
  };
}

const planned: BakeStatus = {
  phase: "Running",
  fileDigest: plan.digest,
  targets: plan.targets.map(({ name, run }) => ({ name, run })),
};
const seen: BakeStatus = {
  ...planned,
  targets: plan.targets.map(({ name, run }) => ({ name, run, phase: "Running" })),
};
const refused: BakeStatus = {
  ...planned,
  failure: { class: "User", reason: "BuildRunRefused", message: "No." },
};
const over: BakeStatus = { ...seen, completionTime: created.toISOString() };
const running = { a: inPhase("Running"), b: inPhase("Running") };
const cancelling = aRun({ spec: { cancel: true }, status: { phase: "Running" } });

/** A step as a word, with what of it is of interest. */
function told(world: BakeWorld): readonly unknown[] {
  const step = decide(world);
  if (step.kind === "end") return [step.ending.phase, step.ending.failure?.reason];
  if (step.kind === "spawn") return ["spawn", ...step.targets.map(({ name }) => name)];
  if (step.kind === "fail") return ["fail", step.failure.reason];
  if (step.kind === "halt") return ["halt", step.runs.length];
  if (step.kind === "expire") return ["expire", step.inMs];
  return [step.kind];
}

const table: readonly [what: string, parts: Parts, want: readonly unknown[]][] = [
  ["writes its targets down first", { plan }, ["plan"]],
  ["waits for a ConfigMap that may come", { plan: notFound }, ["wait"]],
  ["waits no longer than that", { plan: notFound, seconds: 11 }, ["Failed", "ConfigMapNotFound"]],
  ["is cancelled before it begins", { plan, spec: { cancel: true } }, ["Cancelled", "Cancelled"]],
  [
    "creates what is missing",
    { status: planned, plan, runs: { a: inPhase("Running") } },
    ["spawn", "b"],
  ],
  [
    "ends when the file is another one now",
    { status: { ...planned, fileDigest: "sha256:1" }, plan },
    ["fail", "BakeFileChanged"],
  ],
  [
    "ends when the file is gone now",
    { status: planned, plan: notFound },
    ["fail", "BakeFileChanged"],
  ],
  ["follows", { status: seen, runs: running }, ["follow"]],
  [
    "creates no run a second time",
    { status: seen, plan, runs: { a: inPhase("Running") } },
    ["halt", 1],
  ],
  [
    "ends when one was deleted",
    { status: seen, plan, runs: { a: inPhase("Succeeded") } },
    ["Failed", "BuildRunDeleted"],
  ],
  [
    "halts the others when one fails",
    { status: seen, runs: { ...running, a: inPhase("Failed") } },
    ["halt", 1],
  ],
  [
    "waits until they have ended",
    { status: seen, runs: { a: inPhase("Failed"), b: cancelling } },
    ["follow"],
  ],
  [
    "lets them go on without failFast",
    { spec: { failFast: false }, status: seen, runs: { ...running, a: inPhase("Failed") } },
    ["follow"],
  ],
  [
    "halts what was created when another is refused, whatever failFast says",
    { spec: { failFast: false }, status: refused, runs: { a: inPhase("Running") } },
    ["halt", 1],
  ],
  [
    "ends with what was refused when the others have",
    { status: refused, runs: { a: inPhase("Cancelled") } },
    ["Failed", "BuildRunRefused"],
  ],
  [
    "tells what failed by itself before what failed with it",
    {
      status: seen,
      runs: { a: inPhase("Failed", "BuildRunFailed"), b: inPhase("Failed", "StepFailed") },
    },
    ["Failed", "StepFailed"],
  ],
  [
    "tells what failed before what was cancelled for it",
    { status: seen, runs: { a: inPhase("Cancelled"), b: inPhase("Failed", "OutOfMemory") } },
    ["Failed", "OutOfMemory"],
  ],
  [
    "fails when somebody cancels one of its runs",
    { status: seen, runs: { a: inPhase("Cancelled"), b: inPhase("Succeeded") } },
    ["Failed", "Cancelled"],
  ],
  [
    "halts all when it is cancelled",
    { spec: { cancel: true }, status: seen, runs: running },
    ["halt", 2],
  ],
  [
    "is cancelled when all have ended",
    {
      spec: { cancel: true },
      status: seen,
      runs: { a: inPhase("Cancelled"), b: inPhase("Succeeded") },
    },
    ["Cancelled", "Cancelled"],
  ],
  [
    "succeeds with all of them",
    { status: seen, runs: { a: inPhase("Succeeded"), b: inPhase("Succeeded") } },
    ["Succeeded", undefined],
  ],
  ["rests when it is over", { status: over }, ["rest"]],
  ["expires in time", { spec: { ttlAfterFinished: "1m" }, status: over }, ["expire", 55_000]],
  [
    "is deleted when its time is over",
    { spec: { ttlAfterFinished: "1s" }, status: over },
    ["delete"],
  ],
  [
    "does nothing while it is deleted",
    { metadata: { deletionTimestamp: created.toISOString() }, status: seen, runs: running },
    ["rest"],
  ],
];

describe("a Bake", () => {
  for (const [what, parts, want] of table)
    it(what, () => assert.deepEqual(told(aWorld(parts)), want));

  it("finds the file that is written in it", () => {
    assert.deepEqual([...(ownFile(aBake({ spec: base }))?.targets.keys() ?? [])], ["a", "b"]);
  });
});

describe("the status of a Bake", () => {
  const status = (parts: Parts, change: Change): BakeStatus | undefined =>
    nextStatus(aWorld(parts), change);

  it("says nothing twice", () => {
    const first = status({ status: seen, runs: running }, { kind: "running" });
    assert.ok(first !== undefined);
    assert.equal(
      status({ status: first, runs: running, seconds: 99 }, { kind: "running" }),
      undefined,
    );
  });

  it("has what a file or a build says without what a terminal would obey", () => {
    const odd = "\u001B[2Jred \u{1F600}".padEnd(199, "x").concat("\u{1F600}");
    const spoken = inPhase("Failed");
    const failure = { class: "User", reason: "StepFailed", message: odd, logTail: [] };
    const a = { ...spoken, status: { ...spoken.status, failure } } as BuildRun;
    const follows = status({ status: seen, runs: { a } }, { kind: "running" });
    const message = follows?.targets?.[0]?.message ?? "";
    assert.match(message, /^red /);
    assert.ok(message.isWellFormed(), message);
    const refusal = new KilnError({ class: "User", reason: "BakeFileInvalid", message: odd });
    for (const parts of [
      { plan: refusal },
      { status: seen, runs: { a, b: inPhase("Succeeded") } },
    ]) {
      const step = decide(aWorld(parts));
      assert.ok(step.kind === "end");
      const ended = status({ status: seen }, { kind: "ended", ending: step.ending });
      assert.match(ended?.failure?.message ?? "", /^(target "a": )?red /);
    }
  });

  it("stays below 24 KB for 64 targets with long failures and references", () => {
    const long = inPhase("Failed");
    const failed = {
      ...long,
      status: {
        ...long.status,
        builder: { kind: "Builder", name: "b", instance: "i".repeat(253) },
        outputs: [{ image: { tags: ["t".repeat(400)], digest: `sha256:${"0".repeat(64)}` } }],
        failure: { class: "User", reason: "StepFailed", message: "m".repeat(2000), logTail: [] },
      },
    } as BuildRun;
    const names = Array.from({ length: 64 }, (_, index) => `target-${index}`);
    const targets = names.map((name) => ({ name, run: name.padEnd(63, "-"), needs: ["target-0"] }));
    const runs = Object.fromEntries(names.map((name) => [name, failed]));
    const next = status({ status: { ...planned, targets }, runs }, { kind: "running" });
    const bytes = Buffer.byteLength(JSON.stringify(next?.targets));
    assert.ok(bytes <= 24_000, `${bytes} bytes`);
    assert.equal(next?.targets?.length, 64);
    assert.deepEqual(next.progress, { total: 64, completed: 64, failed: 64 });
  });
});
