import assert from "node:assert/strict";
import { Registry } from "prom-client";
import type { BuilderInstanceStatus } from "../../../src/api/v1alpha1/index.ts";
import type { StoredBuilder } from "../../../src/builder/caches.ts";
import { instanceMetrics } from "../../../src/builder/metrics.ts";

function aBuilder(name: string, instances: readonly BuilderInstanceStatus[]): StoredBuilder {
  const metadata = { name, namespace: "shop" };
  return { apiVersion: "kiln.build/v1alpha1", kind: "Builder", metadata, status: { instances } };
}

describe("the metrics of instances", () => {
  it("are the numbers of their status, and go with them", async () => {
    const registry = new Registry();
    const disk = { volumeBytes: 1000, freeBytes: 250 };
    const busy = { name: "a", ready: true, slots: 4, running: 3, queued: 7, disk };
    let list = [aBuilder("main", [busy, { name: "b", ready: false }])];
    instanceMetrics(registry, () => list);
    const lines = async () =>
      (await registry.metrics()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    const labels = 'kind="Builder",namespace="shop",builder="main"';
    assert.deepEqual(await lines(), [
      `kiln_instance_ready{${labels},instance="a"} 1`,
      `kiln_instance_ready{${labels},instance="b"} 0`,
      `kiln_instance_slots{${labels},instance="a"} 4`,
      `kiln_instance_running{${labels},instance="a"} 3`,
      `kiln_instance_queued{${labels},instance="a"} 7`,
      `kiln_instance_disk_bytes{${labels},instance="a"} 1000`,
      `kiln_instance_disk_free_bytes{${labels},instance="a"} 250`,
    ]);
    list = [aBuilder("main", [])];
    assert.deepEqual(await lines(), []);
  });
});
