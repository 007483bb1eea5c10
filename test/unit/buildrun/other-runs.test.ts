// Runs that build from the images of others: when they wait, go on, or fail, and who is rung.

import assert from "node:assert/strict";
import type { BuildRun } from "../../../src/api/v1alpha1/index.ts";
import { decide } from "../../../src/buildrun/reconcile/decide.ts";
import { Dependents } from "../../../src/buildrun/reconcile/dependents.ts";
import { otherRun } from "../../../src/buildrun/reconcile/other-runs.ts";
import { planOf } from "../../../src/buildrun/plan/plan.ts";
import { aRun, aWorld, at } from "./fixture.ts";

const digest = `sha256:${"a".repeat(64)}`;
const tag = "registry.example/shop/base:1";
const pushes = { outputs: [{ image: { tags: [tag] } }] };

function named(name: string, ...names: string[]): BuildRun {
  const buildContexts = names.map((of) => ({ name: `of-${of}`, buildRun: { name: of } }));
  return aRun({ metadata: { name }, spec: { buildContexts } });
}

function ended(
  phase: string,
  spec: object = pushes,
  image: object | undefined = { tags: [tag], digest },
) {
  const outputs = image === undefined ? {} : { outputs: [{ image }] };
  const status = { phase, completionTime: at(9).toISOString(), ...outputs };
  return aRun({ metadata: { name: "base" }, spec, status });
}

const cases: readonly (readonly [string, BuildRun | undefined, string])[] = [
  ["is waited for while it is not there", undefined, "BuildRunNotFound"],
  ["is waited for while it runs", aRun({ status: { phase: "Running" } }), "WaitingForBuildRun"],
  ["is used by digest when it succeeded", ended("Succeeded"), "ready"],
  ["fails the run when it failed", ended("Failed"), "BuildRunFailed"],
  ["fails the run when it was cancelled", ended("Cancelled"), "BuildRunFailed"],
  ["is no context without an image", ended("Succeeded", {}, undefined), "BuildRunWithoutImage"],
  [
    "is no context when it pushed nothing",
    ended("Succeeded", { outputs: [{ image: { tags: [tag], push: false } }] }),
    "BuildRunWithoutImage",
  ],
];

describe("another run as a context", () => {
  for (const [name, other, expected] of cases)
    it(name, () => {
      const found = otherRun(named("web", "base"), "base", () => other);
      const says =
        found.kind === "ready"
          ? "ready"
          : found.kind === "wait"
            ? found.reason
            : found.failure.reason;
      assert.equal(says, expected);
      if (found.kind === "ready") assert.equal(found.ref, `registry.example/shop/base@${digest}`);
    });

  it("is not waited for in a circle, however long", () => {
    const runs = new Map(
      [named("a", "b"), named("b", "c"), named("c", "a")].map((run) => [run.metadata.name, run]),
    );
    const found = otherRun(named("a", "b"), "b", (name) => runs.get(name));
    assert.equal(found.kind === "fail" && found.failure.reason, "BuildRunCircle");
  });

  it("keeps the run out of the queue until it has ended", () => {
    const run = named("web", "base");
    const others = new Map([["base", otherRun(run, "base", () => undefined)]]);
    const step = decide(aWorld({ run, others, turn: undefined as never }));
    assert.equal(step.kind === "wait" && step.why.reason, "BuildRunNotFound");
    assert.equal(step.kind === "wait" && step.why.stalled, true);
  });

  it("stands in the plan by name, until its digest is known", () => {
    const { request, needs } = planOf(named("web", "base"));
    assert.equal(request.frontendAttrs["context:of-base"], "buildrun://base");
    assert.deepEqual(needs.runs, [{ attr: "context:of-base", name: "base" }]);
  });

  it("rings those that wait for it, and no others", () => {
    const dependents = new Dependents();
    assert.deepEqual(dependents.changed("shop/web", named("web", "base")), []);
    assert.deepEqual(dependents.changed("shop/base", ended("Succeeded")), ["shop/web"]);
    assert.deepEqual(dependents.changed("other/base", ended("Succeeded")), []);
    dependents.changed("shop/web", undefined);
    assert.deepEqual(dependents.changed("shop/base", ended("Succeeded")), []);
  });
});

describe("a build arg with valueFrom", () => {
  it("is no attribute of the plan, but a need", () => {
    const from = { configMapKeyRef: { name: "settings", key: "v" } };
    const spec = {
      buildArgs: [
        { name: "A", value: "1" },
        { name: "B", valueFrom: from },
      ],
    };
    const { request, needs } = planOf(aRun({ spec }));
    assert.equal(request.frontendAttrs["build-arg:A"], "1");
    assert.equal("build-arg:B" in request.frontendAttrs, false);
    const need = { attr: "build-arg:B", kind: "configMap", name: "settings", key: "v" };
    assert.deepEqual(needs.values, [need]);
  });

  it("so is a label, and an option of the frontend", () => {
    const valueFrom = { configMapKeyRef: { name: "settings", key: "v" } };
    const frontend = { image: "r.example/f:1", optionsFrom: [{ name: "mode", valueFrom }] };
    const spec = { labels: { team: "shop" }, labelsFrom: [{ name: "rev", valueFrom }], frontend };
    const { request, needs } = planOf(aRun({ spec }));
    assert.deepEqual(
      Object.keys(request.frontendAttrs).filter((attr) => /^label:|^mode$/.test(attr)),
      ["label:team"],
    );
    const value = { kind: "configMap", name: "settings", key: "v" };
    assert.deepEqual(needs.values, [
      { attr: "label:rev", ...value },
      { attr: "mode", ...value },
    ]);
  });
});
