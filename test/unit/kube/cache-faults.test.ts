// etcd's promises about watches (ordered, unique, reliable, resumable, bookmarkable; filters are the
// server's), held as invariants of what the cache tells, whatever the server does.
import assert from "node:assert/strict";
import { settle } from "../runtime/fake-clock.ts";
import { random } from "../runtime/random.ts";
import { aCache } from "./a-cache.ts";
import type { RequestFault, StreamFault, Thing } from "./scripted-server.ts";

describe("ResourceCache under faults", () => {
  const requestFaults: RequestFault[] = ["reset", "unavailable", "gone", "hang"];
  const streamFaults: StreamFault[] = [
    "silence",
    "delay",
    "gone",
    "error",
    "truncate",
    "reset",
    "duplicate",
    "replay",
    "close",
  ];
  const names = ["a", "b", "c", "d", "e"];

  async function runSchedule(seed: number) {
    const world = aCache({}, seed);
    const { clock, server, cache } = world;
    const draw = random(seed * 7919);
    const pick = <E>(from: readonly E[]): E => from[Math.floor(draw() * from.length)] as E;
    const rate = draw() * 0.4;
    server.script = {
      request: () => (draw() < rate ? pick(requestFaults) : undefined),
      event: () => (draw() < rate ? pick(streamFaults) : undefined),
    };
    cache.start();
    for (let step = 0; step < 40; step += 1) {
      for (let change = Math.floor(draw() * 4); change > 0; change -= 1) {
        if (draw() < 0.65) server.put(pick(names));
        else server.remove(pick(names));
      }
      if (draw() < 0.15) server.bookmark();
      if (draw() < 0.1) server.compact();
      await clock.advance(draw() < 0.2 ? draw() * 200_000 : draw() * 2_000);
    }
    server.script = { request: () => undefined, event: () => undefined };
    await clock.advance(700_000);
    server.bookmark();
    await settle();
    await cache.stop();
    assert.equal(clock.timers, 0, "no timer is left");
    assert.equal(server.openWatches, 0, "no watch is left");
    return world;
  }

  /** Names what is wrong with what the cache told, if anything. */
  function check({ server, cache, told }: ReturnType<typeof aCache>): void {
    const stored = (list: Iterable<Thing>) =>
      [...list]
        .map((t) => `${t.metadata.name} ${t.metadata.uid} ${t.metadata.resourceVersion}`)
        .toSorted();
    assert.deepEqual(stored(cache.list()), stored(server.objects.values()), "reliable: ends equal");
    const alive = new Map<string, Thing>();
    const seen = new Set<string>();
    for (const { type, key, object } of told) {
      const { uid, resourceVersion } = object.metadata;
      const known = alive.get(key);
      if (type === "Added") assert.equal(known, undefined, `${key} added twice`);
      else assert.equal(known?.metadata.uid, uid, `${type} of ${key} is about another object`);
      if (type !== "Deleted") {
        const id = `${key} ${uid} ${resourceVersion}`;
        assert.ok(!seen.has(id), `unique: ${id} told twice`);
        seen.add(id);
        const before = Number(known?.metadata.resourceVersion ?? 0);
        assert.ok(Number(resourceVersion) > before, `ordered: ${id} after ${before}`);
        alive.set(key, object);
      } else alive.delete(key);
    }
    for (const [index, from] of server.watchedFrom.entries()) {
      const delivered = server.deliveredTo[index] ?? 0;
      assert.equal(from, delivered, "resumable and bookmarkable: from the last version delivered");
    }
  }

  // In portions, so that a busy machine stays far from the timeout of one test.
  const portion = 50;
  for (let first = 1; first <= 300; first += portion) {
    const last = first + portion - 1;
    it(`holds the watch properties over the fault schedules ${first} to ${last}`, async () => {
      for (let seed = first; seed <= last; seed += 1) {
        try {
          check(await runSchedule(seed));
        } catch (error) {
          throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
        }
      }
    });
  }

  it("tells every change exactly once when no version is ever too old", async () => {
    for (let seed = 1; seed <= 60; seed += 1) {
      const { clock, server, cache, told } = aCache({}, seed);
      const draw = random(seed * 104_729);
      const faults: StreamFault[] = [
        "delay",
        "truncate",
        "reset",
        "duplicate",
        "replay",
        "close",
        "error",
      ];
      cache.start();
      await clock.advance(0);
      server.script = {
        request: () => undefined,
        event: () =>
          draw() < 0.1 ? (faults[Math.floor(draw() * faults.length)] as StreamFault) : undefined,
      };
      for (let step = 0; step < 30; step += 1) {
        const name = names[Math.floor(draw() * names.length)] as string;
        if (draw() < 0.65) server.put(name);
        else server.remove(name);
        await clock.advance(draw() * 20_000);
      }
      server.script = { request: () => undefined, event: () => undefined };
      await clock.advance(700_000);
      assert.equal(server.lists, 1);
      const want = server.history.map((c) => `${c.type.toLowerCase()} ${c.version}`);
      const got = told.map((e) => `${e.type.toLowerCase()} ${e.object.metadata.resourceVersion}`);
      assert.deepEqual(got, want, `seed ${seed}`);
      await cache.stop();
    }
  });
});
