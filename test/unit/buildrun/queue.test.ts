// Who goes first, who waits, and that slots are neither lost nor given out twice.

import assert from "node:assert/strict";
import fc from "fast-check";
import type { Instance } from "../../../src/builder/index.ts";
import { QueueBook, type Turn } from "../../../src/buildrun/queue.ts";
import { anAttempt, anInstance, aRun, aRunningRun, at, builderRef, created } from "./fixture.ts";

function run(name: string, seconds = 0) {
  const creationTimestamp = new Date(created.getTime() + seconds * 1000).toISOString();
  return aRun({ metadata: { name, creationTimestamp } });
}

function ask(book: QueueBook, name: string, instances: readonly Instance[], seconds = 0): Turn {
  return book.turn({ run: run(name, seconds), builder: builderRef, instances, affinity: "a" });
}

const one = [anInstance({ capacity: 1 })];

describe("the queue of a Builder", () => {
  it("gives the slot of a free instance, and the same one when asked again", () => {
    const book = new QueueBook();
    assert.deepEqual(ask(book, "a", one), { kind: "go", instance: "default-0" });
    assert.deepEqual(ask(book, "a", one), { kind: "go", instance: "default-0" });
    assert.equal(book.running(builderRef, "default-0"), 1);
  });

  it("lets the older run go first, whoever asks first", () => {
    const book = new QueueBook();
    ask(book, "held", one);
    ask(book, "young", one, 9);
    ask(book, "old", one, 1);
    book.forget("shop/held");
    assert.partialDeepStrictEqual(ask(book, "young", one, 9), {
      kind: "wait",
      ahead: 1,
      reason: "NotNext",
    });
    assert.equal(ask(book, "old", one, 1).kind, "go");
  });

  it("says how many are in front when all slots are taken", () => {
    const book = new QueueBook();
    ask(book, "held", one);
    for (const [index, name] of ["a", "b", "c"].entries()) ask(book, name, one, index + 1);
    assert.partialDeepStrictEqual(ask(book, "c", one, 3), {
      kind: "wait",
      ahead: 2,
      reason: "NoFreeSlot",
    });
    assert.equal(book.waiting(builderRef).length, 3);
  });

  it("counts each run that waits for the instance that it would go to first", () => {
    const book = new QueueBook();
    const fleet = [
      anInstance({ id: "a", capacity: 1, platforms: ["linux/amd64"] }),
      anInstance({ id: "b", capacity: 1, platforms: ["linux/amd64"] }),
      anInstance({ id: "arm", capacity: 1, platforms: ["linux/arm64"] }),
    ];
    const turn = (name: string, affinity: string, ...platforms: string[]) => {
      const of = aRun({ metadata: { name }, spec: { platforms } });
      return book.turn({ run: of, builder: builderRef, instances: fleet, affinity });
    };
    // Every slot is taken, and the runs of each repository like one instance best.
    for (const name of ["x", "y"]) assert.equal(turn(name, name, "linux/amd64").kind, "go");
    assert.equal(turn("z", "z", "linux/arm64").kind, "go");
    for (const name of ["r1", "r2", "r3"]) turn(name, "shop", "linux/amd64");
    turn("s1", "shop", "linux/arm64");
    turn("t1", "shop", "linux/s390x");
    const counts = book.queuedAt(builderRef, fleet);
    const amd = ["a", "b"].map((id) => counts.get(id) ?? 0).sort((m, n) => m - n);
    assert.deepEqual(amd.slice(0, 1), [0]);
    assert.ok((amd[1] ?? 0) >= 3, "all of one repository count for one instance");
    assert.ok((counts.get("arm") ?? 0) >= 1);
    assert.equal(
      [...counts.values()].reduce((sum, count) => sum + count, 0),
      5,
      "each counts once",
    );
    const none = fleet.map((one) => ({ ...one, ready: false }));
    assert.equal(book.queuedAt(builderRef, none).size, 0);
  });

  it("lets no run for one platform wait for a slot of another", () => {
    const book = new QueueBook();
    const fleet = [
      anInstance({ id: "amd", capacity: 1, platforms: ["linux/amd64"] }),
      anInstance({ id: "arm", capacity: 1, platforms: ["linux/arm64"], ready: false }),
    ];
    const turn = (name: string, seconds: number, ...platforms: string[]) => {
      const creationTimestamp = new Date(created.getTime() + seconds * 1000).toISOString();
      const of = aRun({ metadata: { name, creationTimestamp }, spec: { platforms } });
      return book.turn({ run: of, builder: builderRef, instances: fleet, affinity: "a" });
    };
    for (const seconds of [1, 2, 3])
      assert.equal(turn(`arm-${seconds}`, seconds, "linux/arm64").kind, "wait");
    assert.equal(turn("young", 5, "linux/amd64").kind, "go");
    assert.deepEqual(book.waiting(builderRef).length, 3);
    assert.partialDeepStrictEqual(turn("next", 7, "linux/amd64"), { reason: "NoFreeSlot" });
    assert.equal(turn("any", 6).kind, "wait");
    assert.deepEqual(book.next("Builder/shop/default", 1), ["shop/arm-1", "shop/any", "shop/next"]);
    book.forget("shop/young");
    assert.partialDeepStrictEqual(turn("next", 7, "linux/amd64"), { reason: "NotNext" });
    assert.deepEqual(turn("any", 6), { kind: "go", instance: "amd" });
  });

  it("rings when a slot is free again, and names who is next", () => {
    const rung: string[] = [];
    const book: QueueBook = new QueueBook((builder) => rung.push(...book.next(builder, 1)));
    ask(book, "held", one);
    ask(book, "b", one, 2);
    ask(book, "a", one, 1);
    book.release("shop/held");
    assert.deepEqual(rung, ["shop/a"]);
  });

  it("counts attempts that another controller started", () => {
    const book = new QueueBook();
    book.observe(aRunningRun({ metadata: { name: "theirs" } }));
    assert.equal(book.running(builderRef, "default-0"), 1);
    assert.equal(ask(book, "mine", one, 1).kind, "wait");
  });

  it("frees the slot of an attempt that ended, repeated or not", () => {
    const book = new QueueBook();
    book.observe(aRunningRun());
    const closed = anAttempt({ finishedAt: at(9).toISOString(), outcome: "Lost" });
    book.observe(aRunningRun({ status: { attempts: [closed] } }));
    assert.equal(book.running(builderRef, "default-0"), 0);
    book.observe(aRunningRun());
    book.observe(aRunningRun({ status: { completionTime: at(9).toISOString() } }));
    assert.equal(book.running(builderRef, "default-0"), 0);
  });

  it("keeps a slot that was just given out when the run's old state comes by", () => {
    const book = new QueueBook();
    ask(book, "a", one);
    book.observe(run("a"));
    assert.equal(book.running(builderRef, "default-0"), 1);
  });

  it("does not wait for a platform that nobody offers: a build may only copy for it", () => {
    const book = new QueueBook();
    const foreign = aRun({ spec: { platforms: ["linux/s390x"] } });
    const turn = book.turn({ run: foreign, builder: builderRef, instances: one, affinity: "a" });
    assert.equal(turn.kind, "go");
  });

  it("never gives out more slots than there are, and none is lost", () => {
    const names = ["a", "b", "c", "d", "e", "f"];
    const action = fc.record({
      name: fc.constantFrom(...names),
      kind: fc.constantFrom("ask", "release", "forget"),
    });
    const instances = [anInstance({ capacity: 2 }), anInstance({ id: "default-1", capacity: 1 })];
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const book = new QueueBook();
        for (const { name, kind } of actions) {
          if (kind === "ask") ask(book, name, instances, names.indexOf(name));
          if (kind === "release") book.release(`shop/${name}`);
          if (kind === "forget") book.forget(`shop/${name}`);
          for (const { id, capacity } of instances)
            assert.ok(book.running(builderRef, id) <= capacity);
        }
        for (const name of names) book.forget(`shop/${name}`);
        for (const { id } of instances) assert.equal(book.running(builderRef, id), 0);
        assert.equal(book.waiting(builderRef).length, 0);
      }),
      { numRuns: 200 },
    );
  });
});
