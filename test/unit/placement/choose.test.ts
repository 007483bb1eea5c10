import assert from "node:assert/strict";
import fc from "fast-check";
import {
  affinityKey,
  choose,
  type Candidate,
  type WaitReason,
} from "../../../src/placement/choose.ts";
import { preference } from "../../../src/placement/hash.ts";

function candidate(id: string, over: Partial<Candidate> = {}): Candidate {
  return { id, ready: true, terminating: false, capacity: 4, platforms: ["linux/amd64"], ...over };
}

const idle = (): number => 0;

describe("choosing an instance says why there is none", () => {
  const cases: {
    name: string;
    instances: Candidate[];
    platforms?: string[];
    load?: number;
    reason: WaitReason;
    says: RegExp;
  }[] = [
    { name: "no instance at all", instances: [], reason: "NoInstance", says: /no instance yet/ },
    {
      name: "none is ready",
      instances: [candidate("a", { ready: false })],
      reason: "NoReadyInstance",
      says: /one instance is ready/,
    },
    {
      name: "the ready one is leaving",
      instances: [candidate("a", { terminating: true }), candidate("b", { ready: false })],
      reason: "NoReadyInstance",
      says: /2 instances is ready; 1 of them is terminating/,
    },
    {
      name: "a platform that nobody builds for",
      instances: [candidate("a")],
      platforms: ["linux/amd64", "linux/s390x"],
      reason: "PlatformNotSupported",
      says: /linux\/s390x; the Builder offers linux\/amd64/,
    },
    {
      name: "two platforms that no single instance builds for",
      instances: [candidate("a"), candidate("b", { platforms: ["linux/arm64"] })],
      platforms: ["linux/amd64", "linux/arm64"],
      reason: "PlatformNotSupported",
      says: /linux\/amd64, linux\/arm64 together/,
    },
    {
      name: "every slot is taken",
      instances: [candidate("a"), candidate("b")],
      load: 4,
      reason: "NoFreeSlot",
      says: /All 8 slots/,
    },
    {
      name: "more runs than slots, after the capacity was lowered",
      instances: [candidate("a")],
      load: 9,
      reason: "NoFreeSlot",
      says: /All 4 slots/,
    },
  ];
  for (const { name, instances, platforms, load, reason, says } of cases) {
    it(name, () => {
      const choice = choose({
        key: "k",
        instances,
        load: () => load ?? 0,
        ...(platforms ? { platforms } : {}),
      });
      assert.equal(choice.kind, "wait");
      assert.equal(choice.reason, reason);
      assert.match(choice.message, says);
    });
  }
});

describe("choosing an instance", () => {
  it("takes linux/arm64 and linux/arm64/v8 for the same platform", () => {
    const instances = [candidate("a", { platforms: ["linux/arm64"] })];
    assert.equal(
      choose({ key: "k", instances, load: idle, platforms: ["linux/arm64/v8"] }).kind,
      "instance",
    );
  });

  it("keeps up to half the slots of the preferred instance for its repository before it spills", () => {
    const instances = ["a", "b", "c"].map((id) => candidate(id));
    const [first, second] = preference(["a", "b", "c"], "repo");
    const running = new Map<string, number>();
    const taken = Array.from({ length: 3 }, () => {
      const choice = choose({ key: "repo", instances, load: (id) => running.get(id) ?? 0 });
      assert.equal(choice.kind, "instance");
      running.set(choice.instance.id, (running.get(choice.instance.id) ?? 0) + 1);
      return choice.instance.id;
    });
    assert.deepEqual(taken, [first, first, second]);
  });
});

describe("the key of affinity", () => {
  it("does not depend on the order of platforms", () => {
    const one = affinityKey({ repository: "r", target: "t", platforms: ["b", "a"] });
    assert.equal(one, affinityKey({ repository: "r", target: "t", platforms: ["a", "b"] }));
  });

  it("tells repository and target apart wherever the text is cut", () => {
    assert.notEqual(
      affinityKey({ repository: "ab", target: "c" }),
      affinityKey({ repository: "a", target: "bc" }),
    );
  });
});

const fleet = fc
  .uniqueArray(fc.stringMatching(/^[a-z0-9-]{1,12}$/), { minLength: 1, maxLength: 12 })
  .chain((ids) =>
    fc.tuple(
      ...ids.map((id) =>
        fc.record({
          instance: fc.record({
            id: fc.constant(id),
            ready: fc.boolean(),
            terminating: fc.boolean(),
            capacity: fc.integer({ min: 1, max: 8 }),
            platforms: fc.constant(["linux/amd64"]),
          }),
          load: fc.integer({ min: 0, max: 10 }),
        }),
      ),
    ),
  );

describe("whatever the fleet, a choice", () => {
  it("is never terminating, unready or full, and is made whenever one instance has room", () => {
    fc.assert(
      fc.property(fleet, fc.string(), (members, key) => {
        const load = (id: string): number =>
          members.find(({ instance }) => instance.id === id)?.load ?? 0;
        const choice = choose({ key, instances: members.map(({ instance }) => instance), load });
        const open = members.filter(
          ({ instance, load: n }) =>
            instance.ready && !instance.terminating && n < instance.capacity,
        );
        assert.equal(choice.kind === "instance", open.length > 0);
        if (choice.kind === "instance")
          assert.ok(open.some(({ instance }) => instance === choice.instance));
      }),
    );
  });

  it("is the same in whatever order the instances come", () => {
    fc.assert(
      fc.property(fleet, fc.string(), (members, key) => {
        const load = (id: string): number =>
          members.find(({ instance }) => instance.id === id)?.load ?? 0;
        const instances = members.map(({ instance }) => instance);
        assert.deepEqual(
          choose({ key, instances, load }),
          choose({ key, instances: [...instances].reverse(), load }),
        );
      }),
    );
  });

  it("moves only the keys of an instance that leaves, about one in k of them", () => {
    const ids = Array.from({ length: 8 }, (_, index) => `builder-main-${index}`);
    const keys = Array.from({ length: 4000 }, (_, index) => `https://git.example/repo-${index}`);
    const home = (among: string[], key: string): string | undefined => preference(among, key)[0];
    const left = ids.slice(1);
    const moved = keys.filter((key) => home(ids, key) !== home(left, key));
    for (const key of moved) assert.equal(home(ids, key), ids[0]);
    const share = moved.length / keys.length;
    assert.ok(share > 0.09 && share < 0.16, `an eighth of the keys, not ${share}`);
  });

  it("never lets an instance go past its bound while runs come one by one", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("hot", "warm", "cold"), { maxLength: 24 }), (keys) => {
        const instances = ["a", "b", "c"].map((id) => candidate(id, { capacity: 8 }));
        const running = new Map<string, number>();
        for (const [index, key] of keys.entries()) {
          const choice = choose({ key, instances, load: (id) => running.get(id) ?? 0 });
          assert.equal(choice.kind, "instance");
          const now = (running.get(choice.instance.id) ?? 0) + 1;
          running.set(choice.instance.id, now);
          const fairShare = Math.ceil((1.25 * (index + 1)) / 3);
          assert.ok(now <= Math.max(4, fairShare), `${now} runs of ${index + 1}`);
        }
      }),
    );
  });
});
