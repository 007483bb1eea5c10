// Every transition of a run, one sentence each.

import assert from "node:assert/strict";
import { lostFailure } from "../../../src/agent/solve/lost.ts";
import {
  admit,
  decide,
  solveFinalizer,
  type Step,
} from "../../../src/buildrun/reconcile/decide.ts";
import { failureOf } from "../../../src/buildrun/status/failure.ts";
import { KilnError } from "../../../src/errors/index.ts";
import type { RunWorld } from "../../../src/buildrun/reconcile/world.ts";
import {
  aBuilderView,
  aFailure,
  anAttempt,
  aRun,
  aRunningRun,
  at,
  aWorld,
  failed,
  finished,
  running,
  succeeded,
  uid,
} from "./fixture.ts";

type Expected = { readonly kind: Step["kind"] } & Record<string, unknown>;

const stopped = finished({ kind: "cancelled", finishedAt: at(3).toISOString() });
const registry = { class: "Registry", reason: "RegistryUnavailable", retryable: true } as const;
const deleting = { deletionTimestamp: at(2).toISOString() };
const without = (world: RunWorld): RunWorld =>
  Object.fromEntries(
    Object.entries(world).filter(([key]) => key !== "builder" && key !== "turn"),
  ) as unknown as RunWorld;
const ended = { completionTime: at(5).toISOString(), conditions: [], phase: "Succeeded" };
const lostBefore = [1, 2, 3, 4, 5].map((number) =>
  anAttempt({ number, finishedAt: at(2).toISOString(), outcome: "Lost" }),
);
const failedBefore = anAttempt({
  finishedAt: at(10).toISOString(),
  outcome: "Failed",
  class: "Registry",
  reason: "RegistryUnavailable",
});

const intoConfigMap = {
  spec: { outputs: [{ tar: { to: { configMap: { name: "made" } } } }] },
};

