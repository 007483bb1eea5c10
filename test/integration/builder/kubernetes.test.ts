import assert from "node:assert/strict";
import {
  replicaSets,
  networkPolicies,
  secrets,
  services,
  statefulSets,
} from "../../../src/kube/types.ts";
import { builders } from "../../../src/builder/index.ts";
import { scratch, type Buildkitd } from "../../cluster/index.ts";
import { Kiln, runningAt, soon, until, waitingFor } from "./kiln.ts";

const pullError = waitingFor("ErrImagePull", "not found");
const stuck = {
  conditions: [
    {
      type: "PodScheduled",
      status: "False",
      reason: "Unschedulable",
      message: "0/3 nodes are available.",
    },
  ],
};

describe("a Builder of pods on a real API server", () => {
  let kiln: Kiln;
  const place = scratch("pod-builder");
  const daemons: Pick<Buildkitd, "stop">[] = [];
  before(async () => {
    kiln = await Kiln.start();
  });
  after(async () => {
    await kiln?.stop();
    await Promise.all(daemons.map((daemon) => daemon.stop()));
    place.remove();
  });

  async function aBuilder(
    spec: Parameters<Kiln["builder"]>[1] = { kubernetes: { security: "Privileged" } },
  ): Promise<string> {
    const namespace = await kiln.namespace();
    await kiln.builder(namespace, spec);
    await kiln.workload(
      namespace,
      spec.kubernetes?.storage === undefined ? "ReplicaSet" : "StatefulSet",
    );
    return namespace;
  }

  async function aDaemon(
    namespace: string,
  ): Promise<{ address: string; daemon: Pick<Buildkitd, "stop"> }> {
    const started = await kiln.daemon(namespace, `${place.folder}/${namespace}`);
    daemons.push(started.daemon);
    return started;
  }

  it("is made of objects that it owns, and of a certificate that all of the namespace share", async () => {
    const namespace = await aBuilder();
    const at = { namespace, name: "builder-main" };
    const owner = await kiln.client.get(builders, { namespace, name: "main" }, soon());
    for (const type of [replicaSets, services, networkPolicies]) {
      const object = await until(
        type.kind,
        async () => await kiln.client.get(type as typeof services, at, soon()),
      );
      assert.equal(object.metadata.ownerReferences?.[0]?.uid, owner?.metadata.uid, type.kind);
      assert.equal(object.metadata.ownerReferences?.[0]?.controller, true);
    }
    const secret = await kiln.client.get(secrets, { namespace, name: "kiln-builder-tls" }, soon());
    assert.deepEqual(Object.keys(secret?.data ?? {}).sort(), ["ca.crt", "tls.crt", "tls.key"]);
    assert.deepEqual(
      secret?.metadata.ownerReferences?.map(({ uid }) => uid),
      [owner?.metadata.uid],
    );
  });

  it("is Ready when BuildKit answers over mutual TLS, and not when it stops", async () => {
    const namespace = await aBuilder();
    await kiln.becomes(namespace, "False Starting");
    const { address, daemon } = await aDaemon(namespace);
    await kiln.pod(namespace, "builder-main-a", runningAt(address));
    const status = await kiln.becomes(namespace, "True InstancesReady");
    assert.equal(status.version, "v0.34.2");
    assert.equal(status.instances?.[0]?.name, "builder-main-a");
    assert.ok(status.platforms?.includes("linux/amd64"));
    await daemon.stop();
    await kiln.becomes(namespace, "False ConnectionRefused");
  });

  it("does not trust a buildkitd whose certificate is of another namespace", async () => {
    const [mine, theirs] = [await aBuilder(), await aBuilder()];
    const { address } = await aDaemon(theirs);
    await kiln.pod(mine, "builder-main-a", runningAt(address));
    await kiln.becomes(mine, "False TLSFailed");
  });

  it("says why its pods do not start, and forgets it when they do", async () => {
    const namespace = await aBuilder();
    await kiln.pod(namespace, "builder-main-a", stuck);
    await kiln.becomes(namespace, "False Unschedulable");
    await kiln.podStatus(namespace, "builder-main-a", pullError);
    const status = await kiln.becomes(namespace, "False ImagePullFailed");
    assert.equal(
      status.conditions?.find(({ type }) => type === "Stalled")?.reason,
      "ImagePullFailed",
    );
    assert.equal(status.instances?.[0]?.reason, "ImagePullFailed");
    const { address } = await aDaemon(namespace);
    await kiln.podStatus(namespace, "builder-main-a", runningAt(address));
    await kiln.becomes(
      namespace,
      "True InstancesReady",
      ({ conditions }) => conditions?.length === 1,
    );
  });

  it("says that quota forbids its pods: from the ReplicaSet, and from Events of the StatefulSet", async () => {
    const message = 'pods "x" is forbidden: exceeded quota: small';
    const plain = await aBuilder();
    const conditions = [
      { type: "ReplicaFailure", status: "True", reason: "FailedCreate", message },
    ];
    await kiln.client.applyStatus(
      replicaSets,
      { metadata: { namespace: plain, name: "builder-main" }, status: { conditions } } as never,
      { fieldManager: "test" },
      soon(),
    );
    await kiln.becomes(plain, "False QuotaExceeded");
    const stored = await aBuilder({
      kubernetes: { security: "Privileged", storage: { size: "1Gi" } },
    });
    const set = await kiln.client.get(
      statefulSets,
      { namespace: stored, name: "builder-main" },
      soon(),
    );
    assert.ok(set !== undefined);
    await kiln.warn(set, "FailedCreate", message);
    await kiln.becomes(stored, "False QuotaExceeded");
  });

  it("rolls when edited, and says that it does", async () => {
    const namespace = await aBuilder();
    const { address } = await aDaemon(namespace);
    await kiln.pod(namespace, "builder-main-a", runningAt(address));
    const before = await kiln.becomes(namespace, "True InstancesReady");
    await kiln.builder(namespace, {
      kubernetes: { security: "Privileged" },
      buildkitd: { config: "debug = true\n" },
    });
    const rolling = await kiln.becomes(
      namespace,
      "True InstancesReady",
      ({ templateHash }) => templateHash !== before.templateHash,
    );
    assert.equal(
      rolling.conditions?.find(({ type }) => type === "Reconciling")?.reason,
      "RollingOut",
    );
    const { spec } = await kiln.workload(namespace);
    assert.equal(spec.template.metadata.annotations["kiln.build/buildkitd.toml"], "debug = true\n");
    await kiln.deletePod(namespace, "builder-main-a");
    await kiln.pod(namespace, "builder-main-b", runningAt(address, "containerd://2"));
    await kiln.becomes(
      namespace,
      "True InstancesReady",
      ({ conditions, observedGeneration }) => conditions?.length === 1 && observedGeneration === 2,
    );
  });

  it("repairs what was scaled, stripped of its labels, or deleted", async () => {
    const namespace = await aBuilder();
    const at = { namespace, name: "builder-main" };
    const vandal = { fieldManager: "vandal" };
    await kiln.client.apply(
      replicaSets,
      { metadata: at, spec: { replicas: 0 } } as never,
      vandal,
      soon(),
    );
    await until("its replicas", async () =>
      (await kiln.workload(namespace)).spec.replicas === 1 ? true : undefined,
    );
    const stripped = await kiln.client.get(replicaSets, at, soon());
    assert.ok(stripped !== undefined);
    await kiln.client.replace(
      replicaSets,
      { ...stripped, metadata: { ...stripped.metadata, labels: {} } },
      soon(),
    );
    await until("its labels", async () => {
      const object = await kiln.client.get(replicaSets, at, soon());
      return object?.metadata.labels?.["kiln.build/builder"] === "main" ? true : undefined;
    });
    for (const type of [replicaSets, services, networkPolicies]) {
      const uid = (await kiln.client.get(type as typeof services, at, soon()))?.metadata.uid;
      await kiln.client.delete(type as typeof services, at, soon());
      await until(`another ${type.kind}`, async () => {
        const object = await kiln.client.get(type as typeof services, at, soon());
        return object !== undefined && object.metadata.uid !== uid ? true : undefined;
      });
    }
  });

  it("turns from ReplicaSet to StatefulSet and to a remote daemon, and leaves nothing of what it was", async () => {
    const namespace = await aBuilder();
    const at = { namespace, name: "builder-main" };
    await kiln.builder(namespace, {
      kubernetes: { security: "Privileged", storage: { size: "1Gi" } },
    });
    await kiln.workload(namespace, "StatefulSet");
    // Nobody collects garbage here: an object that waits for its dependents is as good as gone.
    const isLeaving = async (type: typeof replicaSets): Promise<true | undefined> => {
      const object = await kiln.client.get(type, at, soon());
      return object === undefined || object.metadata.deletionTimestamp !== undefined
        ? true
        : undefined;
    };
    await until("the ReplicaSet to go", async () => await isLeaving(replicaSets));
    await kiln.builder(namespace, { remote: { endpoint: "unix:///nowhere.sock" } });
    for (const type of [statefulSets, services, networkPolicies]) {
      await until(
        `the ${type.kind} to go`,
        async () => await isLeaving(type as typeof replicaSets),
      );
    }
    const status = await kiln.becomes(namespace, "False SocketForbidden");
    assert.equal(status.driver, "Remote");
    assert.match(status.conditions?.[0]?.message ?? "", /^spec\.remote\.endpoint: sockets in/);
  });

  it("does not take an object that is not Kiln's, and goes on when it is out of the way", async () => {
    const namespace = await kiln.namespace();
    const metadata = { namespace, name: "builder-main" };
    const spec = { clusterIP: "None", ports: [{ port: 80 }] };
    await kiln.client.apply(
      services,
      { metadata, spec } as never,
      { fieldManager: "user" },
      soon(),
    );
    await kiln.builder(namespace, { kubernetes: {} });
    const status = await kiln.becomes(namespace, "False NameTaken");
    assert.match(
      status.conditions?.[0]?.message ?? "",
      /Service .*builder-main exists and is not Kiln's/,
    );
    await kiln.client.delete(services, metadata, soon());
    await kiln.workload(namespace);
  });

  it("says what the API server refuses", async () => {
    const namespace = await kiln.namespace();
    await kiln.builder(namespace, {
      kubernetes: { resources: { requests: { cpu: "2" }, limits: { cpu: "1" } } },
    });
    const status = await kiln.becomes(namespace, "False CreateFailed");
    assert.match(status.conditions?.[0]?.message ?? "", /must be less than or equal to cpu limit/);
  });

  it("is not written to while nothing changes, nor by a controller that starts again", async () => {
    const namespace = await aBuilder();
    const { address } = await aDaemon(namespace);
    await kiln.pod(namespace, "builder-main-a", runningAt(address));
    await kiln.becomes(namespace, "True InstancesReady");
    const versions = async (): Promise<unknown[]> => {
      const at = { namespace, name: "builder-main" };
      const objects = await Promise.all([
        kiln.client.get(builders, { namespace, name: "main" }, soon()),
        ...[replicaSets, services, networkPolicies].map((type) =>
          kiln.client.get(type as typeof services, at, soon()),
        ),
        kiln.client.get(secrets, { namespace, name: "kiln-builder-tls" }, soon()),
      ]);
      return objects.map((object) => object?.metadata.resourceVersion);
    };
    const settled = await versions();
    await kiln.halt();
    await kiln.run();
    const ref = { kind: "Builder", namespace, name: "main" } as const;
    await until("its instance is known again", async () =>
      kiln.fleet.instances(ref)[0]?.ready === true ? true : undefined,
    );
    assert.deepEqual(await versions(), settled);
    assert.equal((await kiln.status(namespace)).conditions?.[0]?.status, "True");
  });

  it("tells the run slice what there is: capacity, why not ready, gone", async () => {
    const namespace = await aBuilder({
      kubernetes: { security: "Privileged" },
      maxConcurrentRuns: 7,
    });
    const ref = kiln.fleet.find({ name: "main" }, namespace);
    assert.deepEqual(ref, { kind: "Builder", namespace, name: "main" });
    assert.ok(ref !== undefined);
    await kiln.pod(namespace, "builder-main-a", pullError);
    await until("the reason", async () =>
      kiln.fleet.notReadyReason(ref)?.reason === "ImagePullFailed" ? true : undefined,
    );
    const [instance] = kiln.fleet.instances(ref);
    assert.deepEqual(
      [instance?.capacity, instance?.ready, instance?.reason],
      [7, false, "ImagePullFailed"],
    );
    for (const [name, why] of [
      ["builder-main-a", "InstanceNotRunning"],
      ["builder-main-z", "InstanceGone"],
    ] as const)
      await assert.rejects(kiln.fleet.place(ref, name, soon()), { reason: why, class: "Builder" });
    await kiln.client.delete(builders, { namespace, name: "main" }, soon());
    await until("it is gone", async () =>
      kiln.fleet.find({ name: "main" }, namespace) === undefined ? true : undefined,
    );
    assert.deepEqual(kiln.fleet.instances(ref), []);
    assert.equal(kiln.fleet.notReadyReason(ref)?.reason, "BuilderNotFound");
    assert.equal(kiln.fleet.find(undefined, namespace), undefined);
  });
});
