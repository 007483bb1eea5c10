import assert from "node:assert/strict";
import { decide, hashOf, type DecideInput } from "../../../src/builder/reconcile/decide.ts";
import type { BuilderSpecInput } from "../../../src/api/v1alpha1/index.ts";
import type { BuilderWorld } from "../../../src/builder/reconcile/world.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import { aRender, aSpec } from "./samples.ts";

const images = aRender().images;

function world(spec: BuilderSpecInput, live: readonly KubeObject[] = []): BuilderWorld {
  const of = <T extends KubeObject>(...kinds: string[]): T[] =>
    live.filter(({ kind }) => kinds.includes(kind)) as T[];
  return {
    ref: { kind: "Builder", namespace: "shop", name: "main" },
    object: {
      apiVersion: "kiln.build/v1alpha1",
      kind: "Builder",
      metadata: { name: "main", namespace: "shop", uid: "owner", generation: 1 },
    },
    spec: aSpec(spec),
    namespace: "shop",
    problem: undefined,
    owned: {
      workloads: of("ReplicaSet", "StatefulSet"),
      services: of("Service"),
      networkPolicies: of("NetworkPolicy"),
      disruptionBudgets: of("PodDisruptionBudget"),
      pods: [],
    },
    instances: [],
  };
}

const input: DecideInput = {
  images,
  kilnNamespace: "kiln-system",
  defaultConfig: undefined,
  isBusy: false,
  written: new Map(),
};

/** As the API server gives it back: with an identity and fields that we did not send. */
function stored(object: KubeObject): KubeObject {
  const copy = structuredClone(object) as KubeObject & { spec: Record<string, unknown> };
  return {
    ...copy,
    metadata: { ...copy.metadata, uid: `uid-${object.kind}`, generation: 1, resourceVersion: "7" },
    spec: { ...copy.spec, defaulted: true },
  } as KubeObject;
}

function created(spec: BuilderSpecInput): KubeObject[] {
  return decide(world(spec), input).apply.map(stored);
}

const kinds = (objects: readonly KubeObject[]): string[] => objects.map(({ kind }) => kind);
const kubernetes: BuilderSpecInput = { kubernetes: { security: "Privileged" } };
const withStorage: BuilderSpecInput = {
  kubernetes: { security: "Privileged", storage: { size: "1Gi" } },
};

