import assert from "node:assert/strict";
import { pino } from "pino";
import { LeaderElection, LeaseTaken } from "../../../src/runtime/lease.ts";
import type { LeasePort, LeaseRecord } from "../../../src/runtime/lease.ts";
import { FakeClock } from "./fake-clock.ts";
import { random } from "./random.ts";

const signal = new AbortController().signal;

/** A stored lease with an optimistic lock, as the API server has it; `down` makes a candidate's calls fail. */
class Store {
  record: LeaseRecord | undefined;
  writes: LeaseRecord[] = [];
  readonly down = new Set<string>();

  port(candidate: string): LeasePort {
    const reachable = (): void => {
      if (this.down.has(candidate)) throw new Error("no route to the API server");
    };
    const store = (record: LeaseRecord): LeaseRecord => {
      this.record = { ...record, version: String(this.writes.length + 1) };
      this.writes.push(this.record);
      return this.record;
    };
    return {
      get: async () => {
        reachable();
        return this.record;
      },
      create: async (record) => {
        reachable();
        if (this.record !== undefined) throw new LeaseTaken();
        return store(record);
      },
      replace: async (record) => {
        reachable();
        if (this.record?.version !== record.version) throw new LeaseTaken();
        return store(record);
      },
    };
  }
}

function aCandidate(store: Store, clock: FakeClock, identity: string) {
  const changes: boolean[] = [];
  const election = new LeaderElection({
    port: store.port(identity),
    identity,
    clock,
    log: pino({ level: "silent" }),
    random: () => 0,
    onChange: (leading) => changes.push(leading),
  });
  let led: AbortSignal | undefined;
  const acquired = election.acquire(signal).then((got) => {
    led = got;
  });
  acquired.catch(() => undefined);
  return { election, changes, acquired, leadership: () => led };
}

describe("LeaderElection", () => {
  it("takes a lease that does not exist, and renews it every two seconds", async () => {
    const [store, clock] = [new Store(), new FakeClock()];
    const a = aCandidate(store, clock, "a");
    await clock.advance(0);
    assert.equal(a.election.leading, true);
    assert.equal(store.record?.transitions, 0);
    await clock.advance(10_000);
    assert.equal(store.writes.length, 6);
    assert.equal(store.record?.holder, "a");
    assert.equal(store.record?.acquireTime, store.writes[0]?.acquireTime);
    assert.notEqual(store.record?.renewTime, store.writes[0]?.renewTime);
    assert.match(store.record?.renewTime ?? "", /\.\d{6}Z$/);
    await a.election.release();
    assert.equal(clock.timers, 0);
  });

  it("lets one of two lead, and the other as soon as the first releases", async () => {
    const [store, clock] = [new Store(), new FakeClock()];
    const a = aCandidate(store, clock, "a");
    const b = aCandidate(store, clock, "b");
    await clock.advance(60_000);
    assert.deepEqual([a.election.leading, b.election.leading], [true, false]);
    await a.election.release();
    assert.equal(store.record?.holder, "");
    assert.equal(a.leadership()?.aborted, true);
    await clock.advance(2000);
    assert.deepEqual([a.election.leading, b.election.leading], [false, true]);
    assert.equal(store.record?.transitions, 1);
    await b.election.release();
  });

  it("is taken over fifteen seconds after a leader died, and not before", async () => {
    const [store, clock] = [new Store(), new FakeClock()];
    store.record = {
      holder: "dead",
      durationSeconds: 15,
      acquireTime: "",
      // Written by a clock that is far ahead: only how long it stays unchanged counts.
      renewTime: "2099-01-01T00:00:00.000000Z",
      transitions: 3,
      version: "0",
    };
    const b = aCandidate(store, clock, "b");
    await clock.advance(14_999);
    assert.equal(b.election.leading, false);
    await clock.advance(2001);
    assert.equal(b.election.leading, true);
    assert.equal(store.record?.transitions, 4);
    await b.election.release();
  });

  it("stops leading when it cannot renew for ten seconds, before another may take over", async () => {
    const [store, clock] = [new Store(), new FakeClock()];
    const a = aCandidate(store, clock, "a");
    const b = aCandidate(store, clock, "b");
    await clock.advance(0);
    store.down.add("a");
    await clock.advance(9_000);
    assert.equal(a.leadership()?.aborted, false);
    await clock.advance(3_000);
    assert.equal(a.leadership()?.aborted, true);
    assert.match(String(a.leadership()?.reason), /could not be renewed for 10000 ms/);
    assert.equal(b.election.leading, false, "b must wait until a has surely stopped");
    // b first saw the lease at its second try, after 2 s, and tries every 2 s.
    await clock.advance(6_000);
    assert.equal(b.election.leading, true);
    assert.deepEqual(a.changes, [true, false]);
    await b.election.release();
  });

  it("survives a short outage of the API server", async () => {
    const [store, clock] = [new Store(), new FakeClock()];
    const a = aCandidate(store, clock, "a");
    await clock.advance(0);
    store.down.add("a");
    await clock.advance(7_000);
    store.down.delete("a");
    await clock.advance(60_000);
    assert.equal(a.leadership()?.aborted, false);
    await a.election.release();
  });

  it("stops leading at once when it sees that another holds the lease", async () => {
    const [store, clock] = [new Store(), new FakeClock()];
    const a = aCandidate(store, clock, "a");
    await clock.advance(0);
    store.record = { ...(store.record as LeaseRecord), holder: "usurper", version: "x" };
    await clock.advance(2000);
    assert.match(String(a.leadership()?.reason), /usurper holds it now/);
    await a.election.release();
    assert.equal(store.record.holder, "usurper", "a lost lease must not be given back");
  });

  it("continues its own lease after a restart under the same identity", async () => {
    const [store, clock] = [new Store(), new FakeClock()];
    const first = aCandidate(store, clock, "a");
    await clock.advance(0);
    store.down.add("a");
    await clock.advance(20_000);
    store.down.delete("a");
    const again = aCandidate(store, clock, "a");
    await clock.advance(0);
    assert.equal(again.election.leading, true);
    assert.equal(store.record?.transitions, 0);
    assert.equal(first.election.leading, false);
    await again.election.release();
  });

  it("stops waiting when it is released or its signal aborts", async () => {
    const [store, clock] = [new Store(), new FakeClock()];
    store.down.add("a");
    const a = aCandidate(store, clock, "a");
    await clock.advance(5000);
    await a.election.release();
    await assert.rejects(a.acquired, /released/);
    assert.equal(clock.timers, 0);
    assert.equal(store.writes.length, 0);
  });

  it("never has two leaders under any pattern of outages", async () => {
    const identities = ["a", "b", "c"];
    for (let seed = 1; seed <= 60; seed += 1) {
      const [store, clock] = [new Store(), new FakeClock()];
      const candidates = identities.map((identity) => aCandidate(store, clock, identity));
      const draw = random(seed);
      for (let step = 0; step < 40; step += 1) {
        const identity = identities[Math.floor(draw() * 3)] as string;
        if (draw() < 0.5) store.down.add(identity);
        else store.down.delete(identity);
        await clock.advance(draw() * 4000);
        const leaders = candidates.filter((candidate) => candidate.election.leading);
        assert.ok(leaders.length <= 1, `seed ${seed}: ${leaders.length} leaders`);
      }
      await Promise.all(candidates.map((candidate) => candidate.election.release()));
    }
  });
});
