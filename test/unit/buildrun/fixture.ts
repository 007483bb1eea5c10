// Builders for the BuildRun slice's tests: defaults are valid, what is given wins.

import { parseBuilder, parseBuildRun } from "../../../src/api/parse.ts";
import type {
  Attempt,
  BuilderSpecInput,
  BuildRun,
  BuildRunSpecInput,
} from "../../../src/api/v1alpha1/index.ts";
import type { JobOutcome, SolveFailure } from "../../../src/agent/agent.ts";
import type { BuilderRef, Instance } from "../../../src/builder/index.ts";
import { defaultLimits } from "../../../src/buildrun/reconcile/attempts.ts";
import { planOf } from "../../../src/buildrun/plan/plan.ts";
import type { BuilderView, JobView, RunWorld } from "../../../src/buildrun/reconcile/world.ts";
import { noProgress } from "../../../src/buildrun/status/progress.ts";

export const uid = "6f0c0a52-5b7e-4e55-9d9f-0c1b3b7a1c11";
export const created = new Date("2026-03-01T12:00:00Z");

/** A moment `seconds` after the run was created. */
export function at(seconds: number): Date {
  return new Date(created.getTime() + seconds * 1000);
}

/** What a test says about a run. */
export interface RunParts {
  readonly spec?: Partial<BuildRunSpecInput>;
  readonly metadata?: Record<string, unknown>;
  readonly status?: Record<string, unknown>;
}

/** A run of an inline Dockerfile, as the API server returns it. */
export function aRun({ spec, metadata, status }: RunParts = {}): BuildRun {
  return parseBuildRun({
    apiVersion: "kiln.build/v1alpha1",
    kind: "BuildRun",
    metadata: {
      name: "web",
      namespace: "shop",
      uid,
      generation: 1,
      resourceVersion: "7",
      creationTimestamp: created.toISOString(),
      ...metadata,
    },
    spec: { context: { none: {} }, dockerfile: { inline: "FROM scratch\n" }, ...spec },
    ...(status && { status }),
  });
}

export const builderRef: BuilderRef = { kind: "Builder", namespace: "shop", name: "default" };

export function anInstance(over: Partial<Instance> = {}): Instance {
  return {
    id: "default-0",
    ready: true,
    platforms: ["linux/amd64"],
    version: "v0.34.2",
    capacity: 2,
    terminating: false,
    ...over,
  };
}

export function aBuilderView(over: Partial<BuilderView> = {}): BuilderView {
  return { ref: builderRef, instances: [anInstance()], ...over };
}

export function anAttempt(over: Partial<Attempt> = {}): Attempt {
  const number = over.number ?? 1;
  return {
    number,
    ref: `${uid}-${number}`,
    builder: { kind: "Builder", name: "default" },
    instance: "default-0",
    startedAt: at(1).toISOString(),
    ...over,
  };
}

/** A Builder with pods that says this. */
export function aBuilderWith(spec: Omit<BuilderSpecInput, "remote">): BuilderView {
  const whole = { kubernetes: {}, ...spec };
  const object = {
    apiVersion: "kiln.build/v1alpha1",
    kind: "Builder",
    metadata: { name: "default" },
  };
  return aBuilderView({ spec: parseBuilder({ ...object, spec: whole }).spec });
}

/** A run whose first attempt is under way. */
export function aRunningRun(parts: RunParts = {}, attempt: Partial<Attempt> = {}): BuildRun {
  return aRun({
    ...parts,
    metadata: { finalizers: ["kiln.build/solve"], ...parts.metadata },
    status: {
      observedGeneration: 1,
      conditions: [],
      phase: "Running",
      startTime: at(1).toISOString(),
      attempts: [anAttempt(attempt)],
      ...parts.status,
    },
  });
}

/** A world in which the run could start at once. */
export function aWorld(over: Partial<RunWorld> = {}): RunWorld {
  const run = over.run ?? aRun();
  return {
    run,
    now: at(2),
    limits: defaultLimits,
    plan: over.plan ?? planOf(run),
    builder: aBuilderView(),
    turn: { kind: "go", instance: "default-0" },
    ...over,
  };
}

export function running(): JobView {
  return { state: "running", followed: true, progress: noProgress };
}

export function finished(outcome: JobOutcome): JobView {
  return { state: "finished", outcome, progress: noProgress };
}

export function succeeded(digest = `sha256:${"a".repeat(64)}`): JobOutcome {
  const facts = {
    images: [{ digest, platforms: [{ platform: "linux/amd64", digest }] }],
    baseImages: [],
  };
  return { kind: "succeeded", facts, finishedAt: at(9).toISOString() };
}

export function failed(over: Partial<SolveFailure> = {}): JobOutcome {
  return { kind: "failed", failure: aFailure(over), finishedAt: at(9).toISOString() };
}

export function aFailure(over: Partial<SolveFailure> = {}): SolveFailure {
  return {
    class: "User",
    reason: "StepFailed",
    message: "The step failed.",
    retryable: false,
    logTail: [],
    ...over,
  };
}
