import assert from "node:assert/strict";
import type { BuilderSpecInput } from "../../../../src/api/v1alpha1/index.ts";
import { podInstance } from "../../../../src/builder/health/facts.ts";
import { drainOf } from "../../../../src/builder/lifecycle/drain-mark.ts";
import {
  type FleetInput,
  fleetState,
  isOverdue,
} from "../../../../src/builder/lifecycle/fleet-state.ts";
import type { BuilderWorld } from "../../../../src/builder/reconcile/world.ts";
import type { Pod } from "../../../../src/kube/types.ts";
import { anAnswer, aPod, aSpec } from "../samples.ts";

const now = new Date("2026-01-01T01:00:00Z");
const created = "2026-01-01T00:00:00Z";

function pod(name: string, annotations: Record<string, string> = {}): Pod {
  const marks = { "kiln.build/template-hash": "new", ...annotations };
  return aPod({}, { name, creationTimestamp: created, annotations: marks });
}

function aWorld(kubernetes: BuilderSpecInput["kubernetes"], pods: Pod[], over: object = {}) {
  const instances = pods.map((one) => podInstance(one, anAnswer));
  const workloads = [{ kind: "ReplicaSet", spec: { replicas: pods.length } }];
  return {
    object: { metadata: { name: "main", annotations: {} }, status: {} },
    spec: aSpec({ kubernetes }),
    owned: { pods, workloads },
    instances,
    ...over,
  } as unknown as BuilderWorld;
}

function input(over: Partial<FleetInput> = {}): FleetInput {
  return {
    templateHash: "new",
    running: () => 0,
    queued: 0,
    spent: new Set(),
    starts: [],
    now,
    ...over,
  };
}

describe("the mark of a drain on a pod", () => {
  const texts: readonly [string | undefined, string | undefined][] = [
    ["Roll 2026-01-01T00:00:00.000Z", "Roll"],
    ["ScaleDown 2026-01-01T00:00:00Z", "ScaleDown"],
    ["nonsense", undefined],
    ["Roll tomorrow", undefined],
    ["toString 2026-01-01T00:00:00Z", undefined],
    [undefined, undefined],
  ];
  for (const [text, why] of texts) {
    it(`${text ?? "that is not there"} says ${why ?? "nothing"}`, () => {
      const marks: Record<string, string> =
        text === undefined ? {} : { "kiln.build/draining": text };
      assert.equal(drainOf(pod("a", marks))?.why, why);
    });
  }
});

describe("the time that daemons which are no pods have to drain", () => {
  const draining = (reason: string) => ({
    conditions: [{ type: "Draining", reason, lastTransitionTime: "2026-01-01T00:50:00Z" }],
  });
  const cases: readonly [what: string, spec: object, object: object, boolean][] = [
    ["is over after drainTimeout", { drain: true }, { status: draining("DrainRequested") }, true],
    [
      "is not over before",
      { drain: true, drainTimeout: "11m" },
      { status: draining("DrainRequested") },
      false,
    ],
    ["has not begun while nobody drains", {}, { status: draining("DrainRequested") }, false],
    [
      "has not begun until status says so",
      { drain: true },
      { status: draining("InstancesDraining") },
      false,
    ],
    [
      "begins with the deletion",
      {},
      { metadata: { deletionTimestamp: "2026-01-01T00:50:00Z" } },
      true,
    ],
  ];
  const worldOf = (spec: object, object: object): BuilderWorld =>
    ({
      spec: aSpec({ remote: { endpoint: "tcp://there:1234" }, ...spec }),
      object: { metadata: {}, ...object },
    }) as unknown as BuilderWorld;
  for (const [what, spec, object, is] of cases)
    it(what, () => assert.equal(isOverdue(worldOf(spec, object), now), is));

  it("is counted from the earlier of what its Builder and what it alone does", () => {
    const alone = worldOf({}, {});
    const [before, justNow] = ["2026-01-01T00:50:00Z", "2026-01-01T00:59:00Z"].map(Date.parse);
    assert.deepEqual(
      [isOverdue(alone, now, before), isOverdue(alone, now, justNow)],
      [true, false],
    );
    const both = worldOf({ drain: true }, { status: draining("DrainRequested") });
    assert.equal(isOverdue(both, now, justNow), true);
  });
});

