import assert from "node:assert/strict";
import fc from "fast-check";
import {
  keptIdleMs,
  prewarmed,
  type Scaled,
  type ScaleInput,
  wantedInstances,
} from "../../../src/placement/scale.ts";

const minute = 60_000;

function one(over: Partial<Scaled> = {}): Scaled {
  return { usable: true, up: true, running: 0, idleMs: 0, leaving: false, ...over };
}

function input(
  over: Partial<Omit<ScaleInput, "scaling">> & { scaling?: Partial<ScaleInput["scaling"]> },
): ScaleInput {
  const scaling = { min: 0, max: 4, idleTimeoutMs: 10 * minute, maxStarting: 4, ...over.scaling };
  return { capacity: 2, queued: 0, prewarm: 0, instances: [], ...over, scaling };
}

const busy = one({ running: 2 });
const expired = one({ idleMs: 10 * minute });

const cases: readonly [name: string, asked: Parameters<typeof input>[0], wanted: number][] = [
  ["none without runs", {}, 0],
  ["the least that is allowed without runs", { scaling: { min: 2 } }, 2],
  ["one for the first queued run", { queued: 1 }, 1],
  ["as many as the queue fills", { queued: 5 }, 3],
  ["never more than allowed", { queued: 50 }, 4],
  ["none more while there are free slots", { queued: 1, instances: [one({ running: 1 })] }, 1],
  ["one more when what waits does not fit", { queued: 2, instances: [one({ running: 1 })] }, 2],
  [
    "none for slots that take no run",
    { queued: 1, instances: [one({ running: 1, usable: false })] },
    2,
  ],
  ["idle ones serve the queue", { queued: 3, instances: [one(), one()] }, 2],
  ["idle ones are kept for a while", { instances: [one({ idleMs: 9 * minute })] }, 1],
  ["and go then", { instances: [expired, busy] }, 1],
  ["but not below the least", { instances: [expired, expired], scaling: { min: 1 } }, 1],
  [
    "an idle one that is to go is not counted on",
    { queued: 1, instances: [one({ leaving: true })] },
    1,
  ],
  [
    "busy ones that are to go are counted",
    { queued: 2, instances: [one({ running: 2, leaving: true })] },
    2,
  ],
  [
    "more than allowed stay while they have runs",
    { scaling: { max: 1 }, instances: [busy, busy] },
    2,
  ],
  ["as many as somebody asked to have warm", { prewarm: 3 }, 3],
  ["not more than allowed for that either", { prewarm: 9 }, 4],
  ["only so many start at once", { queued: 8, scaling: { maxStarting: 2 } }, 2],
  [
    "those that start count",
    { queued: 8, scaling: { maxStarting: 2 }, instances: [one({ up: false }), busy] },
    3,
  ],
  [
    "from the top: all below a busy one stay",
    {
      instances: [
        { ...expired, ordinal: 0 },
        { ...expired, ordinal: 1 },
        { ...busy, ordinal: 2 },
      ],
    },
    3,
  ],
  [
    "from the top: idle ones above the last busy one go",
    {
      instances: [
        { ...busy, ordinal: 0 },
        { ...expired, ordinal: 1 },
        { ...expired, ordinal: 2 },
      ],
    },
    1,
  ],
];

describe("how many instances there should be:", () => {
  for (const [name, asked, wanted] of cases) {
    it(name, () => assert.equal(wantedInstances(input(asked)), wanted));
  }

  const instance = fc.record({
    usable: fc.boolean(),
    up: fc.boolean(),
    running: fc.nat(3),
    idleMs: fc.nat(20 * minute),
    leaving: fc.boolean(),
  });
  const asked = fc.record({
    capacity: fc.integer({ min: 1, max: 4 }),
    queued: fc.nat(30),
    prewarm: fc.nat(9),
    instances: fc.array(instance, { maxLength: 8 }),
  });

  it("within bounds but for runs, never fewer than have runs, and never less for a longer queue", () => {
    fc.assert(
      fc.property(asked, fc.nat(4), (o, min) => {
        const scaling = { min, max: 6, maxStarting: 64 };
        const wanted = wantedInstances(input({ ...o, scaling }));
        const running = o.instances.filter((each) => each.running > 0).length;
        assert.ok(wanted >= Math.max(min, running));
        assert.ok(wanted <= Math.max(6, running));
        const longer = wantedInstances(input({ ...o, queued: o.queued + 1, scaling }));
        assert.ok(longer >= wanted);
      }),
    );
  });
});

describe("the prewarm annotation", () => {
  const now = new Date("2026-01-31T07:00:00Z");
  const texts: readonly [string | undefined, number][] = [
    ["2", 2],
    [" 3 until 2026-01-31T08:00:00Z", 3],
    ["3 until 2026-01-31T06:00:00Z", 0],
    ["3 until tomorrow", 0],
    ["many", 0],
    ["-1", 0],
    [undefined, 0],
  ];
  for (const [text, count] of texts) {
    it(`${text ?? "that is not there"} asks for ${count}`, () =>
      assert.equal(prewarmed(text, now), count));
  }
});

describe("how long an idle instance is kept:", () => {
  const bounds = { idleTimeoutMs: 10 * minute, longestMs: 60 * minute };
  const every = (gap: number, count: number): number[] =>
    Array.from({ length: count }, (_, at) => at * gap * minute);
  const rows: readonly [name: string, starts: number[], minutes: number][] = [
    ["the least without history", [], 10],
    ["the least with one start", [5], 10],
    ["the least when runs come often", every(2, 10), 10],
    ["twice the usual gap", every(20, 10), 40],
    ["no longer than allowed", every(45, 10), 60],
    ["the least when runs come further apart than that", every(90, 10), 10],
    ["by what is usual, not by one long night", [...every(1, 10), 900 * minute], 10],
    ["by the last runs", [...every(1, 40), ...every(20, 20).map((at) => at + 60 * minute)], 40],
  ];
  for (const [name, starts, minutes] of rows) {
    it(name, () => assert.equal(keptIdleMs(starts, bounds), minutes * minute));
  }
});