const cases: readonly (readonly [string, RunWorld, Expected])[] = [
  ["claims a slot for a new run", aWorld(), { kind: "claim", number: 1, instance: "default-0" }],
  [
    "repeats an attempt whose files for a ConfigMap are lost",
    aWorld({
      run: aRunningRun(intoConfigMap),
      memory: { kind: "finished", outcome: succeeded() },
    }),
    { kind: "retry", failure: { reason: "AttemptLost" } },
  ],
  [
    "waits, stalled, for a Builder that does not exist",
    without(aWorld()),
    { kind: "wait", why: { phase: "Pending", reason: "BuilderNotFound", stalled: true } },
  ],
  [
    "waits for a Builder that is not ready",
    aWorld({ builder: aBuilderView({ notReady: { reason: "ImagePull", message: "m" } }) }),
    { kind: "wait", why: { phase: "Pending", reason: "BuilderNotReady", stalled: false } },
  ],
  [
    "queues behind older runs and says how many",
    aWorld({ turn: { kind: "wait", ahead: 3, reason: "NotNext", message: "m" } }),
    { kind: "wait", why: { phase: "Queued", reason: "NotNext", ahead: 3 } },
  ],
  [
    "rejects a spec that makes no plan",
    aWorld({ plan: aFailure({ reason: "InvalidContext" }) }),
    { kind: "reject", result: "Failed", failure: { reason: "InvalidContext" } },
  ],
  [
    "cancels a run that never started",
    aWorld({ run: aRun({ spec: { cancel: true } }) }),
    { kind: "reject", result: "Cancelled", failure: { reason: "Cancelled" } },
  ],
  [
    "cancels a run that waits for its next attempt",
    aWorld({ run: aRunningRun({ spec: { cancel: true }, status: { attempts: [failedBefore] } }) }),
    { kind: "reject", result: "Cancelled" },
  ],
  [
    "times out between two attempts",
    aWorld({
      run: aRunningRun({ spec: { timeout: "10s" }, status: { attempts: [failedBefore] } }),
      now: at(30),
    }),
    { kind: "reject", result: "Failed", failure: { reason: "Timeout" } },
  ],
  [
    "backs off before it repeats a failed attempt",
    aWorld({ run: aRunningRun({ status: { attempts: [failedBefore] } }), now: at(10.2) }),
    { kind: "wait", why: { reason: "BackingOff" }, recheckMs: 800 },
  ],
  [
    "numbers the next attempt after the last one",
    aWorld({ run: aRunningRun({ status: { attempts: [failedBefore] } }), now: at(12) }),
    { kind: "claim", number: 2 },
  ],
  [
    "leaves a run alone that is deleted before it started",
    aWorld({ run: aRun({ metadata: deleting }) }),
    { kind: "rest" },
  ],
  [
    "watches a running job until its deadline",
    aWorld({ run: aRunningRun(), job: running(), now: at(61) }),
    { kind: "watch", recheckMs: 3540_000 },
  ],
  [
    "adopts a job that an agent has and nobody follows",
    aWorld({ run: aRunningRun(), job: { ...running(), followed: false } as never }),
    { kind: "adopt", ref: `${uid}-1` },
  ],
  [
    "cancels a running job when asked to",
    aWorld({ run: aRunningRun({ spec: { cancel: true } }), job: running() }),
    { kind: "cancel", ref: `${uid}-1` },
  ],
  [
    "cancels a running job when its Builder is deleted and says so",
    aWorld({ run: aRunningRun(), job: running(), isEvicted: true }),
    { kind: "cancel", ref: `${uid}-1` },
  ],
  [
    "says that the Builder was deleted when that ended the job",
    aWorld({ run: aRunningRun(), job: stopped, isEvicted: true }),
    {
      kind: "finish",
      result: "Cancelled",
      failure: { class: "Builder", reason: "BuilderDeleted" },
    },
  ],
  [
    "cancels a running job when the time of its Builder's drain is over",
    aWorld({ run: aRunningRun(), job: running(), isOverdue: true }),
    { kind: "cancel", ref: `${uid}-1` },
  ],
  [
    "calls the attempt lost, by the builder, when that ended the job",
    aWorld({ run: aRunningRun(), job: stopped, isOverdue: true }),
    {
      kind: "retry",
      attempt: { outcome: "Lost" },
      failure: { class: "Builder", reason: "AttemptLost" },
    },
  ],
  [
    "cancels a running job at its deadline",
    aWorld({ run: aRunningRun({ spec: { timeout: "10s" } }), job: running(), now: at(11) }),
    { kind: "cancel" },
  ],
  [
    "cancels a running job of a run that is deleted",
    aWorld({ run: aRunningRun({ metadata: deleting }), job: running() }),
    { kind: "cancel" },
  ],
  [
    "finishes with what the job made",
    aWorld({ run: aRunningRun(), job: finished(succeeded()) }),
    { kind: "finish", result: "Succeeded", attempt: { outcome: "Succeeded" } },
  ],
  [
    "tells the truth about a job that was faster than its cancellation",
    aWorld({ run: aRunningRun({ spec: { cancel: true } }), job: finished(succeeded()) }),
    { kind: "finish", result: "Succeeded" },
  ],
  [
    "never repeats a failing step",
    aWorld({ run: aRunningRun(), job: finished(failed({ retryable: true })) }),
    { kind: "finish", result: "Failed", failure: { reason: "StepFailed" } },
  ],
  [
    "repeats a transient failure of a registry",
    aWorld({ run: aRunningRun(), job: finished(failed(registry)) }),
    { kind: "retry", attempt: { outcome: "Failed" }, failure: { reason: "RegistryUnavailable" } },
  ],
  [
    "does not repeat a registry's refusal",
    aWorld({ run: aRunningRun(), job: finished(failed({ ...registry, retryable: false })) }),
    { kind: "finish", result: "Failed" },
  ],
  [
    "does not repeat beyond retry.limit",
    aWorld({
      run: aRunningRun({ spec: { retry: { limit: 0 } } }),
      job: finished(failed(registry)),
    }),
    { kind: "finish", result: "Failed", failure: { reason: "RegistryUnavailable" } },
  ],
  [
    "does not count lost attempts against retry.limit",
    aWorld({
      run: aRunningRun({
        spec: { retry: { limit: 1 } },
        status: { attempts: [...lostBefore.slice(0, 3), anAttempt({ number: 4 })] },
      }),
      job: finished(failed(registry)),
    }),
    { kind: "retry" },
  ],
  [
    "calls an ended job cancelled when the run was to be cancelled",
    aWorld({
      run: aRunningRun({ spec: { cancel: true } }),
      job: finished({ kind: "cancelled", finishedAt: at(3).toISOString() }),
    }),
    { kind: "finish", result: "Cancelled", failure: { reason: "Cancelled" } },
  ],
  [
    "calls an ended job late when its time was over",
    aWorld({
      run: aRunningRun({ spec: { timeout: "10s" } }),
      job: finished({ kind: "cancelled", finishedAt: at(12).toISOString() }),
      now: at(12),
    }),
    { kind: "finish", result: "Failed", failure: { reason: "Timeout", class: "User" } },
  ],
  [
    "calls a job lost that ended without anybody asking",
    aWorld({
      run: aRunningRun(),
      job: finished({ kind: "cancelled", finishedAt: at(3).toISOString() }),
    }),
    { kind: "retry", attempt: { outcome: "Lost" }, failure: { reason: "AttemptLost" } },
  ],
  [
    "copies the outcome that the daemon remembers",
    aWorld({
      run: aRunningRun(),
      memory: { kind: "finished", outcome: succeeded() },
      orphanedMs: 0,
    }),
    { kind: "finish", result: "Succeeded" },
  ],
  [
    "waits while the daemon still solves an attempt whose caller died",
    aWorld({ run: aRunningRun(), memory: { kind: "running" }, orphanedMs: 60_000 }),
    { kind: "watch" },
  ],
  [
    "asks again before it believes that the daemon knows nothing",
    aWorld({ run: aRunningRun(), memory: { kind: "unknown" }, orphanedMs: 100 }),
    { kind: "watch" },
  ],
  [
    "loses an attempt that nobody knows",
    aWorld({ run: aRunningRun(), memory: { kind: "unknown" }, orphanedMs: 5_000 }),
    { kind: "retry", attempt: { outcome: "Lost" } },
  ],
  [
    "gives an unreachable daemon time to come back with the answer",
    aWorld({ run: aRunningRun(), memory: { kind: "unreachable" }, orphanedMs: 5_000 }),
    { kind: "watch" },
  ],
  [
    "loses an attempt whose daemon stays away",
    aWorld({ run: aRunningRun(), memory: { kind: "unreachable" }, orphanedMs: 61_000 }),
    { kind: "retry", attempt: { outcome: "Lost" } },
  ],
  [
    "loses an attempt at once whose instance is gone, as the builder's fault",
    aWorld({ run: aRunningRun(), memory: { kind: "gone" }, orphanedMs: 0 }),
    { kind: "retry", attempt: { outcome: "Lost" }, failure: { class: "Builder" } },
  ],
  [
    "repeats what its agent calls lost, though the run allows no retry",
    aWorld({
      run: aRunningRun({ spec: { retry: { limit: 0 } } }),
      job: finished(lostFailure("its pod was stopped")),
    }),
    {
      kind: "retry",
      attempt: { outcome: "Lost" },
      failure: { class: "Builder", reason: "AttemptLost" },
    },
  ],
  [
    "fails a run that was lost too often",
    aWorld({
      run: aRunningRun({ status: { attempts: [...lostBefore, anAttempt({ number: 6 })] } }),
      memory: { kind: "unknown" },
      orphanedMs: 5_000,
    }),
    { kind: "finish", result: "Failed", failure: { reason: "AttemptLost", class: "Infra" } },
  ],
  [
    "cancels instead of repeating a lost attempt",
    aWorld({
      run: aRunningRun({ spec: { cancel: true } }),
      memory: { kind: "unknown" },
      orphanedMs: 5_000,
    }),
    { kind: "finish", result: "Cancelled", attempt: { outcome: "Lost" } },
  ],
  [
    "does not repeat for a run that is being deleted",
    aWorld({ run: aRunningRun({ metadata: deleting }), job: finished(failed(registry)) }),
    { kind: "finish", result: "Failed" },
  ],
  [
    "lets a deleted run go when nobody has its job",
    aWorld({ run: aRunningRun({ metadata: deleting }) }),
    { kind: "release" },
  ],
  [
    "takes a forgotten finalizer off a finished run",
    aWorld({ run: aRun({ metadata: { finalizers: ["x/y", solveFinalizer] }, status: ended }) }),
    { kind: "release" },
  ],
  [
    "keeps a finished run without a time to live",
    aWorld({ run: aRun({ status: ended }) }),
    { kind: "rest" },
  ],
  [
    "keeps a finished run until its time is over",
    aWorld({ run: aRun({ spec: { ttlAfterFinished: "1m" }, status: ended }), now: at(35) }),
    { kind: "expire", inMs: 30_000 },
  ],
  [
    "deletes a finished run whose time is over",
    aWorld({ run: aRun({ spec: { ttlAfterFinished: "0s" }, status: ended }), now: at(35) }),
    { kind: "delete" },
  ],
  [
    "does nothing more for a finished run that is asked to cancel",
    aWorld({ run: aRun({ spec: { cancel: true }, status: ended }) }),
    { kind: "rest" },
  ],
  [
    "does nothing more for a finished run that is being deleted",
    aWorld({ run: aRun({ spec: { ttlAfterFinished: "0s" }, metadata: deleting, status: ended }) }),
    { kind: "rest" },
  ],
];