describe("the fleet of a Builder", () => {
  it("is what pods, answers and runs say of it", () => {
    const drain = { "kiln.build/draining": "Roll 2026-01-01T00:30:00Z" };
    const old = { "kiln.build/template-hash": "old" };
    const world = aWorld({ replicas: 2 }, [pod("a"), pod("b", { ...drain, ...old })]);
    const fleet = fleetState(world, input({ running: (id) => (id === "b" ? 3 : 0) }));
    const [a, b] = fleet?.members ?? [];
    assert.deepEqual(
      [fleet?.wanted, fleet?.replicas, fleet?.surge, fleet?.ordered],
      [2, 2, true, false],
    );
    assert.deepEqual([a?.up, a?.usable, a?.outdated, a?.idleMs], [true, true, false, 3_600_000]);
    assert.deepEqual([b?.up, b?.usable, b?.outdated, b?.running], [true, false, true, 3]);
    assert.equal(b?.draining?.sinceMs, Date.parse("2026-01-01T00:30:00Z"));
  });

  it("counts idle time from the status, which survives the controller", () => {
    const status = { instances: [{ name: "a", ready: true, idleSince: "2026-01-01T00:59:00Z" }] };
    const object = { metadata: { name: "main" }, status };
    const world = aWorld({ scaling: { max: 2 } }, [pod("a")], { object });
    const fleet = fleetState(world, input());
    assert.deepEqual([fleet?.members[0]?.idleMs, fleet?.wanted], [60_000, 1]);
  });

  it("keeps idle instances as long as runs usually come apart, if it may", () => {
    const minutes = [0, 20, 41, 59].map((minute) => Date.parse(created) + minute * 60_000);
    const idle = { name: "a", ready: true, idleSince: "2026-01-01T00:30:00Z" };
    const object = { metadata: { name: "main" }, status: { instances: [idle] } };
    const wanted = (scaling: { max: number; keepWarm?: string }, starts: number[]) =>
      fleetState(aWorld({ scaling }, [pod("a")], { object }), input({ starts }))?.wanted;
    assert.equal(wanted({ max: 2 }, minutes), 0);
    assert.equal(wanted({ max: 2, keepWarm: "1h" }, minutes), 1);
    assert.equal(wanted({ max: 2, keepWarm: "15m" }, minutes), 0);
    assert.equal(wanted({ max: 2, keepWarm: "1h" }, []), 0);
  });

  it("knows the places of a StatefulSet's pods", () => {
    const storage = { size: "1Gi" };
    const fleet = fleetState(aWorld({ storage }, [pod("builder-main-12")]), input());
    assert.deepEqual([fleet?.ordered, fleet?.members[0]?.ordinal], [true, 12]);
  });

  it("spends an instance on one run with isolation PerRun", () => {
    const kubernetes = { isolation: "PerRun", scaling: { max: 3 } } as const;
    const used = { "kiln.build/draining": "Used 2026-01-01T00:30:00Z" };
    const world = aWorld(kubernetes, [pod("a"), pod("b"), pod("c", used), pod("d")]);
    const running = (id: string): number => (id === "b" ? 1 : 0);
    const fleet = fleetState(world, input({ running, spent: new Set(["a"]) }));
    assert.deepEqual(
      fleet?.members.map(({ spent }) => spent),
      [true, true, true, false],
    );
  });

  it("asks for prewarmed instances, and none for a queue that is not let in", () => {
    const metadata = { name: "main", annotations: { "kiln.build/prewarm": "2" } };
    const world = aWorld({ scaling: { max: 3 } }, [], { object: { metadata, status: {} } });
    assert.equal(fleetState(world, input())?.wanted, 2);
    const closed = { ...world, spec: { ...world.spec, drain: true } } as BuilderWorld;
    assert.equal(fleetState(closed, input({ queued: 50 }))?.wanted, 2);
    assert.equal(fleetState(world, input({ queued: 50 }))?.wanted, 3);
  });

  it("rolls without one more where there is no room for it", () => {
    const world = aWorld({}, [pod("a")]);
    const problem = { reason: "Unschedulable", message: "no" } as const;
    const cramped = [{ ...podInstance(pod("b"), undefined), problem }];
    assert.equal(fleetState({ ...world, instances: cramped }, input())?.surge, false);
  });

  it("drains since the condition says, and since the deletion", () => {
    const conditions = [
      { type: "Draining", reason: "DrainRequested", lastTransitionTime: created, status: "True" },
    ];
    const object = { metadata: { name: "main" }, status: { conditions } };
    const world = aWorld({}, [pod("a")], { object });
    assert.equal(fleetState(world, input())?.allSinceMs, undefined);
    const asked = { ...world, spec: { ...world.spec, drain: true } } as BuilderWorld;
    assert.equal(fleetState(asked, input())?.allSinceMs, Date.parse(created));
    const gone = { ...object, metadata: { name: "main", deletionTimestamp: created } };
    const deleted = { ...world, object: gone } as unknown as BuilderWorld;
    assert.equal(fleetState(deleted, input())?.allSinceMs, Date.parse(created));
  });
});
