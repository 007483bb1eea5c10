import assert from "node:assert/strict";
import { type Kind, share } from "../../../src/placement/share.ts";

const amd = (room = 8): Kind => ({ platforms: ["linux/amd64"], room });
const arm = (room = 8): Kind => ({ platforms: ["linux/arm64", "linux/arm/v7"], room });
const any = (room = 8): Kind => ({ platforms: undefined, room });
const times = (count: number, ...platforms: string[]): string[][] =>
  Array.from({ length: count }, () => platforms);

describe("waiting runs and the kinds of instances that they ask for", () => {
  const cases: readonly (readonly [
    what: string,
    waiting: readonly string[][],
    kinds: readonly Kind[],
    counts: readonly number[],
  ])[] = [
    ["one kind gets all", times(3), [amd()], [3]],
    [
      "each run counts for the kind of its platform",
      times(2, "linux/arm64/v8"),
      [amd(), arm()],
      [0, 2],
    ],
    ["a run without platforms counts once", times(3), [amd(), arm()], [3, 0]],
    ["what has no room in the first goes to the second", times(5), [amd(2), arm()], [2, 3]],
    ["what has no room anywhere counts for the first", times(5), [amd(2), arm(1)], [4, 1]],
    ["but not for one that cannot build it", times(5, "linux/arm64"), [amd(), arm(1)], [0, 5]],
    ["nobody knows: it may be for anything", times(1, "linux/arm64"), [amd(), any()], [0, 1]],
    ["a platform of none is no reason to wait", times(1, "linux/s390x"), [amd(), arm()], [1, 0]],
    ["no kinds, no counts", times(1), [], []],
  ];
  for (const [what, waiting, kinds, counts] of cases) {
    it(what, () => assert.deepEqual(share(waiting, kinds), counts));
  }
});