describe("the decision about a run", () => {
  for (const [name, world, expected] of cases)
    it(name, () => assert.partialDeepStrictEqual(decide(world), expected));

  it("is the same for the same world", () => {
    for (const [, world] of cases) assert.deepEqual(decide(world), decide(world));
  });
});

describe("admitting a run with what its Secrets say", () => {
  const missing = failureOf(
    new KilnError({ class: "User", reason: "SecretNotFound", message: "There is no Secret." }),
  );
  const claim = decide(aWorld());

  it("starts when everything could be read", () => {
    const prepared = { request: {}, materials: {}, hints: [] } as never;
    assert.equal(admit(claim, prepared, aWorld()).kind, "start");
  });

  it("keeps waiting when everything could be read and it is not the run's turn", () => {
    const wait = decide(
      aWorld({ turn: { kind: "wait", ahead: 1, reason: "NotNext", message: "" } }),
    );
    assert.equal(admit(wait, { request: {}, materials: {}, hints: [] } as never, aWorld()), wait);
  });

  it("waits for what may still be on its way", () => {
    const step = admit(claim, missing, aWorld({ now: at(3) }));
    assert.partialDeepStrictEqual(step, {
      kind: "wait",
      why: { reason: "SecretNotFound", stalled: true },
    });
  });

  it("rejects what is still missing after the grace", () => {
    const step = admit(claim, missing, aWorld({ now: at(11) }));
    assert.partialDeepStrictEqual(step, { kind: "reject", failure: { reason: "SecretNotFound" } });
  });

  it("waits for what is only out of reach, however long", () => {
    const away = aFailure({ class: "Builder", reason: "InstanceGone", retryable: true });
    const step = admit(claim, away, aWorld({ now: at(1000) }));
    assert.partialDeepStrictEqual(step, { kind: "wait", why: { stalled: false } });
  });
});
