import assert from "node:assert/strict";
import { BuilderStatus } from "../../../src/api/v1alpha1/index.ts";
import { findCondition } from "../../../src/api/condition.ts";
import { externals } from "../../../src/builder/reconcile/externals.ts";
import { externalFacts, podInstance } from "../../../src/builder/health/facts.ts";
import { builderStatus, type StatusInput } from "../../../src/builder/status/builder.ts";
import { aContainer, anAnswer, aPod, aSpec } from "./samples.ts";

const good = podInstance(aPod(), anAnswer);
const badImage = podInstance(
  aPod(
    {
      podIP: "",
      initContainerStatuses: [
        aContainer({ state: { waiting: { reason: "ErrImagePull", message: "gone" } } }),
      ],
    },
    { name: "builder-main-1" },
  ),
  undefined,
);

function input(over: Partial<StatusInput> = {}): StatusInput {
  return {
    generation: 3,
    previous: undefined,
    spec: aSpec({ kubernetes: { replicas: 2 } }),
    instances: [],
    problem: undefined,
    isRolledOut: true,
    wanted: 2,
    templateHash: "abc",
    running: () => 0,
    queued: 0,
    queuedAt: new Map(),
    now: new Date("2026-01-01T00:00:00Z"),
    ...over,
  };
}

interface Case {
  readonly name: string;
  readonly over: Partial<StatusInput>;
  readonly ready: string;
  readonly stalled?: string;
  readonly reconciling?: string;
}

const cases: readonly Case[] = [
  {
    name: "nothing is there yet",
    over: { isRolledOut: false },
    ready: "False Starting",
    reconciling: "RollingOut",
  },
  {
    name: "all answer",
    over: { instances: [good, { ...good, id: "b" }] },
    ready: "True InstancesReady",
  },
  {
    name: "one of two answers, the other starts",
    over: { instances: [good] },
    ready: "True InstancesReady",
    reconciling: "Starting",
  },
  {
    name: "one answers, the other has no image",
    over: { instances: [good, badImage] },
    ready: "True InstancesReady",
    stalled: "ImagePullFailed",
  },
  {
    name: "no image at all",
    over: { instances: [badImage] },
    ready: "False ImagePullFailed",
    stalled: "ImagePullFailed",
  },
  {
    name: "an edit rolls out",
    over: { instances: [good, { ...good, id: "b" }], isRolledOut: false },
    ready: "True InstancesReady",
    reconciling: "RollingOut",
  },
  {
    name: "quota forbids the pods",
    over: { problem: { reason: "QuotaExceeded", message: "no" } },
    ready: "False QuotaExceeded",
    stalled: "QuotaExceeded",
  },
  {
    name: "no node fits: a node may come",
    over: { instances: [{ ...badImage, problem: { reason: "Unschedulable", message: "no" } }] },
    ready: "False Unschedulable",
    reconciling: "Unschedulable",
  },
  {
    name: "an old pod is leaving while the new one answers",
    over: {
      wanted: 1,
      instances: [
        good,
        podInstance(aPod({}, { name: "old", deletionTimestamp: "2026-01-01T00:00:00Z" }), anAnswer),
      ],
    },
    ready: "True InstancesReady",
  },
];

describe("the conditions of a Builder", () => {
  for (const { name, over, ready, stalled, reconciling } of cases) {
    it(name, () => {
      const status = builderStatus(input(over));
      const is = findCondition(status.conditions, "Ready");
      assert.equal(`${is?.status} ${is?.reason}`, ready);
      assert.equal(findCondition(status.conditions, "Stalled")?.reason, stalled);
      assert.equal(findCondition(status.conditions, "Reconciling")?.reason, reconciling);
      assert.equal(is?.observedGeneration, 3);
      assert.deepEqual(BuilderStatus.parse(status), status, "the schema takes it as it is");
    });
  }

  it("keeps the time of the last change, and drops Stalled once it is over", () => {
    const before = builderStatus(input({ instances: [badImage] }));
    const later = { previous: before, now: new Date("2026-01-01T01:00:00Z") };
    const same = builderStatus(input({ ...later, instances: [badImage] }));
    assert.deepEqual(same, before);
    const after = builderStatus(input({ ...later, instances: [good, { ...good, id: "b" }] }));
    assert.equal(
      findCondition(after.conditions, "Ready")?.lastTransitionTime,
      "2026-01-01T01:00:00Z",
    );
    assert.equal(findCondition(after.conditions, "Stalled"), undefined);
  });
});

