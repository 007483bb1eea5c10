import assert from "node:assert/strict";
import { Registry } from "prom-client";
import { cacheMetrics } from "../../../src/kube/watch/metrics.ts";
import { settle } from "../runtime/fake-clock.ts";
import { aCache } from "./a-cache.ts";
import { things } from "./scripted-server.ts";

describe("ResourceCache", () => {
  it("lists first, says so, and then follows the watch", async () => {
    const { clock, server, cache, told, brief } = aCache();
    server.put("a");
    let synced = false;
    void cache.synced.then(() => (synced = true));
    cache.start();
    await clock.advance(0);
    assert.equal(synced, true);
    server.put("a");
    server.put("b");
    server.remove("a");
    await settle();
    assert.deepEqual(brief(), [
      "Added ns/a uid-1",
      "Modified ns/a uid-1",
      "Added ns/b uid-2",
      "Deleted ns/a uid-1",
    ]);
    assert.deepEqual(
      told.map((e) => e.initial),
      [true, undefined, undefined, undefined],
    );
    assert.deepEqual(
      cache.list().map((t) => t.metadata.name),
      ["b"],
    );
    await cache.stop();
    assert.deepEqual([server.openWatches, clock.timers], [0, 0]);
  });

  it("reads a long list in pages", async () => {
    const { clock, server, cache } = aCache();
    for (let n = 0; n < 1203; n += 1) server.put(`t-${n}`);
    cache.start();
    await clock.advance(0);
    assert.equal(cache.size, 1203);
    await cache.stop();
  });

  it("begins the list again when its pages expire under way", async () => {
    const { clock, server, cache } = aCache();
    for (let n = 0; n < 1203; n += 1) server.put(`t-${n}`);
    let pages = 0;
    server.script = {
      event: () => undefined,
      request: (kind) => (kind === "page" && (pages += 1) === 2 ? "gone" : undefined),
    };
    cache.start();
    await clock.advance(0);
    assert.deepEqual([cache.size, server.lists], [1203, 2]);
    await cache.stop();
  });

  it("asks for the whole list at once when pages keep expiring", async () => {
    const { clock, server, cache } = aCache();
    for (let n = 0; n < 600; n += 1) server.put(`t-${n}`);
    server.script = {
      event: () => undefined,
      request: (kind) => (kind === "page" ? "gone" : undefined),
    };
    cache.start();
    await clock.advance(0);
    assert.deepEqual([cache.size, server.lists], [600, 4]);
    await cache.stop();
  });

  it("does not ask again and again for a list that is always too old", async () => {
    const { server, client } = aCache();
    server.script = { event: () => undefined, request: () => "gone" };
    const { signal } = new AbortController();
    await assert.rejects(client.list(things, {}, signal), { kind: "Gone" });
    assert.equal(server.lists, 4);
  });

  it("tells an object apart from its namesake: deleted and created again in a gap", async () => {
    const { clock, server, cache, brief } = aCache();
    server.put("a");
    cache.start();
    await clock.advance(0);
    server.script = { request: () => "reset", event: () => "reset" };
    server.put("x");
    server.remove("a");
    server.put("a");
    server.compact();
    server.script = { request: () => undefined, event: () => undefined };
    await clock.advance(60_000);
    assert.deepEqual(
      brief(),
      ["Added ns/a uid-1", "Deleted ns/a uid-1", "Added ns/a uid-3", "Added ns/x uid-2"].sort(
        (a, b) => brief().indexOf(a) - brief().indexOf(b),
      ),
    );
    assert.ok(brief().indexOf("Deleted ns/a uid-1") < brief().indexOf("Added ns/a uid-3"));
    await cache.stop();
  });

  it("tells of a deletion that it slept through", async () => {
    const { clock, server, cache, brief } = aCache();
    server.put("a");
    cache.start();
    await clock.advance(0);
    server.script = { request: () => undefined, event: () => "silence" };
    server.remove("a");
    server.compact();
    server.script = { request: () => undefined, event: () => undefined };
    await clock.advance(130_000);
    assert.deepEqual(brief(), ["Added ns/a uid-1", "Deleted ns/a uid-1"]);
    await cache.stop();
  });

  it("gives a watch up that was silent for two minutes, and goes on from its version", async () => {
    const { clock, server, cache } = aCache();
    cache.start();
    await clock.advance(0);
    server.script = { request: () => undefined, event: () => "silence" };
    server.put("a");
    server.script = { request: () => undefined, event: () => undefined };
    await clock.advance(119_000);
    assert.equal(cache.size, 0);
    await clock.advance(3_000);
    assert.equal(cache.size, 1);
    assert.equal(server.lists, 1);
    await cache.stop();
  });

  it("is kept alive by bookmarks, and goes on from the last one", async () => {
    const { clock, server, cache } = aCache();
    cache.start();
    await clock.advance(0);
    for (let minute = 0; minute < 20; minute += 1) {
      await clock.advance(60_000);
      server.bookmark();
    }
    await clock.advance(0);
    assert.equal(server.lists, 1);
    assert.ok(server.watchedFrom.length <= 5, "a watch lives as long as the server lets it");
    assert.deepEqual(server.watchedFrom, server.deliveredTo);
    await cache.stop();
  });

  it("starts a watch again at once when the server closes it after its time", async () => {
    const { clock, server, cache } = aCache({ silenceMs: 3_600_000 });
    cache.start();
    await clock.advance(0);
    assert.equal(server.watchedFrom.length, 1);
    for (let second = 0; second < 601 && server.watchedFrom.length === 1; second += 1) {
      await clock.advance(1000);
      assert.equal(server.openWatches, 1);
    }
    assert.equal(server.watchedFrom.length, 2);
    assert.equal(server.lists, 1);
    await cache.stop();
  });

  it("does not hammer a server that is down, and recovers when it is back", async () => {
    const { clock, server, cache } = aCache();
    let requests = 0;
    server.script = {
      event: () => undefined,
      request: () => {
        requests += 1;
        return "unavailable";
      },
    };
    cache.start();
    await clock.advance(600_000);
    assert.equal(cache.hasSynced, false);
    // Each list is itself tried up to five times by the client.
    assert.ok(requests < 5 * 60, `${requests} requests in ten minutes`);
    server.script = { request: () => undefined, event: () => undefined };
    await clock.advance(45_000);
    assert.equal(cache.hasSynced, true);
    await cache.stop();
  });

  it("does not hammer a server whose every watch is Gone", async () => {
    const { clock, server, cache } = aCache();
    server.script = {
      event: () => undefined,
      request: (kind) => (kind === "watch" ? "gone" : undefined),
    };
    cache.start();
    await clock.advance(600_000);
    assert.ok(server.lists > 10 && server.lists < 60, `${server.lists} lists in ten minutes`);
    await cache.stop();
  });

  it("lists again when the server's storage was set back", async () => {
    const { clock, server, cache, brief } = aCache();
    server.put("a");
    for (let n = 0; n < 5; n += 1) server.put("b");
    cache.start();
    await clock.advance(20_000);
    server.objects.delete("b");
    server.restore(2);
    server.put("c");
    await clock.advance(1_000);
    assert.deepEqual(
      cache
        .list()
        .map((t) => t.metadata.name)
        .toSorted(),
      ["a", "c"],
    );
    assert.ok(brief().includes("Deleted ns/b uid-2"));
    server.put("d");
    await clock.advance(0);
    assert.ok(cache.get("ns/d") !== undefined);
    await cache.stop();
  });

  it("gives a listener that comes late what is there", async () => {
    const { clock, server, cache } = aCache();
    server.put("a");
    cache.start();
    await clock.advance(0);
    const late: string[] = [];
    const leave = cache.onChange((e) => late.push(`${e.type} ${e.key} ${e.initial}`));
    server.put("b");
    await settle();
    leave();
    server.put("c");
    await settle();
    assert.deepEqual(late, ["Added ns/a true", "Added ns/b undefined"]);
    await cache.stop();
  });

  it("goes on when a listener throws", async () => {
    const { clock, server, cache, told } = aCache();
    cache.onChange(() => {
      throw new Error("bad listener");
    });
    cache.start();
    server.put("a");
    await clock.advance(0);
    server.put("b");
    await settle();
    assert.equal(told.length, 2);
    await cache.stop();
  });

  it("knows whether it has seen a write of ours", async () => {
    const { clock, server, cache } = aCache();
    const first = server.put("a");
    cache.start();
    await clock.advance(0);
    cache.wrote(first);
    assert.equal(cache.isFresh("ns/a"), true, "already seen");
    server.script = { request: () => undefined, event: () => "delay" };
    const second = server.put("a");
    server.script = { request: () => undefined, event: () => undefined };
    cache.wrote(second);
    assert.deepEqual([cache.isFresh("ns/a"), cache.isFresh("ns/b")], [false, true]);
    let arrived = false;
    const abort = new AbortController();
    void cache
      .waitFor(second.metadata.resourceVersion ?? "", abort.signal)
      .then(() => (arrived = true));
    const never = cache.waitFor("999999", abort.signal);
    await clock.advance(1000);
    assert.deepEqual([cache.isFresh("ns/a"), arrived], [false, false]);
    await clock.advance(1000);
    assert.deepEqual([cache.isFresh("ns/a"), arrived], [true, true]);
    abort.abort(new Error("enough"));
    await assert.rejects(never, /enough/);
    await cache.stop();
  });

  it("finds objects by index, as they change", async () => {
    const { clock, server, cache } = aCache({
      indexers: { parity: (thing) => [thing.spec.value % 2 === 0 ? "even" : "odd"] },
    });
    const names = (value: string) => cache.byIndex("parity", value).map((t) => t.metadata.name);
    server.put("a");
    server.put("b");
    cache.start();
    await clock.advance(0);
    assert.deepEqual([names("even"), names("odd")], [["a"], ["b"]]);
    server.put("b");
    await settle();
    assert.deepEqual([names("even"), names("odd")], [["a", "b"], []]);
    assert.deepEqual(cache.list("ns").length, 2);
    assert.deepEqual(cache.list("elsewhere"), []);
    assert.throws(() => cache.byIndex("colour", "red"), /no index named colour/);
    await cache.stop();
  });

  it("keeps neither managedFields nor kubectl's copy, and what transform drops", async () => {
    const { clock, server, cache } = aCache({
      transform: (thing) => ({ ...thing, spec: { value: 0 } }),
    });
    const thing = server.put("a");
    const kubectl = "kubectl.kubernetes.io/last-applied-configuration";
    Object.assign(thing.metadata, {
      managedFields: [{}],
      annotations: { [kubectl]: "{}", mine: "1" },
    });
    cache.start();
    await clock.advance(0);
    const kept = cache.get("ns/a");
    assert.deepEqual(kept?.metadata.annotations, { mine: "1" });
    assert.ok(!("managedFields" in (kept?.metadata ?? {})));
    assert.equal(kept?.spec.value, 0);
    await cache.stop();
  });

  it("stops while it waits to watch again", async () => {
    const { clock, server, cache } = aCache();
    cache.start();
    await clock.advance(0);
    server.script = { request: () => "reset", event: () => "reset" };
    server.put("a");
    await clock.advance(10);
    server.script = { request: () => undefined, event: () => undefined };
    await cache.stop();
    assert.deepEqual([server.openWatches, clock.timers], [0, 0]);
  });

  it("counts its objects, lists and ended watches", async () => {
    const registry = new Registry();
    const { clock, server, cache } = aCache({ metrics: cacheMetrics(registry) });
    server.put("a");
    cache.start();
    await clock.advance(90_000);
    const text = await registry.metrics();
    assert.match(text, /kiln_cache_objects\{kind="Thing"\} 1/);
    assert.match(text, /kiln_cache_synced\{kind="Thing"\} 1/);
    assert.match(text, /kiln_cache_lists_total\{kind="Thing"\} 1/);
    assert.match(text, /kiln_cache_last_event_age_seconds\{kind="Thing"\} 90/);
    await clock.advance(31_000);
    assert.match(
      await registry.metrics(),
      /kiln_cache_watch_ends_total\{kind="Thing",why="failed"\} 1/,
    );
    await cache.stop();
  });
});
