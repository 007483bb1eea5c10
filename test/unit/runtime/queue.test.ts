import assert from "node:assert/strict";
import fc from "fast-check";
import { KeyedQueue } from "../../../src/runtime/queue.ts";
import type { Priority } from "../../../src/runtime/queue.ts";
import { FakeClock } from "./fake-clock.ts";

/** A queue and what a test needs to look at it. */
function aQueue() {
  const clock = new FakeClock();
  const queue = new KeyedQueue({ clock, random: () => 0 });
  /** Takes a key only if there is one now. */
  const takeNow = async (): Promise<string | undefined> =>
    queue.depth === 0 ? undefined : queue.take();
  return { clock, queue, takeNow };
}

describe("KeyedQueue", () => {
  it("gives a key out once, however often it was added", async () => {
    const { queue, takeNow } = aQueue();
    queue.add("a");
    queue.add("a");
    queue.add("b");
    assert.equal(await takeNow(), "a");
    assert.equal(await takeNow(), "b");
    assert.equal(await takeNow(), undefined);
  });

  it("does not give out a key that a worker holds, and gives it out again when it was added meanwhile", async () => {
    const { queue, takeNow } = aQueue();
    queue.add("a");
    await takeNow();
    queue.add("a");
    queue.add("a");
    assert.equal(await takeNow(), undefined);
    queue.finish("a");
    assert.equal(await takeNow(), "a");
    queue.finish("a");
    assert.equal(await takeNow(), undefined);
  });

  it("gives out normal keys before low ones, and a key added with both as normal", async () => {
    const { queue, takeNow } = aQueue();
    queue.add("low-1", { priority: "low" });
    queue.add("low-2", { priority: "low" });
    queue.add("normal");
    queue.add("low-2");
    assert.deepEqual(
      [await takeNow(), await takeNow(), await takeNow()],
      ["normal", "low-2", "low-1"],
    );
    for (const key of ["normal", "low-2", "low-1"]) queue.finish(key);
    assert.equal(queue.depth, 0, "low-2 is not left over with its other priority");
  });

  it("gives out a delayed key when its time has come, not before", async () => {
    const { clock, queue, takeNow } = aQueue();
    queue.add("a", { delayMs: 1000 });
    await clock.advance(999);
    assert.equal(await takeNow(), undefined);
    await clock.advance(1);
    assert.equal(await takeNow(), "a");
    assert.equal(clock.timers, 0);
  });

  it("keeps the earlier of two delays", async () => {
    const { clock, queue, takeNow } = aQueue();
    queue.add("a", { delayMs: 5000 });
    queue.add("a", { delayMs: 1000 });
    queue.add("a", { delayMs: 3000 });
    await clock.advance(1000);
    assert.equal(await takeNow(), "a");
    queue.finish("a");
    await clock.advance(10_000);
    assert.equal(await takeNow(), undefined);
  });

  it("drops a delay when the key runs before it, and keeps one that was asked for during the run", async () => {
    const { clock, queue, takeNow } = aQueue();
    queue.add("a", { delayMs: 5000 });
    queue.add("a");
    assert.equal(await takeNow(), "a");
    queue.add("a", { delayMs: 7000 });
    queue.finish("a");
    await clock.advance(6999);
    assert.equal(await takeNow(), undefined);
    await clock.advance(1);
    assert.equal(await takeNow(), "a");
  });

  it("backs a key off further with each retry until it is forgotten", () => {
    const { queue } = aQueue();
    assert.deepEqual([queue.retry("a"), queue.retry("a"), queue.retry("a")], [50, 100, 200]);
    assert.equal(queue.retry("b"), 50);
    assert.equal(queue.failures("a"), 3);
    queue.forget("a");
    assert.equal(queue.retry("a"), 50);
  });

  it("wakes one waiting worker for one key", async () => {
    const { queue } = aQueue();
    const first = queue.take();
    const second = queue.take();
    queue.add("a");
    assert.equal(await first, "a");
    queue.add("b");
    assert.equal(await second, "b");
  });

  it("tells waiting workers of its end, and gives out nothing more", async () => {
    const { clock, queue } = aQueue();
    const waiting = queue.take();
    queue.add("later", { delayMs: 1 });
    queue.shutDown();
    queue.add("a");
    assert.equal(await waiting, undefined);
    assert.equal(await queue.take(), undefined);
    assert.equal(clock.timers, 0);
  });

  it("never has two workers on a key and loses nothing, whatever is added when", async () => {
    const add = fc.record({
      key: fc.constantFrom("a", "b", "c", "d"),
      delayMs: fc.constantFrom(0, 0, 1, 10, 500),
      priority: fc.constantFrom<Priority>("normal", "low"),
      thenMs: fc.constantFrom(0, 0, 1, 5, 200),
      /** How long the next run of the key takes. */
      workMs: fc.constantFrom(0, 1, 3, 50),
    });
    const workers = fc.integer({ min: 1, max: 3 });
    await fc.assert(
      fc.asyncProperty(fc.array(add, { maxLength: 40 }), workers, async (adds, count) => {
        const { clock, queue } = aQueue();
        const log: { what: "add" | "start"; key: string; at: number; due: number }[] = [];
        const busy = new Set<string>();
        const workMs = new Map<string, number>();
        const work = async (): Promise<void> => {
          for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
            assert.ok(!busy.has(key), `two workers on ${key}`);
            busy.add(key);
            log.push({ what: "start", key, at: clock.now(), due: 0 });
            const taken = key;
            await new Promise<void>((resolve) => clock.after(workMs.get(taken) ?? 0, resolve));
            busy.delete(key);
            queue.finish(key);
          }
        };
        const running = Array.from({ length: count }, work);
        for (const { key, delayMs, priority, thenMs, workMs: ms } of adds) {
          workMs.set(key, ms);
          log.push({ what: "add", key, at: clock.now(), due: clock.now() + delayMs });
          queue.add(key, { delayMs, priority });
          if (thenMs > 0) await clock.advance(thenMs);
        }
        await clock.advance(10_000);
        queue.shutDown();
        await Promise.all(running);
        for (const [index, entry] of log.entries()) {
          if (entry.what !== "add") continue;
          const start = log.slice(index).find((e) => e.what === "start" && e.key === entry.key);
          assert.ok(start !== undefined, `${entry.key} added at ${entry.at} never ran`);
          // With every worker on other keys for the whole time it can be this late and no later.
          const latest = entry.due + 50 * (adds.length + 1);
          assert.ok(start.at <= latest, `${entry.key} due at ${entry.due} ran at ${start.at}`);
        }
        const starts = log.filter((e) => e.what === "start").length;
        assert.ok(starts <= adds.length, `${starts} runs for ${adds.length} adds`);
      }),
      { numRuns: 200 },
    );
  });
});
