// What is known of a Builder's pods while there are none? On a real API server, with a real buildkitd and its agent; the
// test stands in for the kubelet only.

import assert from "node:assert/strict";
import path from "node:path";
import { QueueBook } from "../../../src/buildrun/queue.ts";
import { builderKey } from "../../../src/builder/index.ts";
import { cover } from "../../../src/placement/cover.ts";
import { type Buildkitd, buildkitd, type Scratch, scratch } from "../../cluster/index.ts";
import { aRun } from "../../unit/buildrun/fixture.ts";
import { Kiln, runningAt, until } from "./kiln.ts";

describe("a Builder that scaled to zero", () => {
  let kiln: Kiln;
  let place: Scratch;
  let other: Buildkitd;
  before(async () => {
    place = scratch("scaled");
    kiln = await Kiln.start({ namespacedSockets: true });
    other = await buildkitd({ mirror: false, platforms: ["linux/amd64"] });
  });
  after(async () => {
    await other.stop();
    await kiln.stop();
    place.remove();
  });

  const ref = (namespace: string) => ({ kind: "Builder", namespace, name: "main" }) as const;
  const offered = (namespace: string) =>
    kiln.fleet.instances(ref(namespace)).map(({ id, platforms }) => [id, platforms]);

  it("is waited for by a run of the platforms that it names, beside a daemon of others", async () => {
    const namespace = await kiln.namespace();
    await kiln.builder(namespace, {
      kubernetes: { scaling: { max: 2 }, platforms: ["linux/arm64"] },
      nodes: [{ name: "amd", remote: { endpoint: other.address }, platforms: ["linux/amd64"] }],
    });
    await kiln.becomes(namespace, "True InstancesReady");
    const instances = kiln.fleet.instances(ref(namespace));
    assert.deepEqual(offered(namespace), [
      ["amd", ["linux/amd64"]],
      ["builder-main", ["linux/arm64"]],
    ]);
    assert.deepEqual(cover(["linux/amd64", "linux/arm64"], instances)?.toSorted(), [
      ["linux/amd64"],
      ["linux/arm64"],
    ]);
    const book = new QueueBook();
    kiln.fleet.reportLoad(
      () => ({ running: 0 }),
      (one) => (builderKey(one) === builderKey(ref(namespace)) ? book.waiting(one) : []),
    );
    const run = aRun({ spec: { platforms: ["linux/arm64"] } });
    const turn = book.turn({ run, builder: ref(namespace), instances, affinity: "web" });
    assert.deepEqual([turn.kind, turn.kind === "wait" && turn.reason], ["wait", "NoReadyInstance"]);
    kiln.fleet.demand(ref(namespace));
    await until("an instance to be asked for", async () => {
      const { spec } = await kiln.workload(namespace);
      return spec.replicas === 1 ? true : undefined;
    });
  });

  it("is known to build for what its last pod built for, also by a controller that starts again", async () => {
    const namespace = await kiln.namespace();
    kiln.fleet.reportLoad(
      () => ({ running: 0 }),
      () => [],
    );
    await kiln.builder(namespace, { kubernetes: { scaling: { min: 1, max: 2 } } });
    assert.deepEqual(offered(namespace), [], "nobody knows yet");
    const { daemon, address } = await kiln.daemon(namespace, path.join(place.folder, "daemon"), {});
    await kiln.pod(namespace, "builder-main-a", runningAt(address));
    const { podPlatforms } = await kiln.becomes(
      namespace,
      "True InstancesReady",
      (status) => status.podPlatforms !== undefined,
    );
    assert.ok(podPlatforms?.includes("linux/amd64"));
    await kiln.builder(namespace, { kubernetes: { scaling: { max: 2, idleTimeout: "1s" } } });
    await kiln.deletePod(namespace, "builder-main-a");
    await daemon.stop();
    await kiln.becomes(namespace, "True ScaledToZero");
    assert.deepEqual(offered(namespace), [["builder-main", podPlatforms]]);
    await kiln.halt();
    await kiln.run();
    assert.deepEqual(offered(namespace), [["builder-main", podPlatforms]]);
  });
});
