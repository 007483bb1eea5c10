import assert from "node:assert/strict";
import {
  type FleetPlan,
  type FleetState,
  type Member,
  planFleet,
} from "../../../../src/builder/lifecycle/plan.ts";

function aMember(id: string, over: Partial<Member> = {}): Member {
  return {
    id,
    up: true,
    usable: over.up !== false && over.draining === undefined,
    terminating: false,
    outdated: false,
    spent: false,
    fenced: false,
    running: 0,
    idleMs: 0,
    ...over,
  };
}

/** `b-2`: the third pod of a StatefulSet. */
function inPlace(ordinal: number, over: Partial<Member> = {}): Member {
  return aMember(`b-${ordinal}`, { ordinal, ...over });
}

function aFleet(wanted: number, members: Member[], over: Partial<FleetState> = {}): FleetState {
  return {
    ordered: members.some(({ ordinal }) => ordinal !== undefined),
    replicas: members.length,
    wanted,
    surge: true,
    members,
    drainTimeoutMs: 60_000,
    nowMs: 1_000_000,
    ...over,
  };
}

const old = { outdated: true } as const;
const since = (why: "Roll" | "ScaleDown" | "Used", ms = 1_000) => ({
  draining: { why, sinceMs: 1_000_000 - ms },
});

interface Case {
  readonly name: string;
  readonly fleet: FleetState;
  readonly plan: Partial<FleetPlan>;
}

