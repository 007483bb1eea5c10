// The options of buildx's kubernetes driver (v0.38, driver/kubernetes/factory.go), in the order of its
// code; the field of a Builder that means the same; and the effect of it on what Kiln makes.

import type { BuilderSpecInput } from "../../../src/api/v1alpha1/index.ts";

type Kubernetes = NonNullable<BuilderSpecInput["kubernetes"]>;

/** One option. */
export interface BuildxOption {
  /** As after `--driver-opt`. */
  readonly option: string;
  /** Of a Builder, from its root. */
  readonly field: string;
  /** A Builder that sets it, and where in the workload that is seen; none: tested elsewhere, by name. */
  readonly seen?: {
    readonly kubernetes: Kubernetes;
    readonly at: readonly (string | number)[];
    readonly is: unknown;
  };
}

const pod = ["spec", "template", "spec"] as const;
const container = [...pod, "initContainers", 0] as const;

function resource(side: "requests" | "limits", name: string): BuildxOption["seen"] {
  return {
    kubernetes: { resources: { [side]: { [name]: "3" } } },
    at: [...container, "resources", side, name],
    is: "3",
  };
}

function resources(side: "requests" | "limits"): BuildxOption[] {
  return ["cpu", "memory", "ephemeral-storage"].map((name) => ({
    option: `${side}.${name}`,
    field: `spec.kubernetes.resources.${side}.${name}`,
    seen: resource(side, name),
  })) as BuildxOption[];
}

/** Every option that buildx knows, and none besides. */
export const buildxOptions: readonly BuildxOption[] = [
  {
    option: "image",
    field: "spec.kubernetes.image",
    seen: { kubernetes: { image: "mine:1" }, at: [...container, "image"], is: "mine:1" },
  },
  {
    option: "namespace",
    field: "metadata.namespace",
    seen: { kubernetes: {}, at: ["metadata", "namespace"], is: "shop" },
  },
  {
    option: "replicas",
    field: "spec.kubernetes.replicas",
    seen: { kubernetes: { replicas: 4 }, at: ["spec", "replicas"], is: 4 },
  },
  ...resources("requests"),
  ...resources("limits"),
  {
    option: "persistent-volume-claim.requests.storage",
    field: "spec.kubernetes.storage.size",
    seen: {
      kubernetes: { storage: { size: "7Gi" } },
      at: ["spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage"],
      is: "7Gi",
    },
  },
  {
    option: "buildkit-root-volume-memory",
    field: "spec.kubernetes.tmpfs.size",
    seen: {
      kubernetes: { tmpfs: { size: "2Gi" } },
      at: [...pod, "volumes", 0, "emptyDir"],
      is: { medium: "Memory", sizeLimit: "2Gi" },
    },
  },
  {
    option: "rootless",
    field: "spec.kubernetes.security",
    seen: {
      kubernetes: { security: "Rootless" },
      at: [...container, "securityContext", "runAsUser"],
      is: 1000,
    },
  },
  {
    option: "schedulername",
    field: "spec.kubernetes.schedulerName",
    seen: { kubernetes: { schedulerName: "mine" }, at: [...pod, "schedulerName"], is: "mine" },
  },
  {
    option: "serviceaccount",
    field: "spec.kubernetes.serviceAccountName",
    seen: {
      kubernetes: { serviceAccountName: "mine" },
      at: [...pod, "serviceAccountName"],
      is: "mine",
    },
  },
  {
    option: "nodeselector",
    field: "spec.kubernetes.nodeSelector",
    seen: { kubernetes: { nodeSelector: { a: "b" } }, at: [...pod, "nodeSelector", "a"], is: "b" },
  },
  {
    option: "annotations",
    field: "spec.kubernetes.annotations",
    seen: {
      kubernetes: { annotations: { a: "b" } },
      at: ["spec", "template", "metadata", "annotations", "a"],
      is: "b",
    },
  },
  {
    option: "labels",
    field: "spec.kubernetes.labels",
    seen: {
      kubernetes: { labels: { a: "b" } },
      at: ["spec", "template", "metadata", "labels", "a"],
      is: "b",
    },
  },
  {
    option: "tolerations",
    field: "spec.kubernetes.tolerations",
    seen: {
      kubernetes: { tolerations: [{ key: "a", operator: "Exists" }] },
      at: [...pod, "tolerations"],
      is: [{ key: "a", operator: "Exists" }],
    },
  },
  { option: "loadbalance", field: "spec.kubernetes.loadBalance" },
  {
    option: "qemu.install",
    field: "spec.kubernetes.qemu.install",
    seen: {
      kubernetes: { qemu: { install: true } },
      at: [...pod, "initContainers", 0, "args"],
      is: ["--install", "all"],
    },
  },
  {
    option: "qemu.image",
    field: "spec.kubernetes.qemu.image",
    seen: {
      kubernetes: { qemu: { install: true, image: "mine:1" } },
      at: [...pod, "initContainers", 0, "image"],
      is: "mine:1",
    },
  },
  { option: "default-load", field: "spec.defaultLoad" },
  {
    option: "timeout",
    field: "spec.kubernetes.startupTimeout",
    seen: {
      kubernetes: { startupTimeout: "5m" },
      at: [...pod, "containers", 0, "startupProbe", "failureThreshold"],
      is: 300,
    },
  },
  {
    option: "env.NAME",
    field: "spec.kubernetes.env",
    seen: {
      kubernetes: { env: [{ name: "A", value: "b" }] },
      at: [...container, "env"],
      is: [{ name: "A", value: "b" }],
    },
  },
];

/** Of the remote driver (driver/remote/factory.go); what each does is seen in remote.test.ts of test/integration. */
export const remoteOptions: readonly BuildxOption[] = [
  { option: "cacert", field: "spec.remote.tls.secretRef" },
  { option: "cert", field: "spec.remote.tls.secretRef" },
  { option: "key", field: "spec.remote.tls.secretRef" },
  { option: "servername", field: "spec.remote.tls.serverName" },
  { option: "default-load", field: "spec.defaultLoad" },
];

/** Of the docker-container driver (driver/docker-container/factory.go); seen on an engine in test/integration/docker. */
export const containerOptions: readonly BuildxOption[] = [
  { option: "image", field: "spec.dockerContainer.image" },
  { option: "network", field: "spec.dockerContainer.network" },
  { option: "memory", field: "spec.dockerContainer.memory" },
  { option: "memory-swap", field: "spec.dockerContainer.memorySwap" },
  { option: "cpu-period", field: "spec.dockerContainer.cpuPeriod" },
  { option: "cpu-quota", field: "spec.dockerContainer.cpuQuota" },
  { option: "cpu-shares", field: "spec.dockerContainer.cpuShares" },
  { option: "cpuset-cpus", field: "spec.dockerContainer.cpusetCpus" },
  { option: "cpuset-mems", field: "spec.dockerContainer.cpusetMems" },
  { option: "cgroup-parent", field: "spec.dockerContainer.cgroupParent" },
  { option: "restart-policy", field: "spec.dockerContainer.restartPolicy" },
  { option: "default-load", field: "spec.defaultLoad" },
  { option: "env.NAME", field: "spec.dockerContainer.env" },
  { option: "provenance-add-gha", field: "spec.dockerContainer.githubContext" },
  { option: "allow-untrusted-image", field: "spec.dockerContainer.allowUntrustedImage" },
];
