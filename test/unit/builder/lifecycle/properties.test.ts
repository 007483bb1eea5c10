import assert from "node:assert/strict";
import fc from "fast-check";
import { drainTimeoutMs, FleetModel } from "./fleet-model.ts";

type Move =
  | { readonly kind: "run" | "end" | "kill"; readonly at: number }
  | { readonly kind: "want"; readonly count: number }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "edit" | "start" };

const move: fc.Arbitrary<Move> = fc.oneof(
  fc.record({ kind: fc.constantFrom("run" as const, "end" as const), at: fc.nat(7) }),
  fc.record({ kind: fc.constant("kill" as const), at: fc.nat(7) }),
  fc.record({ kind: fc.constant("want" as const), count: fc.nat(4) }),
  fc.record({ kind: fc.constant("pass" as const), ms: fc.nat(20_000) }),
  fc.record({ kind: fc.constantFrom("edit" as const, "start" as const, "start" as const) }),
);

const fleets = fc.record({
  ordered: fc.boolean(),
  surge: fc.boolean(),
  wanted: fc.integer({ min: 0, max: 4 }),
});

function make(fleet: FleetModel, one: Move): void {
  const pods = fleet.pods;
  switch (one.kind) {
    case "run": {
      const usable = pods.filter((pod) => pod.usable);
      const pod = usable[one.at % Math.max(1, usable.length)];
      if (pod !== undefined) pod.running += 1;
      break;
    }
    case "end": {
      const pod = pods[one.at % Math.max(1, pods.length)];
      if (pod !== undefined && pod.running > 0) pod.running -= 1;
      break;
    }
    case "kill": {
      // A pod that somebody deletes loses nothing that counts here: it is idle.
      const pod = pods[one.at % Math.max(1, pods.length)];
      if (pod !== undefined && pod.running === 0) fleet.delete(pod.id);
      fleet.settle();
      break;
    }
    case "want":
      fleet.wanted = one.count;
      break;
    case "pass":
      fleet.nowMs += one.ms;
      break;
    case "edit":
    case "start":
      fleet[one.kind]();
  }
}

describe("a fleet under any edits, scaling and damage", () => {
  it("never deletes an instance that has runs, and cuts none before its time", () => {
    fc.assert(
      fc.property(fleets, fc.array(move, { maxLength: 60 }), (o, moves) => {
        const fleet = new FleetModel(o);
        for (const one of moves) {
          make(fleet, one);
          const before = new Map(fleet.pods.map((pod) => [pod.id, pod.draining?.sinceMs]));
          const { cut } = fleet.look();
          assert.equal(fleet.lost, 0, JSON.stringify(one));
          for (const id of cut) {
            const sinceMs = before.get(id) ?? Number.POSITIVE_INFINITY;
            assert.ok(fleet.nowMs - sinceMs >= drainTimeoutMs, `${id} was cut early`);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it("comes to rest: as many as are wanted, all of the newest template, all taking runs", () => {
    fc.assert(
      fc.property(fleets, fc.array(move, { maxLength: 40 }), (o, moves) => {
        const fleet = new FleetModel(o);
        for (const one of moves) {
          make(fleet, one);
          fleet.look();
        }
        for (let look = 0; look < 60; look++) {
          fleet.start();
          for (const pod of fleet.pods) pod.running = 0;
          fleet.look();
        }
        fleet.start();
        assert.equal(fleet.pods.length, fleet.wanted);
        assert.ok(fleet.pods.every((pod) => pod.usable && !pod.outdated && !pod.draining));
        const rest = JSON.stringify(fleet.pods);
        fleet.look();
        assert.equal(JSON.stringify(fleet.pods), rest, "and stays so");
      }),
      { numRuns: 500 },
    );
  });

  it("keeps as many instances taking runs as are wanted while a roll may have one more", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.nat(3), { maxLength: 20 }),
        (wanted, ends) => {
          const fleet = new FleetModel({ ordered: false, surge: true, wanted });
          fleet.start();
          fleet.look();
          for (const pod of fleet.pods) pod.running = 2;
          fleet.edit();
          for (const at of ends) {
            make(fleet, { kind: "end", at });
            fleet.look();
            fleet.start();
            assert.ok(fleet.pods.filter(({ usable }) => usable).length >= wanted);
            const rolling = fleet.pods.filter(({ draining }) => draining !== undefined);
            assert.ok(rolling.length <= 1, "one at a time");
          }
        },
      ),
    );
  });
});
