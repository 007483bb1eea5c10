import assert from "node:assert/strict";
import { leasePort } from "../../../src/kube/leases.ts";
import { leaseName } from "../../../src/kube/rbac.ts";
import { leases } from "../../../src/kube/types.ts";
import { LeaderElection, LeaseTaken } from "../../../src/runtime/lease.ts";
import { aWorld, silent, until } from "./world.ts";
import type { World } from "./world.ts";

// A hundredth of the real times: what is tested is who wins, not how long it takes.
const times = { durationMs: 2000, renewDeadlineMs: 1500, retryMs: 100 };

describe("LeaderElection on a real Lease", () => {
  let world: World;
  before(async () => {
    world = await aWorld();
  });
  after(() => world?.stop());

  const at = { namespace: "default", name: leaseName };
  const candidate = (identity: string): LeaderElection =>
    new LeaderElection({ port: leasePort(world.client, at), identity, log: silent, times });

  it("has one leader of two, and the other right after a release", async () => {
    const [a, b] = [candidate("a"), candidate("b")];
    const first = await Promise.race([
      a.acquire(world.signal()).then(() => a),
      b.acquire(world.signal()).then(() => b),
    ]);
    const [leader, follower, next] = first === a ? [a, b, "b"] : [b, a, "a"];
    assert.deepEqual([leader.leading, follower.leading], [true, false]);
    await until("the leader has renewed", async () => {
      const lease = await world.client.get(leases, at, world.signal());
      return lease?.spec?.renewTime !== lease?.spec?.acquireTime;
    });
    assert.equal(follower.leading, false);
    await leader.release();
    await until("the follower leads", () => follower.leading);
    const lease = await world.client.get(leases, at, world.signal());
    assert.equal(lease?.spec?.holderIdentity, next);
    assert.equal(lease?.spec?.leaseTransitions, 1);
    await follower.release();
    const free = await world.client.get(leases, at, world.signal());
    assert.equal(free?.spec?.holderIdentity ?? "", "");
  });

  it("stops leading when the Lease was given to another", async () => {
    const a = candidate("a");
    const leading = await a.acquire(world.signal());
    const spec = { holderIdentity: "admin", leaseDurationSeconds: 3600 };
    await world.client.apply(
      leases,
      { metadata: at, spec },
      { fieldManager: "admin" },
      world.signal(),
    );
    await until("the leader has noticed", () => leading.aborted);
    assert.match(String(leading.reason), /admin holds it now/);
    await a.release();
    const lease = await world.client.get(leases, at, world.signal());
    assert.equal(lease?.spec?.holderIdentity, "admin");
  });

  it("lets only one of two writers of the same version win", async () => {
    const port = leasePort(world.client, { namespace: "default", name: "race" });
    const now = new Date().toISOString().replace("Z", "000Z");
    const record = {
      holder: "a",
      durationSeconds: 1,
      acquireTime: now,
      renewTime: now,
      transitions: 0,
    };
    const stored = await port.create(record, world.signal());
    await assert.rejects(port.create(record, world.signal()), LeaseTaken);
    const writes = await Promise.allSettled(
      ["b", "c"].map((holder) => port.replace({ ...stored, holder }, world.signal())),
    );
    assert.deepEqual(writes.map((write) => write.status).toSorted(), ["fulfilled", "rejected"]);
    assert.ok(writes.some((w) => w.status === "rejected" && w.reason instanceof LeaseTaken));
  });
});
