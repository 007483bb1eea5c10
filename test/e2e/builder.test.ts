import assert from "node:assert/strict";
import { cluster } from "./fixture.ts";

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

interface BuilderObject {
  readonly metadata: { readonly generation: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly conditions?: readonly Condition[];
    readonly version?: string;
    readonly platforms?: readonly string[];
    readonly readyInstances?: number;
    readonly templateHash?: string;
    readonly instances?: readonly {
      readonly name: string;
      readonly gcPolicy?: readonly object[];
    }[];
  };
}

interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
  };
  readonly spec: {
    readonly containers: readonly {
      readonly volumeMounts?: readonly { readonly mountPath: string }[];
    }[];
  };
}

type Driver = Record<string, unknown>;

describe("Builders", () => {
  let ns = "";
  before(async () => {
    ns = await cluster.namespace("builders");
  });
  after(async () => {
    await cluster.removeNamespace(ns);
  });

  const manifest = (name: string, kubernetes: Driver, more: Driver = {}, kind = "Builder") => ({
    apiVersion: "kiln.build/v1alpha1",
    kind,
    metadata: { name },
    spec: { kubernetes, ...more },
  });

  async function json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await cluster.kubectl(["get", ...args, "-o", "json"])) as T;
  }

  async function pods(name: string): Promise<readonly PodObject[]> {
    const of = ["-n", ns, "-l", `kiln.build/builder=${name}`];
    const list = await json<{ items: PodObject[] }>("pods", ...of);
    return list.items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }

  const conditionOf = (builder: BuilderObject, type: string): Condition | undefined =>
    builder.status?.conditions?.find((one) => one.type === type);

  /** Waits until Ready says this about the newest spec, and no Reconciling is left unless `still` says so. */
  async function becomes(name: string, wanted: string, still = false): Promise<BuilderObject> {
    return await cluster.until(`Builder ${name} to be ${wanted}`, async () => {
      const builder = await json<BuilderObject>("builder", name, "-n", ns);
      const ready = conditionOf(builder, "Ready");
      const isCurrent = builder.status?.observedGeneration === builder.metadata.generation;
      const isDone = still || conditionOf(builder, "Reconciling") === undefined;
      if (isCurrent && isDone && `${ready?.status} ${ready?.reason}` === wanted) return builder;
      throw new Error(JSON.stringify(builder.status?.conditions));
    });
  }

  const working: [string, Driver][] = [
    ["rootless", {}],
    ["privileged", { security: "Privileged" }],
    ["usernamespace", { security: "UserNamespace" }],
    ["usernamespace-stored", { security: "UserNamespace", storage: { size: "1Gi" } }],
    ["rootless-stored", { storage: { size: "1Gi" } }],
    ["privileged-stored", { security: "Privileged", storage: { size: "1Gi" }, replicas: 2 }],
  ];
  for (const [name, driver] of working) {
    it(`${name} becomes Ready, and its pods carry no token`, async () => {
      await cluster.apply(ns, manifest(name, driver));
      const builder = await becomes(name, "True InstancesReady");
      assert.match(builder.status?.version ?? "", /^v0\./);
      assert.ok(builder.status?.platforms?.includes("linux/amd64"));
      assert.ok((builder.status?.instances?.[0]?.gcPolicy?.length ?? 0) > 0);
      for (const pod of await pods(name)) {
        const mounted = pod.spec.containers.flatMap(({ volumeMounts }) => volumeMounts ?? []);
        assert.ok(mounted.every(({ mountPath }) => !mountPath.includes("serviceaccount")));
      }
    });
  }

  // What the user ids of the pod are on the node: 0 of a length that is everybody, or a range of its own.
  const modes: [string, RegExp][] = [
    ["rootless", /^\s*0\s+0\s+4294967295/],
    ["privileged", /^\s*0\s+0\s+4294967295/],
    ["usernamespace", /^\s*0\s+[1-9]\d*\s+65536\s*$/],
  ];
  for (const [name, ids] of modes) {
    it(`builds with RUN and pushes in a ${name} pod, which has the user ids of that mode`, async () => {
      const [pod] = await pods(name);
      const map = [
        "exec",
        pod?.metadata.name ?? "",
        "-n",
        ns,
        "-c",
        "buildkitd",
        "--",
        "cat",
        "/proc/1/uid_map",
      ];
      assert.match(await cluster.kubectl(map), ids);
      await cluster.apply(ns, {
        apiVersion: "kiln.build/v1alpha1",
        kind: "BuildRun",
        metadata: { name },
        spec: {
          builderRef: { name },
          context: { none: {} },
          dockerfile: { inline: "FROM debian:bookworm-slim\nRUN id && mkdir /a && mv /a /b\n" },
          outputs: [{ image: { tags: [`${cluster.registry()}/modes/${name}:1`], insecure: true } }],
        },
      });
      const status = await cluster.finished(ns, name);
      assert.equal(status.phase, "Succeeded", JSON.stringify(status.failure));
      assert.match(status.outputs?.[0]?.image.digest ?? "", /^sha256:/);
    });
  }

  it("rolls its pods when edited, and never is without one", async () => {
    const before = await becomes("privileged", "True InstancesReady");
    const [old] = await pods("privileged");
    await cluster.apply(
      ns,
      manifest("privileged", { security: "Privileged", annotations: { "example.com/edit": "1" } }),
    );
    const after = await cluster.until("the roll", async () => {
      const builder = await json<BuilderObject>("builder", "privileged", "-n", ns);
      assert.equal(conditionOf(builder, "Ready")?.status, "True", "Ready throughout");
      const isDone = conditionOf(builder, "Reconciling") === undefined;
      return isDone && builder.status?.templateHash !== before.status?.templateHash
        ? builder
        : undefined;
    });
    assert.equal(after.status?.readyInstances, 1);
    const [fresh] = await pods("privileged");
    assert.notEqual(fresh?.metadata.uid, old?.metadata.uid);
  });

  it("comes back after its pod, its ReplicaSet or its policy was deleted, or it was scaled by hand", async () => {
    const [pod] = await pods("rootless");
    await cluster.kubectl(["delete", "pod", pod?.metadata.name ?? "", "-n", ns, "--wait=false"]);
    await becomes("rootless", "True InstancesReady");
    await cluster.kubectl(["scale", "replicaset/builder-rootless", "-n", ns, "--replicas=0"]);
    await cluster.until("the replica", async () => {
      const replicaSet = await json<{ spec: { replicas: number } }>(
        "replicaset",
        "builder-rootless",
        "-n",
        ns,
      );
      return replicaSet.spec.replicas === 1;
    });
    await cluster.kubectl([
      "delete",
      "replicaset,networkpolicy,service",
      "builder-rootless",
      "-n",
      ns,
    ]);
    await cluster.until(
      "the policy",
      async () =>
        await cluster.kubectl(["get", "networkpolicy,service", "builder-rootless", "-n", ns]),
    );
    await becomes("rootless", "True InstancesReady");
  });

  it("is Ready again after buildkitd was killed", async () => {
    const [pod] = await pods("privileged");
    const name = pod?.metadata.name ?? "";
    const restarts = async (): Promise<string> =>
      await cluster.kubectl([
        "get",
        "pod",
        name,
        "-n",
        ns,
        "-o",
        "jsonpath={.status.initContainerStatuses[0].restartCount}",
      ]);
    const before = await restarts();
    // The exec ends with the container: its exit code says nothing.
    await cluster
      .kubectl(["exec", name, "-n", ns, "-c", "buildkitd", "--", "sh", "-c", "kill -TERM 1"])
      .catch(() => undefined);
    await cluster.until("the restart", async () => (await restarts()) !== before);
    await becomes("privileged", "True InstancesReady");
  });

  it("becomes a StatefulSet when it gets storage, and leaves no ReplicaSet", async () => {
    await cluster.apply(
      ns,
      manifest("privileged", { security: "Privileged", storage: { size: "1Gi" } }),
    );
    await cluster.until("the ReplicaSet to go", async () => {
      return (await cluster.kubectl(["get", "replicaset", "-n", ns, "-o", "name"])).includes(
        "builder-privileged",
      )
        ? undefined
        : true;
    });
    await becomes("privileged", "True InstancesReady");
  });

  const patched = (spec: object): Driver => ({
    security: "Privileged",
    podTemplatePatch: { spec },
  });
  const broken: [string, string, Driver, Driver, RegExp][] = [
    [
      "no-image",
      "ImagePullFailed",
      { image: "registry.invalid/none:1", security: "Privileged" },
      {},
      /registry\.invalid\/none:1/,
    ],
    [
      "too-large",
      "Unschedulable",
      { resources: { requests: { cpu: "4000" } } },
      {},
      /Insufficient cpu/,
    ],
    [
      "no-node",
      "Unschedulable",
      { nodeSelector: { "example.com/none": "1" } },
      {},
      /affinity|selector/,
    ],
    [
      "no-class",
      "VolumeNotBound",
      { storage: { size: "1Gi", storageClassName: "none" } },
      {},
      /none|PersistentVolumeClaim/,
    ],
    [
      "bad-config",
      "InvalidConfig",
      { security: "Privileged" },
      { buildkitd: { config: "this is no TOML" } },
      /line 1/,
    ],
    [
      "no-worker",
      "CrashLooping",
      { security: "Privileged" },
      { buildkitd: { config: "[worker.oci]\n  enabled = false\n" } },
      /ended with code 1 .*buildkitd: no worker found/,
    ],
    [
      "no-name",
      "InvalidImageName",
      patched({ containers: [{ name: "buildkitd", image: "registry.example.com/Not:An:Image" }] }),
      {},
      /Not:An:Image is not an image name: correct spec\.kubernetes\.image/,
    ],
    [
      "no-command",
      "ContainerCannotStart",
      patched({ containers: [{ name: "agent", command: ["/none"] }] }),
      {},
      /cannot start: .*\/none/,
    ],
    [
      "no-folder",
      "MountFailed",
      patched({
        volumes: [{ name: "none", hostPath: { path: "/none", type: "Directory" } }],
        containers: [{ name: "buildkitd", volumeMounts: [{ name: "none", mountPath: "/none" }] }],
      }),
      {},
      /waits for a volume: .*\/none is not a directory/,
    ],
    ["no-priority", "AdmissionDenied", { priorityClassName: "none" }, {}, /PriorityClass/],
    [
      "no-runtime",
      "AdmissionDenied",
      { runtimeClassName: "none" },
      {},
      /RuntimeClass|runtimeclass/i,
    ],
  ];
  for (const [name, reason, driver, more, says] of broken) {
    it(`says why it cannot work: ${name} is ${reason}, and works once corrected`, async () => {
      await cluster.apply(ns, manifest(name, driver, more));
      const builder = await becomes(name, `False ${reason}`, true);
      assert.match(conditionOf(builder, "Ready")?.message ?? "", says);
      if (driver["storage"] !== undefined) return;
      await cluster.apply(ns, manifest(name, { security: "Privileged" }));
      await becomes(name, "True InstancesReady");
      await cluster.kubectl(["delete", "builder", name, "-n", ns]);
    });
  }

  it("says that quota or Pod Security forbids its pods", async () => {
    const small = await cluster.namespace("small");
    const said = async (name: string): Promise<Condition | undefined> =>
      conditionOf(await json<BuilderObject>("builder", name, "-n", small), "Ready");
    const says = async (name: string, wanted: string): Promise<string> =>
      await cluster.until(`${wanted} of ${name}`, async () => {
        const { reason, message } = (await said(name)) ?? {};
        return reason === wanted ? message : undefined;
      });
    try {
      await cluster.kubectl(["create", "quota", "none", "-n", small, "--hard=pods=0"]);
      await cluster.apply(
        small,
        manifest("plain", {}),
        manifest("stored", { storage: { size: "1Gi" } }),
      );
      for (const name of ["plain", "stored"])
        assert.match(await says(name, "QuotaExceeded"), /exceeded quota: none.*Raise the quota/);
      await cluster.kubectl(["delete", "quota", "none", "-n", small]);
      const level = "pod-security.kubernetes.io/enforce=restricted";
      await cluster.kubectl(["label", "namespace", small, "--overwrite", level]);
      await cluster.apply(small, manifest("strict", { security: "Privileged" }));
      assert.match(await says("strict", "AdmissionDenied"), /violates PodSecurity "restricted/);
    } finally {
      await cluster.removeNamespace(small);
    }
  });

  it("of the cluster runs in Kiln's namespace and serves every namespace", async () => {
    const name = `shared-${ns}`;
    await cluster.kubectl(
      ["apply", "-f", "-"],
      JSON.stringify(manifest(name, { security: "Privileged" }, {}, "ClusterBuilder")),
    );
    try {
      await cluster.until("the ClusterBuilder", async () => {
        const builder = await json<BuilderObject>("clusterbuilder", name);
        return conditionOf(builder, "Ready")?.status === "True";
      });
    } finally {
      await cluster.kubectl(["delete", "clusterbuilder", name]);
    }
    await cluster.until("its pods to go", async () => {
      return (
        (await cluster.kubectl([
          "get",
          "pods",
          "-A",
          "-l",
          `kiln.build/builder=${name}`,
          "-o",
          "name",
        ])) === ""
      );
    });
  });

  it("takes everything with it when it is deleted: pods, volumes, Service, policy and, with the last, the certificate", async () => {
    await cluster.kubectl(["delete", "builder", "--all", "-n", ns]);
    const kinds = "pods,replicasets,statefulsets,services,networkpolicies,pvc";
    await cluster.until("everything to go", async () => {
      const left = await cluster.kubectl(["get", kinds, "-n", ns, "-o", "name"]);
      const certificate = await cluster.kubectl([
        "get",
        "secret",
        "kiln-builder-tls",
        "-n",
        ns,
        "-o",
        "name",
        "--ignore-not-found",
      ]);
      if (left === "" && certificate === "") return true;
      throw new Error(`${left}${certificate}`);
    });
  });
});