const cases: readonly Case[] = [
  {
    name: "nothing, when all is as it should be",
    fleet: aFleet(2, [aMember("a"), aMember("b", { running: 3 })]),
    plan: { replicas: 2 },
  },
  {
    name: "as many as are wanted, when nothing is there",
    fleet: aFleet(3, [], { replicas: 0 }),
    plan: { replicas: 3 },
  },
  {
    name: "one more instance, before an old one goes",
    fleet: aFleet(1, [aMember("a", old)]),
    plan: { replicas: 2 },
  },
  {
    name: "no other than before, while the new one starts",
    fleet: aFleet(1, [aMember("a", old), aMember("b", { up: false })]),
    plan: { replicas: 2 },
  },
  {
    name: "an end of new runs on the old one, once the new one is up",
    fleet: aFleet(1, [aMember("a", { ...old, running: 2 }), aMember("b")]),
    plan: { replicas: 2, drain: [{ id: "a", why: "Roll" }] },
  },
  {
    name: "patience with the old one, while it has runs",
    fleet: aFleet(1, [aMember("a", { ...old, running: 2, ...since("Roll") }), aMember("b")]),
    plan: { replicas: 2 },
  },
  {
    name: "a cut, when its time is up",
    fleet: aFleet(1, [
      aMember("a", { ...old, running: 2, ...since("Roll", 60_000) }),
      aMember("b"),
    ]),
    plan: { replicas: 2, cut: ["a"] },
  },
  {
    name: "the end of the last old one by fewer replicas, when it is idle",
    fleet: aFleet(1, [aMember("a", { ...old, ...since("Roll") }), aMember("b")]),
    plan: { replicas: 1, leave: ["a"] },
  },
  {
    name: "the end of an old one by name, while others are to follow",
    fleet: aFleet(2, [
      aMember("a", { ...old, ...since("Roll") }),
      aMember("b", { ...old, running: 1 }),
      aMember("c"),
    ]),
    plan: { replicas: 3, leave: ["a"], remove: ["a"] },
  },
  {
    name: "one old instance at a time: the one with the fewest runs",
    fleet: aFleet(2, [
      aMember("a", { ...old, running: 2 }),
      aMember("b", { ...old, running: 1 }),
      aMember("c"),
    ]),
    plan: { replicas: 3, drain: [{ id: "b", why: "Roll" }] },
  },
  {
    name: "old ones that never came up go at once, so that a corrected image is tried",
    fleet: aFleet(2, [aMember("a", { ...old, up: false }), aMember("b", { ...old, up: false })]),
    plan: { replicas: 2, leave: ["a", "b"], remove: ["a", "b"] },
  },
  {
    name: "runs on an old instance again, when the edit is taken back",
    fleet: aFleet(1, [aMember("a", since("Roll")), aMember("b", { up: false, ...old })]),
    plan: { replicas: 1, resume: ["a"], leave: ["b"] },
  },
  {
    name: "no surge where there is no room for one",
    fleet: aFleet(2, [aMember("a", old), aMember("b", old)], { surge: false }),
    plan: { replicas: 2, drain: [{ id: "a", why: "Roll" }] },
  },
  {
    name: "an end of new runs on what is too much: what answers last, then what is idle longest",
    fleet: aFleet(1, [
      aMember("a", { running: 1 }),
      aMember("b", { idleMs: 5_000 }),
      aMember("c", { idleMs: 9_000 }),
    ]),
    plan: {
      replicas: 3,
      drain: [
        { id: "c", why: "ScaleDown" },
        { id: "b", why: "ScaleDown" },
      ],
    },
  },
  {
    name: "fewer replicas for the idle ones that were told",
    fleet: aFleet(1, [
      aMember("a", { running: 1 }),
      aMember("b", since("ScaleDown")),
      aMember("c", { running: 1, ...since("ScaleDown") }),
    ]),
    plan: { replicas: 2, leave: ["b"] },
  },
  {
    name: "runs there again, when they are wanted again",
    fleet: aFleet(2, [
      aMember("a", { running: 1 }),
      aMember("c", { running: 1, ...since("ScaleDown") }),
    ]),
    plan: { replicas: 2, resume: ["c"] },
  },
  {
    name: "none at all, when none is wanted and none has runs",
    fleet: aFleet(0, [aMember("a", since("ScaleDown")), aMember("b", since("ScaleDown"))]),
    plan: { replicas: 0, leave: ["a", "b"] },
  },
  {
    name: "an instance that had its one run is replaced if another is wanted",
    fleet: aFleet(1, [aMember("a", { spent: true, ...since("Used") })]),
    plan: { replicas: 1, leave: ["a"], remove: ["a"] },
  },
  {
    name: "and goes if none is",
    fleet: aFleet(0, [aMember("a", { spent: true, ...since("Used") })]),
    plan: { replicas: 0, leave: ["a"] },
  },
  {
    name: "an instance with its one run takes no second",
    fleet: aFleet(1, [aMember("a", { spent: true, running: 1 })]),
    plan: { replicas: 1, drain: [{ id: "a", why: "Used" }] },
  },
  {
    name: "an instance whose agent takes nothing more is replaced",
    fleet: aFleet(1, [aMember("a", { fenced: true, usable: false })]),
    plan: { replicas: 1, leave: ["a"], remove: ["a"] },
  },
  {
    name: "of a StatefulSet only the top goes, and waits for its runs",
    fleet: aFleet(1, [
      inPlace(0),
      inPlace(1, since("ScaleDown")),
      inPlace(2, { running: 1, ...since("ScaleDown") }),
    ]),
    plan: { replicas: 3 },
  },
  {
    name: "of a StatefulSet all idle ones from the top",
    fleet: aFleet(1, [
      inPlace(0),
      inPlace(1, { running: 1, ...since("ScaleDown") }),
      inPlace(2, since("ScaleDown")),
    ]),
    plan: { replicas: 2, leave: ["b-2"] },
  },
  {
    name: "a StatefulSet rolls one by one, without one more",
    fleet: aFleet(2, [inPlace(0, { ...old, running: 1 }), inPlace(1, old)]),
    plan: { replicas: 2, drain: [{ id: "b-1", why: "Roll" }] },
  },
  {
    name: "a StatefulSet's idle old instance is deleted by name, and comes back new",
    fleet: aFleet(2, [
      inPlace(0, { ...old, running: 1 }),
      inPlace(1, { ...old, ...since("Roll") }),
    ]),
    plan: { replicas: 2, leave: ["b-1"], remove: ["b-1"] },
  },
  {
    name: "a StatefulSet's next one waits until the last is up again",
    fleet: aFleet(2, [inPlace(0, old), inPlace(1, { up: false })]),
    plan: { replicas: 2 },
  },
  {
    name: "when everything drains, nothing goes, and what takes too long is cut",
    fleet: aFleet(
      2,
      [aMember("a", { running: 1, usable: false }), aMember("b", { usable: false })],
      {
        allSinceMs: 900_000,
      },
    ),
    plan: { replicas: 2, cut: ["a"] },
  },
  {
    name: "a terminating pod of a template that waits for longer is cut, too",
    fleet: aFleet(0, [aMember("a", { running: 1, terminating: true })], { allSinceMs: 0 }),
    plan: { replicas: 0, cut: ["a"] },
  },
];

describe("the plan of a fleet is", () => {
  for (const { name, fleet, plan } of cases) {
    it(name, () => {
      const nothing = { drain: [], resume: [], cut: [], leave: [], remove: [] };
      assert.deepEqual(planFleet(fleet), { ...nothing, ...plan });
    });
  }
});
