// Does each option of buildx's kubernetes driver do on a real API server what it does with buildx? One Builder for each
// option, and a look at the workload that Kiln made for it; see test/unit/builder/buildx-options.ts.

import assert from "node:assert/strict";
import { affinityOf } from "../../../src/buildrun/reconcile/world.ts";
import { choose } from "../../../src/placement/choose.ts";
import { aRun } from "../../unit/buildrun/fixture.ts";
import { buildxOptions, valueAt } from "../../unit/builder/buildx-options.ts";
import { Kiln, runningAt, until } from "./kiln.ts";

describe("an option of buildx", () => {
  let kiln: Kiln;
  before(async () => {
    kiln = await Kiln.start();
  });
  after(async () => await kiln?.stop());

  for (const { option, seen } of buildxOptions) {
    if (seen === undefined) continue;
    it(`${option} is on the real workload`, async () => {
      const namespace = await kiln.namespace();
      await kiln.builder(namespace, { kubernetes: seen.kubernetes });
      const kind = seen.kubernetes.storage === undefined ? undefined : "StatefulSet";
      const workload = await kiln.workload(namespace, kind);
      const wanted = option === "namespace" ? namespace : seen.is;
      assert.deepEqual(valueAt(workload, seen.at), wanted);
    });
  }

  it("loadbalance decides where runs of one repository go", async () => {
    const namespace = await kiln.namespace();
    await kiln.builder(namespace, { kubernetes: { replicas: 2 } });
    for (const name of ["builder-main-a", "builder-main-b"])
      await kiln.pod(namespace, name, runningAt("127.0.0.1"));
    const went = async (loadBalance: "Sticky" | "Random"): Promise<number> => {
      await kiln.builder(namespace, { kubernetes: { replicas: 2, loadBalance } });
      const ref = { kind: "Builder", namespace, name: "main" } as const;
      const spec = await until("the edit to be seen", async () => {
        const stored = kiln.fleet.spec(ref);
        return stored?.kubernetes?.loadBalance === loadBalance ? stored : undefined;
      });
      const there = await until("both instances", async () => {
        const all = kiln.fleet.instances(ref);
        return all.length === 2 ? all : undefined;
      });
      const instances = there.map((one) => ({ ...one, ready: true }));
      const ids = Array.from({ length: 20 }, (_, at) => {
        const run = aRun({ metadata: { uid: `run-${at}`, name: `run-${at}` } });
        const choice = choose({ key: affinityOf(run, spec), instances, load: () => 0 });
        return choice.kind === "instance" ? choice.instance.id : choice.reason;
      });
      return new Set(ids).size;
    };
    assert.equal(await went("Sticky"), 1);
    assert.equal(await went("Random"), 2);
  });
});
