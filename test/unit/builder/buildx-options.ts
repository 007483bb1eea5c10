// The options of buildx's drivers (v0.38, driver/*/factory.go), in the order of its code; the field of a Builder that means
// the same; and the test that sees the effect of it on a real object or daemon. `node scripts/buildx-options.ts` prints it.

import type { BuilderSpecInput } from "../../../src/api/v1alpha1/index.ts";

type Kubernetes = NonNullable<BuilderSpecInput["kubernetes"]>;

/** A test: its file, from the root of the repository, and its title, or its name in the table of the file. */
export interface NamedTest {
  readonly file: string;
  readonly title: string;
}

/** One option. */
export interface BuildxOption {
  /** As after `--driver-opt`. */
  readonly option: string;
  /** Of a Builder, from its root. */
  readonly field: string;
  /** A Builder that sets it, and where in the workload that is seen. */
  readonly seen?: {
    readonly kubernetes: Kubernetes;
    readonly at: readonly (string | number)[];
    readonly is: unknown;
  };
  /** Where its effect on what is real is seen. Default, for those with `seen`: `seenBy`. */
  readonly shown?: NamedTest;
}

/** Sees each option with `seen` on the object that a real API server holds. */
const seenBy = "test/integration/builder/buildx-options.test.ts";

/** The test of an option; undefined when it has none. */
export function testOf({ option, seen, shown }: BuildxOption): NamedTest | undefined {
  return shown ?? (seen && { file: seenBy, title: `${option} is on the real workload` });
}

/** What is there of an object below a path; undefined where it ends. */
export function valueAt(object: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (value as Record<string | number, unknown> | undefined)?.[key],
    object,
  );
}

const shownIn =
  (file: string) =>
  (title: string): { readonly shown: NamedTest } => ({ shown: { file, title } });
const byPolicy = shownIn("test/integration/buildrun/rights/policy.test.ts")(
  "fails when its result would go nowhere, on a Builder with defaultLoad",
);
const byRemote = shownIn("test/integration/builder/remote.test.ts");
const byContainer = shownIn("test/integration/docker/container.test.ts");
const byEngine = shownIn("test/integration/docker/engine.test.ts");
const byKubernetes = shownIn("test/integration/builder/kubernetes.test.ts");
const allOfContainer = byContainer("has every option of buildx");
const mutual = byRemote(
  "over mutual TLS shows version, platforms, labels and GC policy, and can be dialled by runs",
);

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
  {
    option: "loadbalance",
    field: "spec.kubernetes.loadBalance",
    ...shownIn(seenBy)("loadbalance decides where runs of one repository go"),
  },
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
  { option: "default-load", field: "spec.defaultLoad", ...byPolicy },
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

/** Of the remote driver (driver/remote/factory.go). */
export const remoteOptions: readonly BuildxOption[] = [
  { option: "cacert", field: "spec.remote.tls.secretRef", ...mutual },
  { option: "cert", field: "spec.remote.tls.secretRef", ...mutual },
  { option: "key", field: "spec.remote.tls.secretRef", ...mutual },
  {
    option: "servername",
    field: "spec.remote.tls.serverName",
    ...byRemote("is not trusted under another server name"),
  },
  { option: "default-load", field: "spec.defaultLoad", ...byPolicy },
];

/** Of the docker-container driver (driver/docker-container/factory.go). */
export const containerOptions: readonly BuildxOption[] = [
  { option: "image", field: "spec.dockerContainer.image", ...allOfContainer },
  { option: "network", field: "spec.dockerContainer.network", ...allOfContainer },
  { option: "memory", field: "spec.dockerContainer.memory", ...allOfContainer },
  { option: "memory-swap", field: "spec.dockerContainer.memorySwap", ...allOfContainer },
  { option: "cpu-period", field: "spec.dockerContainer.cpuPeriod", ...allOfContainer },
  { option: "cpu-quota", field: "spec.dockerContainer.cpuQuota", ...allOfContainer },
  { option: "cpu-shares", field: "spec.dockerContainer.cpuShares", ...allOfContainer },
  { option: "cpuset-cpus", field: "spec.dockerContainer.cpusetCpus", ...allOfContainer },
  { option: "cpuset-mems", field: "spec.dockerContainer.cpusetMems", ...allOfContainer },
  { option: "cgroup-parent", field: "spec.dockerContainer.cgroupParent", ...allOfContainer },
  { option: "restart-policy", field: "spec.dockerContainer.restartPolicy", ...allOfContainer },
  {
    option: "default-load",
    field: "spec.defaultLoad",
    ...shownIn("test/integration/docker/load.test.ts")(
      "is loaded without a name when it has no output and the Builder loads by default",
    ),
  },
  { option: "env.NAME", field: "spec.dockerContainer.env", ...allOfContainer },
  { option: "provenance-add-gha", field: "spec.dockerContainer.githubContext", ...allOfContainer },
  {
    option: "allow-untrusted-image",
    field: "spec.dockerContainer.allowUntrustedImage",
    ...byContainer("buildkitd ends"),
  },
];

/** Flags of `docker buildx create` besides `--driver-opt`. */
export const createFlags: readonly BuildxOption[] = [
  {
    option: "--name",
    field: "metadata.name",
    ...byKubernetes(
      "is made of objects that it owns, and of a certificate that all of the namespace share",
    ),
  },
  {
    option: "--driver",
    field: "spec.kubernetes",
    ...byKubernetes(
      "turns from ReplicaSet to StatefulSet and to a remote daemon, and leaves nothing of what it was",
    ),
  },
  {
    option: "--bootstrap",
    field: "spec.kubernetes",
    ...byKubernetes("is Ready when BuildKit answers over mutual TLS, and not when it stops"),
  },
  ...["--append", "--leave", "--node", "--platform"].map((option) => ({
    option,
    field: option === "--platform" ? "spec.nodes.platforms" : "spec.nodes",
    ...byEngine("and others are nodes of one Builder, each with its driver and platforms"),
  })),
  {
    option: "--buildkitd-config",
    field: "spec.buildkitd.config",
    ...shownIn("test/e2e/options.test.ts")("has the label of its text"),
  },
  {
    option: "--buildkitd-flags",
    field: "spec.allow.entitlements",
    ...shownIn("test/integration/builder/config.test.ts")(
      'grants ${allowed.join() || "nothing"} when that is allowed',
    ),
  },
];

/** All of them, by driver. */
export const optionsByDriver: Readonly<Record<string, readonly BuildxOption[]>> = {
  kubernetes: buildxOptions,
  remote: remoteOptions,
  "docker-container": containerOptions,
  "docker buildx create": createFlags,
};
