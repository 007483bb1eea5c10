import assert from "node:assert/strict";
import type { BuilderSpecInput } from "../../../src/api/v1alpha1/index.ts";
import {
  networkPolicies,
  pods,
  replicaSets,
  services,
  statefulSets,
} from "../../../src/kube/types.ts";
import { buildkitd, scratch, type Buildkitd } from "../../cluster/index.ts";
import { Kiln, runningAt, soon, until } from "./kiln.ts";

describe("pods of several kinds in one Builder", () => {
  let kiln: Kiln;
  let namespace: string;
  const place = scratch("nodes-of-pods");
  const daemons: Pick<Buildkitd, "stop">[] = [];
  let waiting: string[][] = [];
  let far: string;
  before(async () => {
    kiln = await Kiln.start({ namespacedSockets: true });
    const outside = await buildkitd({ mirror: false });
    daemons.push(outside);
    far = outside.address;
    namespace = await kiln.namespace();
    await kiln.builder(namespace, { nodes: [amd(), arm(), { name: "far", ...remote() }] });
    kiln.fleet.reportLoad(
      () => ({ running: 0 }),
      () => waiting,
      () => new Map(waiting.map((_, index) => ["far", index + 1])),
    );
  });
  after(async () => {
    await kiln?.stop();
    await Promise.all(daemons.map((daemon) => daemon.stop()));
    place.remove();
  });

  type Node = NonNullable<BuilderSpecInput["nodes"]>[number];
  const remote = () => ({ remote: { endpoint: far } });
  const amd = (): Node => ({
    name: "amd",
    platforms: ["linux/amd64"],
    kubernetes: {
      security: "Privileged",
      replicas: 2,
      nodeSelector: { "kubernetes.io/arch": "amd64" },
      resources: { requests: { cpu: "2" } },
    },
  });
  const arm = (pool = "a"): Node => ({
    name: "arm",
    platforms: ["linux/arm64"],
    kubernetes: {
      security: "Privileged",
      storage: { size: "1Gi" },
      scaling: { max: 3 },
      nodeSelector: { "kubernetes.io/arch": "arm64", pool },
    },
  });
  const ref = () => ({ kind: "Builder", namespace, name: "main" }) as const;

  /** What is of a node, by kind. */
  async function ofNode(node: string): Promise<Map<string, string>> {
    const labelSelector = `kiln.build/builder=main,kiln.build/node=${node}`;
    const found = new Map<string, string>();
    for (const type of [replicaSets, statefulSets, services, networkPolicies]) {
      const list = await kiln.client.list(
        type as typeof services,
        { namespace, labelSelector },
        soon(),
      );
      for (const { metadata } of list) found.set(type.kind, metadata.name);
    }
    return found;
  }

  /** The workload of a node. */
  async function workload(node: string) {
    const [kind, name] = await until(`the workload of ${node}`, async () =>
      [...(await ofNode(node))].find(([of]) => of === "ReplicaSet" || of === "StatefulSet"),
    );
    return await kiln.workload(namespace, kind as "ReplicaSet", name);
  }

  /** A pod of a node that a real daemon answers from; its name. */
  async function aPod(node: string, suffix: string): Promise<string> {
    const of = await workload(node);
    const { address, daemon } = await kiln.daemon(namespace, `${place.folder}/${node}`);
    daemons.push(daemon);
    const name = `${of.metadata.name}-${suffix}`;
    await kiln.pod(namespace, name, runningAt(address), of);
    await until(`${name} to be ready`, async () =>
      kiln.fleet.instances(ref()).find(({ id, ready }) => id === name && ready),
    );
    return name;
  }

  it("have a workload, a Service and a NetworkPolicy each, with names and labels of their own", async () => {
    const [first, second] = [await workload("amd"), await workload("arm")];
    assert.deepEqual(
      [first, second].map(({ spec }) => [spec.replicas, spec.template.spec.nodeSelector]),
      [
        [2, { "kubernetes.io/arch": "amd64" }],
        [0, { "kubernetes.io/arch": "arm64", pool: "a" }],
      ],
    );
    for (const node of ["amd", "arm"]) {
      const name = (await workload(node)).metadata.name;
      assert.match(name, new RegExp(`^builder-main-${node}-[0-9a-f]{6}$`));
      const kind = node === "amd" ? "ReplicaSet" : "StatefulSet";
      const all = await until(`the objects of ${node}`, async () => {
        const found = await ofNode(node);
        return found.size === 3 ? found : undefined;
      });
      assert.deepEqual(Object.fromEntries(all), {
        [kind]: name,
        Service: name,
        NetworkPolicy: name,
      });
    }
    const { driver, totalInstances } = await kiln.becomes(namespace, "True InstancesReady");
    assert.deepEqual([driver, totalInstances], ["Mixed", 3]);
  });

  it("take runs for their platforms, and come from none with runs for theirs only", async () => {
    const id = await aPod("amd", "x");
    const instances = kiln.fleet.instances(ref());
    const platforms = new Map(instances.map((one) => [one.id, one.platforms]));
    assert.deepEqual(platforms.get(id), ["linux/amd64"]);
    // What a run for arm64 waits for: nobody is there yet.
    assert.deepEqual(platforms.get("arm"), ["linux/arm64"]);
    waiting = [["linux/arm64"], ["linux/amd64"]];
    kiln.fleet.demand(ref());
    await until("an instance for arm64", async () =>
      (await workload("arm")).spec.replicas === 1 ? true : undefined,
    );
    assert.equal((await workload("amd")).spec.replicas, 2);
    await until("the queue of an instance in status", async () => {
      const { instances = [], queuedRuns } = await kiln.status(namespace);
      const queued = instances.map(({ name, queued: of }) => [name, of]);
      const wanted = JSON.stringify([["far", 2]]);
      return queuedRuns === 2 &&
        JSON.stringify(queued.filter(([name]) => name === "far")) === wanted
        ? true
        : undefined;
    });
    waiting = Array.from({ length: 5 }, () => ["linux/arm64"]);
    kiln.fleet.demand(ref());
    await until("a second one", async () =>
      (await workload("arm")).spec.replicas === 2 ? true : undefined,
    );
    waiting = [["linux/arm64"]];
  });

  it("roll for themselves: an edit of one does not touch the pods of another", async () => {
    const old = await aPod("arm", "0");
    await kiln.builder(namespace, { nodes: [amd(), arm("b"), { name: "far", ...remote() }] });
    await until("the pod of the old template to go", async () => {
      const found = await kiln.client.get(pods, { namespace, name: old }, soon());
      return found === undefined || found.metadata.deletionTimestamp !== undefined
        ? true
        : undefined;
    });
    const left = await kiln.client.list(
      pods,
      { namespace, labelSelector: "kiln.build/node=amd" },
      soon(),
    );
    assert.deepEqual(
      left.map(({ metadata }) => [
        metadata.deletionTimestamp,
        metadata.annotations?.["kiln.build/draining"],
      ]),
      [[undefined, undefined]],
    );
    const { instances = [] } = await kiln.status(namespace);
    assert.ok(instances.filter(({ name }) => name.includes("-amd-")).every((one) => !one.outdated));
  });

  it("go with their node, and leave the others", async () => {
    await kiln.builder(namespace, { nodes: [amd(), { name: "far", ...remote() }] });
    await until("the objects of the node to go", async () => {
      const found = await ofNode("arm");
      const set = found.get("StatefulSet");
      // Nobody is there to collect what a foreground deletion waits for.
      const isGoing =
        set === undefined ||
        (await kiln.client.get(statefulSets, { namespace, name: set }, soon()))?.metadata
          .deletionTimestamp !== undefined;
      return isGoing ? true : undefined;
    });
    assert.equal((await ofNode("amd")).size, 3);
    assert.equal((await workload("amd")).metadata.name.includes("-amd-"), true);
  });
});
