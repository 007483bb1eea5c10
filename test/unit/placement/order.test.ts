import assert from "node:assert/strict";
import fc from "fast-check";
import { order, positionOf, type QueuedRun } from "../../../src/placement/order.ts";

const run = (key: string, createdAtMs: number): QueuedRun => ({ key, createdAtMs });

describe("the order of the queue", () => {
  it("is by age, then by name", () => {
    const runs = [run("ns/c", 2), run("ns/b", 1), run("ns/a", 2)];
    assert.deepEqual(
      order(runs).map(({ key }) => key),
      ["ns/b", "ns/a", "ns/c"],
    );
  });

  it("lets an earlier rule decide before age", () => {
    const urgent = (one: QueuedRun): number => (one.key.startsWith("hot/") ? 0 : 1);
    const ordered = order(
      [run("ns/a", 1), run("hot/b", 9)],
      [(a, b) => urgent(a) - urgent(b), (a, b) => a.createdAtMs - b.createdAtMs],
    );
    assert.deepEqual(
      ordered.map(({ key }) => key),
      ["hot/b", "ns/a"],
    );
  });

  it("counts positions from one", () => {
    const ordered = order([run("ns/a", 1), run("ns/b", 2)]);
    assert.equal(positionOf(ordered, "ns/b"), 2);
    assert.equal(positionOf(ordered, "ns/none"), undefined);
  });

  it("does not depend on how the runs were given, and loses none", () => {
    const runs = fc.uniqueArray(fc.record({ key: fc.string(), createdAtMs: fc.nat(5) }), {
      selector: ({ key }) => key,
    });
    fc.assert(
      fc.property(runs, (list) => {
        const ordered = order(list);
        assert.deepEqual(order([...list].reverse()), ordered);
        assert.equal(ordered.length, list.length);
      }),
    );
  });
});