describe("the life of an instance in status", () => {
  const only = (over: Partial<StatusInput>) => builderStatus(input(over)).instances?.[0];
  const disk = { cacheBytes: 5, volumeBytes: 100, volumeFreeBytes: 3 };

  it("tells slots, disk, state, and since when nothing runs there", () => {
    const daemon = { ...good.daemon, disk } as typeof good.daemon;
    const one = only({ instances: [{ ...good, ...(daemon && { daemon }), outdated: true }] });
    assert.equal(one?.slots, 4);
    assert.equal(one?.state, "Ready");
    assert.equal(one?.outdated, true);
    assert.equal(one?.idleSince, "2026-01-01T00:00:00Z");
    assert.deepEqual(one?.disk, { cacheBytes: 5, volumeBytes: 100, freeBytes: 3 });
  });

  it("keeps the time since which it is idle, and forgets it while something runs", () => {
    const previous = builderStatus(input({ instances: [good] }));
    const later = { previous, now: new Date("2026-01-01T02:00:00Z"), instances: [good] };
    assert.equal(only(later)?.idleSince, "2026-01-01T00:00:00Z");
    const busy = builderStatus(input({ ...later, running: () => 1 }));
    assert.equal(busy.instances?.[0]?.idleSince, undefined);
    assert.equal(only({ ...later, previous: busy })?.idleSince, "2026-01-01T02:00:00Z");
  });

  it("remembers its last error when that is over, with the time when it began", () => {
    const problem = { reason: "ConnectionLost", message: "gone 1" } as const;
    const lost = { ...good, ready: false, problem };
    const first = builderStatus(input({ instances: [lost] }));
    const again = { ...lost, problem: { ...problem, message: "gone 2" } };
    const now = new Date("2026-01-01T02:00:00Z");
    const second = builderStatus(input({ previous: first, instances: [again], now }));
    const over = only({ previous: second, instances: [good], now });
    assert.deepEqual(over?.lastError, {
      reason: "ConnectionLost",
      message: "gone 2",
      time: "2026-01-01T00:00:00Z",
    });
    assert.equal(over?.state, "Ready");
  });

  it("is DiskPressure, for the Builder too, until there is room", () => {
    const problem = { reason: "DiskPressure", message: "97 % full" } as const;
    const full = { ...good, ready: false, problem };
    const status = builderStatus(input({ instances: [full, { ...good, id: "b" }] }));
    assert.equal(status.instances?.[0]?.state, "DiskPressure");
    assert.equal(findCondition(status.conditions, "DiskPressure")?.message, "97 % full");
    assert.equal(findCondition(status.conditions, "Ready")?.status, "True");
    const after = builderStatus(input({ previous: status, instances: [good] }));
    assert.equal(findCondition(after.conditions, "DiskPressure"), undefined);
  });
});

describe("a Builder that drains", () => {
  const running = (): number => 2;
  const draining = (over: Partial<StatusInput>) => {
    const { conditions } = builderStatus(input(over));
    const is = findCondition(conditions, "Draining");
    const ready = findCondition(conditions, "Ready");
    const moving = findCondition(conditions, "Reconciling") !== undefined;
    return {
      is: is?.reason,
      message: is?.message,
      ready: `${ready?.status} ${ready?.reason}`,
      moving,
    };
  };

  it("as a whole says how many runs are left", () => {
    const spec = aSpec({ kubernetes: {}, drain: true });
    const said = draining({ spec, instances: [good], running });
    const message = "spec.drain is set: no new run is taken, and 2 runs are left to end.";
    assert.deepEqual(said, {
      is: "DrainRequested",
      message,
      ready: "False Draining",
      moving: false,
    });
  });

  it("because it is deleted says so", () => {
    const said = draining({ instances: [good], running, isLeaving: true });
    assert.deepEqual([said.is, said.ready], ["Terminating", "False Draining"]);
  });

  it("in part stays Ready", () => {
    const marks = { "kiln.build/draining": "ScaleDown 2026-01-01T00:00:00Z" };
    const leaving = podInstance(aPod({}, { name: "b", annotations: marks }), anAnswer);
    const said = draining({ instances: [good, leaving], wanted: 1 });
    assert.deepEqual(
      [said.is, said.ready, said.moving],
      ["InstancesDraining", "True InstancesReady", false],
    );
    assert.equal(builderStatus(input({ instances: [leaving] })).instances?.[0]?.state, "Draining");
  });

  it("is Ready without instances when none is wanted", () => {
    const { conditions } = builderStatus(input({ wanted: 0 }));
    assert.deepEqual(
      conditions?.map(({ type, status, reason }) => [type, status, reason]),
      [["Ready", "True", "ScaledToZero"]],
    );
  });
});

