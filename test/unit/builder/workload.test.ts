import assert from "node:assert/strict";
import {
  disruptionBudget,
  networkPolicy,
  serverSecret,
  service,
} from "../../../src/builder/kubernetes/access.ts";
import { templateHashOf, workload } from "../../../src/builder/kubernetes/workload.ts";
import { serverName, serverNamePattern, workloadName } from "../../../src/builder/names.ts";
import { assertGolden } from "./golden.ts";
import { aRender } from "./samples.ts";

const full = {
  image: "registry.example/mine:1",
  imagePullPolicy: "Always",
  imagePullSecrets: [{ name: "pull" }],
  replicas: 3,
  resources: { requests: { cpu: "500m", memory: "1Gi" }, limits: { memory: "2Gi" } },
  nodeSelector: { "kubernetes.io/arch": "amd64" },
  tolerations: [{ key: "builds", operator: "Exists", effect: "NoSchedule" }],
  annotations: { "example.com/note": "a" },
  labels: { team: "shop" },
  priorityClassName: "low",
  runtimeClassName: "sandboxed",
  schedulerName: "packer",
  serviceAccountName: "cloud",
  automountServiceAccountToken: true,
  tmpfs: { size: "4Gi" },
  proxy: { httpsProxy: "http://proxy.example:3128" },
  qemu: { install: true, image: "registry.example/binfmt:1" },
} as const;

describe("the objects of a Builder", () => {
  it("rootless, with nothing said", () => {
    const input = aRender();
    assertGolden("rootless", [
      workload(input),
      service(input),
      networkPolicy(input),
      disruptionBudget(input),
    ]);
  });

  it("privileged", () => {
    assertGolden("privileged", [workload(aRender({ security: "Privileged" }))]);
  });

  it("with everything that can be said", () => {
    assertGolden("full", [
      workload(
        aRender({
          ...full,
          imagePullSecrets: [{ name: "pull" }],
          tolerations: [...full.tolerations],
        }),
      ),
    ]);
  });

  it("with storage, as a StatefulSet", () => {
    const storage = {
      size: "10Gi",
      storageClassName: "fast",
      accessMode: "ReadWriteOncePod",
      whenDeleted: "Retain",
    } as const;
    assertGolden("storage", [workload(aRender({ security: "Privileged", replicas: 2, storage }))]);
  });

  it("with buildkitd.toml, privileged and rootless alike", () => {
    const config =
      '[worker.oci]\n  max-parallelism = 4\n[registry."docker.io"]\n  mirrors = ["mirror.example"]\n';
    assertGolden("config", [
      workload(aRender({ security: "Privileged", storage: { size: "1Gi" } }, { config })),
      workload(aRender({}, { config })),
    ]);
  });

  it("of a ClusterBuilder, in Kiln's namespace", () => {
    const input = aRender(
      {},
      { ref: { kind: "ClusterBuilder", name: "main" }, namespace: "kiln-system" },
    );
    assertGolden("cluster-builder", [workload(input), service(input)]);
  });

  it("the Secret that all of a namespace share", () => {
    const owners = [aRender().owner, { ...aRender().owner, name: "other", uid: "u2" }];
    assertGolden("secret", [
      serverSecret("shop", { ca: "CA", certificate: "CERT", key: "KEY" }, owners),
    ]);
  });
});

describe("the hash of the pod template", () => {
  const hash = (input: Parameters<typeof workload>[0]): string | undefined =>
    templateHashOf(workload(input));

  it("is the same for the same input", () => {
    assert.equal(hash(aRender()), hash(aRender()));
  });

  const edits: [string, ReturnType<typeof aRender>][] = [
    ["the image", aRender({ image: "registry.example/other:2" })],
    ["the security mode", aRender({ security: "Privileged" })],
    ["resources", aRender({ resources: { limits: { memory: "1Gi" } } })],
    ["an annotation", aRender({ annotations: { a: "b" } })],
    ["buildkitd.toml", aRender({}, { config: "debug = true\n" })],
    ["the time that builds get to end", aRender({ drainTimeout: "1m" })],
  ];
  for (const [what, edited] of edits) {
    it(`changes with ${what}`, () => assert.notEqual(hash(edited), hash(aRender())));
  }

  it("does not change with the number of replicas", () => {
    assert.equal(hash(aRender({ replicas: 5 })), hash(aRender()));
  });

  it("is on the workload and on its pods", () => {
    const object = workload(aRender());
    assert.equal(
      templateHashOf(object),
      object.spec?.template?.metadata?.annotations?.["kiln.build/template-hash"],
    );
  });
});

describe("names of a Builder's objects", () => {
  it("stay below what a StatefulSet's labels can take", () => {
    const name = "x".repeat(40);
    const one = workloadName({ kind: "ClusterBuilder", name });
    assert.ok(one.length <= 52, one);
    assert.notEqual(one, workloadName({ kind: "ClusterBuilder", name: `${"x".repeat(39)}y` }));
  });

  it("differ between a Builder and a ClusterBuilder", () => {
    assert.notEqual(
      workloadName({ kind: "ClusterBuilder", name: "a" }),
      workloadName({ kind: "Builder", namespace: "n", name: "a" }),
    );
  });

  it("make a server name that the namespace's certificate covers", () => {
    const name = serverName({ kind: "Builder", namespace: "shop", name: "main" }, "shop");
    const [first, ...rest] = name.split(".");
    assert.ok(first !== undefined && first.length <= 63);
    assert.equal(`*.${rest.join(".")}`, serverNamePattern("shop"));
  });
});
