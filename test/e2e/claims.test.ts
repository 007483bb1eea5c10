// An output onto a volume, in a cluster: Kiln's pod writes it, a pod of the user reads it.

import assert from "node:assert/strict";
import { aBuilder, aRun, cluster, reasonOf } from "./fixture.ts";

const group = "rbac.authorization.k8s.io";
const role = { apiVersion: `${group}/v1`, kind: "Role" };
const rules = [
  {
    apiGroups: [""],
    resources: ["persistentvolumeclaims"],
    resourceNames: ["site"],
    verbs: ["get"],
  },
  { apiGroups: [""], resources: ["pods"], verbs: ["get", "create", "delete"] },
  { apiGroups: [""], resources: ["secrets"], verbs: ["create", "delete"] },
];

describe("an output onto a PersistentVolumeClaim in a cluster", () => {
  let ns = "";

  before(async () => {
    ns = await cluster.namespace("claims");
    // The pod that writes has to fit where nobody else's rights are.
    const level = "pod-security.kubernetes.io/enforce=restricted";
    await cluster.kubectl(["create", "namespace", `${ns}-runs`]);
    await cluster.kubectl(["label", "namespace", `${ns}-runs`, level]);
  });

  after(async () => {
    await cluster.removeNamespace(`${ns}-runs`);
    await cluster.kubectl(["delete", "clusterbuilder", ns, "--wait=false", "--ignore-not-found"]);
    await cluster.removeNamespace(ns);
  });

  it("is read back by a pod, and Kiln's own is gone", async () => {
    const at = `${ns}-runs`;
    const subjects = [{ kind: "ServiceAccount", name: "publisher" }];
    await cluster.apply(
      at,
      { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "publisher" } },
      { ...role, metadata: { name: "publisher" }, rules },
      {
        ...role,
        kind: "RoleBinding",
        metadata: { name: "publisher" },
        roleRef: { apiGroup: group, kind: "Role", name: "publisher" },
        subjects,
      },
      {
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: { name: "site" },
        spec: {
          storageClassName: "standard",
          accessModes: ["ReadWriteOnce"],
          resources: { requests: { storage: "1Gi" } },
        },
      },
    );
    await cluster.apply(ns, { ...aBuilder({}, ns), kind: "ClusterBuilder" });
    const to = { persistentVolumeClaim: { claimName: "site", path: "www/shop" } };
    const dockerfile = [
      "FROM debian:bookworm-slim AS b",
      "RUN mkdir -p /out/docs && echo 'written by kiln' > /out/docs/index && ln -s docs/index /out/start",
      "FROM scratch",
      "COPY --from=b /out /",
      "",
    ].join("\n");
    await cluster.apply(
      at,
      aRun("publish", dockerfile, {
        serviceAccountName: "publisher",
        builderRef: { kind: "ClusterBuilder", name: ns },
        outputs: [{ local: { to } }],
      }),
    );
    const status = await cluster.finished(at, "publish");
    assert.equal(reasonOf(status), "Succeeded", JSON.stringify(status.failure));
    const [output] =
      (status as unknown as { outputs?: { files?: { location: string; files: number } }[] })
        .outputs ?? [];
    assert.deepEqual([output?.files?.location, output?.files?.files], ["pvc://site/www/shop/", 1]);
    await cluster.until("Kiln's pod and its Secret to be gone", async () => {
      const left = await cluster.kubectl(["get", "pods,secrets", "-n", at, "-o", "name"]);
      return left.trim() === "" ? true : undefined;
    });
    const printed = await cluster.printedBy(at, "reader", {
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 1000,
        seccompProfile: { type: "RuntimeDefault" },
      },
      containers: [
        {
          name: "reader",
          image: "debian:bookworm-slim",
          command: ["cat", "/site/www/shop/start"],
          securityContext: {
            allowPrivilegeEscalation: false,
            capabilities: { drop: ["ALL"] },
          },
          volumeMounts: [{ name: "site", mountPath: "/site", readOnly: true }],
        },
      ],
      volumes: [{ name: "site", persistentVolumeClaim: { claimName: "site" } }],
    });
    assert.equal(printed, "written by kiln");
  });
});