describe("the numbers and facts of a Builder", () => {
  it("sums runs, joins platforms and shows each instance as buildx inspect does", () => {
    const queuedAt = new Map([[good.id, 3]]);
    const load = { running: () => 2, queued: 5, queuedAt };
    const status = builderStatus(input({ instances: [good], ...load }));
    assert.equal(status.instances?.[0]?.queued, 3);
    assert.equal(status.runningRuns, 2);
    assert.equal(status.queuedRuns, 5);
    assert.equal(status.readyInstances, 1);
    assert.equal(status.totalInstances, 2);
    assert.equal(status.version, "v0.34.2");
    assert.deepEqual(status.platforms, ["linux/amd64", "linux/386"]);
    assert.deepEqual(status.instances?.[0]?.gcPolicy, [
      { filters: ["type==source.local"], keepDuration: "48h", maxUsedSpace: 512_000_000 },
      { all: true, reservedSpace: 1_000 },
    ]);
  });

  it("remembers what pods build for while scaling has none", () => {
    const spec = aSpec({ kubernetes: { scaling: { max: 2 } } });
    const previous = builderStatus(input({ spec, instances: [good] }));
    assert.deepEqual(previous.podPlatforms, ["linux/amd64", "linux/386"]);
    const scaled = builderStatus(input({ spec, previous, wanted: 0 }));
    assert.deepEqual([scaled.podPlatforms, scaled.platforms], [["linux/amd64", "linux/386"], []]);
    assert.equal(builderStatus(input({ previous })).podPlatforms, undefined, "without scaling");
  });

  it("writes down when the last runs started, for keepWarm only", () => {
    const starts = Array.from({ length: 30 }, (_, at) => at * 1_000);
    const kept = (scaling: { max: number; keepWarm?: string }) =>
      builderStatus(input({ spec: aSpec({ kubernetes: { scaling } }), starts })).recentStarts;
    assert.equal(kept({ max: 2 }), undefined);
    const times = kept({ max: 2, keepWarm: "1h" });
    assert.deepEqual([times?.length, times?.at(-1)], [17, "1970-01-01T00:00:29Z"]);
  });

  it("keeps what a daemon said last when it falls silent, without counting it", () => {
    const spec = aSpec({ remote: { endpoint: "tcp://there:1234" } });
    assert.ok(spec.remote !== undefined && anAnswer.facts !== undefined);
    const problem = { reason: "ConnectionRefused", message: "refused" } as const;
    const [one] = externals({ kind: "Builder", namespace: "shop", name: "main" }, spec);
    assert.ok(one !== undefined);
    const answer = { kind: "failed", problem, facts: anAnswer.facts } as const;
    const facts = externalFacts(one, answer, undefined);
    const status = builderStatus(input({ spec, instances: [facts], templateHash: undefined }));
    assert.equal(status.driver, "Remote");
    assert.equal(status.instances?.[0]?.version, "v0.34.2");
    assert.equal(status.version, undefined);
    assert.deepEqual(status.platforms, []);
  });

  it("fits the schema whatever a daemon says about itself", () => {
    assert.ok(anAnswer.facts !== undefined);
    const long = "x".repeat(9_999);
    const labels = Object.fromEntries(Array.from({ length: 99 }, (_, n) => [`label-${n}`, long]));
    const daemon = {
      ...anAnswer.facts,
      version: long,
      labels,
      gcPolicy: Array.from({ length: 40 }, () => ({ all: false, filters: [long] })),
    };
    const problem = { reason: "CrashLooping", message: long } as const;
    const status = builderStatus(input({ instances: [{ ...good, daemon, problem }] }));
    const kept = BuilderStatus.safeParse({ ...status, version: undefined });
    assert.equal(kept.success, true, JSON.stringify(kept.error?.issues[0]));
    assert.ok((status.version ?? "").length <= 128);
  });
});