describe("what is written for a Builder", () => {
  it("everything, when nothing is there", () => {
    const decision = decide(world(kubernetes), input);
    assert.deepEqual(kinds(decision.apply), ["Service", "NetworkPolicy", "ReplicaSet"]);
    assert.equal(decision.settled, false);
  });

  it("nothing, when all is there", () => {
    const decision = decide(world(kubernetes, created(kubernetes)), input);
    assert.deepEqual(decision, { ...decision, apply: [], remove: [], settled: true });
  });

  it("a budget for evictions while builds run, and none otherwise", () => {
    const busy = { ...input, isBusy: true };
    const live = created(kubernetes);
    const [budget, ...others] = decide(world(kubernetes, live), busy).apply;
    assert.deepEqual([budget?.kind, others], ["PodDisruptionBudget", []]);
    assert.ok(budget !== undefined);
    const withBudget = [...live, stored(budget)];
    assert.equal(decide(world(kubernetes, withBudget), busy).settled, true);
    const idle = decide(world(kubernetes, withBudget), input);
    assert.deepEqual([kinds(idle.remove), idle.apply], [["PodDisruptionBudget"], []]);
  });

  it("no pods while what they use cannot be read, and nothing is removed", () => {
    const contentProblem = { reason: "SecretNotFound", message: "Make it." } as const;
    const decision = decide(world(withStorage, created(kubernetes)), { ...input, contentProblem });
    assert.deepEqual([decision.apply, decision.remove, decision.problem], [[], [], contentProblem]);
  });

  it("only what is missing", () => {
    const live = created(kubernetes).filter(({ kind }) => kind !== "NetworkPolicy");
    assert.deepEqual(kinds(decide(world(kubernetes, live), input).apply), ["NetworkPolicy"]);
  });

  it("the workload, when somebody scaled it by hand", () => {
    const live = created(kubernetes);
    const replicaSet = live.find(({ kind }) => kind === "ReplicaSet") as {
      spec?: { replicas?: number };
    };
    if (replicaSet.spec !== undefined) replicaSet.spec.replicas = 0;
    const asked = { ...input, replicas: 1 };
    assert.deepEqual(kinds(decide(world(kubernetes, live), asked).apply), ["ReplicaSet"]);
    assert.deepEqual(decide(world(kubernetes, live), input).apply, [], "as many as there are");
  });

  it("an object whose labels were damaged, even if its generation is what we left", () => {
    const live = created(kubernetes).map((object) =>
      object.kind === "ReplicaSet"
        ? { ...object, metadata: { ...object.metadata, labels: {} } }
        : object,
    );
    const desired = decide(world(kubernetes), input).apply.find(
      ({ kind }) => kind === "ReplicaSet",
    );
    assert.ok(desired !== undefined);
    const written = new Map([["uid-ReplicaSet", { hash: hashOf(desired), generation: 1 }]]);
    assert.deepEqual(kinds(decide(world(kubernetes, live), { ...input, written }).apply), [
      "ReplicaSet",
    ]);
  });

  it("nothing twice, when the API server spells a quantity in its own way", () => {
    const spec: BuilderSpecInput = { kubernetes: { resources: { limits: { cpu: "1000m" } } } };
    const desired = decide(world(spec), input).apply;
    const live = JSON.parse(
      JSON.stringify(desired.map(stored)).replace('"1000m"', '"1"'),
    ) as KubeObject[];
    assert.deepEqual(kinds(decide(world(spec, live), input).apply), ["ReplicaSet"]);
    const written = new Map(
      desired.map((object) => [`uid-${object.kind}`, { hash: hashOf(object), generation: 1 }]),
    );
    assert.equal(decide(world(spec, live), { ...input, written }).settled, true);
    const edited = live.map((object) => ({
      ...object,
      metadata: { ...object.metadata, generation: 2 },
    }));
    const after = decide(world(spec, edited), { ...input, written });
    assert.deepEqual(kinds(after.apply), ["ReplicaSet"], "somebody changed it since");
  });

  it("the controller's buildkitd.toml, unless the Builder brings its own", () => {
    const ofPods = (spec: BuilderSpecInput): string =>
      JSON.stringify(decide(world(spec), { ...input, defaultConfig: "debug = false" }).apply);
    assert.match(ofPods(kubernetes), /debug = false/);
    assert.doesNotMatch(
      ofPods({ ...kubernetes, buildkitd: { config: "debug = true" } }),
      /debug = false/,
    );
  });
});

describe("what is removed for a Builder", () => {
  it("the ReplicaSet, once storage is asked for", () => {
    const decision = decide(world(withStorage, created(kubernetes)), input);
    assert.deepEqual(kinds(decision.remove), ["ReplicaSet"]);
    assert.deepEqual(kinds(decision.apply), ["StatefulSet"]);
  });

  it("the StatefulSet first, when its volumes change: they can't be edited", () => {
    const larger: BuilderSpecInput = {
      kubernetes: { security: "Privileged", storage: { size: "2Gi" } },
    };
    const decision = decide(world(larger, created(withStorage)), input);
    assert.deepEqual(kinds(decision.remove), ["StatefulSet"]);
    assert.deepEqual(decision.apply, []);
    assert.equal(decision.settled, false);
  });

  it("nothing again, while what goes is still going", () => {
    const larger: BuilderSpecInput = {
      kubernetes: { security: "Privileged", storage: { size: "2Gi" } },
    };
    const live = created(withStorage).map((object) => ({
      ...object,
      metadata: { ...object.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" },
    }));
    const decision = decide(world(larger, live), input);
    assert.deepEqual([kinds(decision.remove), decision.settled], [[], false]);
  });

  it("everything, when the driver becomes remote", () => {
    const decision = decide(
      world({ remote: { endpoint: "tcp://there:1" } }, created(kubernetes)),
      input,
    );
    assert.deepEqual(kinds(decision.remove).sort(), ["NetworkPolicy", "ReplicaSet", "Service"]);
    assert.deepEqual(decision.apply, []);
  });

  it("and written: nothing at all, once the Builder is being deleted", () => {
    const gone = world(kubernetes);
    const object = {
      ...gone.object,
      metadata: { ...gone.object.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" },
    };
    const decision = decide({ ...gone, object }, input);
    assert.deepEqual([decision.apply, decision.remove], [[], []]);
  });
});
