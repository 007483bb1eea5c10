// Builders and ClusterBuilders that are refused.

import { builder, clusterBuilder, pods, type Refusal, remote } from "./manifests.ts";

const twoDrivers = { kubernetes: {}, remote: { endpoint: "tcp://buildkitd.example.com:1234" } };
const oneDriver = /exactly one of kubernetes, remote, docker, dockerContainer, or nodes/;
const aNode = (over: object) => builder({ nodes: [{ name: "a", ...over }] });
const container = (over: object) => builder({ dockerContainer: over });

/** Cases of both kinds. */
export const builders: readonly Refusal[] = [
  ["a Builder without a driver", builder({}), "spec", oneDriver],
  ["a Builder with two drivers", builder(twoDrivers), "spec", oneDriver],
  ["a ClusterBuilder without a driver", clusterBuilder({}), "spec", oneDriver],
  ["a ClusterBuilder with two drivers", clusterBuilder(twoDrivers), "spec", oneDriver],
  [
    "nodes beside a remote daemon",
    builder({ remote: twoDrivers.remote, nodes: [{ name: "a", docker: {} }] }),
    "spec",
    oneDriver,
  ],
  [
    "a node without a driver",
    aNode({}),
    "spec.nodes[0]",
    /a node must set exactly one of kubernetes, remote/,
  ],
  [
    "a node with two drivers",
    aNode({ docker: {}, dockerContainer: {} }),
    "spec.nodes[0]",
    /a node must set exactly one of kubernetes, remote/,
  ],
  [
    "pods of nodes beside those of the Builder",
    builder({ kubernetes: {}, nodes: [{ name: "a", kubernetes: {} }] }),
    "spec.kubernetes",
    /move spec.kubernetes into a node of its own/,
  ],
  [
    "pods from none that do not say what they build for",
    aNode({ kubernetes: { scaling: { max: 1 } } }),
    "spec.nodes[0].platforms",
    /set platforms, or raise min/,
  ],
  [
    "a node twice",
    builder({
      nodes: [
        { name: "a", docker: {} },
        { name: "a", docker: {} },
      ],
    }),
    "spec.nodes[1]",
    /Duplicate value/,
  ],
  [
    "a node like a pod",
    builder({ nodes: [{ name: "builder-main-0", docker: {} }] }),
    "spec.nodes[0].name",
    /not begin with builder-/,
  ],
  [
    "an image of somebody's",
    container({ image: "evil/buildkit" }),
    "spec.dockerContainer.image",
    /set allowUntrustedImage if you trust it/,
  ],
  [
    "swap of a container without memory",
    container({ memorySwap: "1Gi" }),
    "spec.dockerContainer.memorySwap",
    /add memory/,
  ],
  [
    "swap of a container with a limit and without",
    container({ memory: "1Gi", memorySwap: "1Gi", unlimitedSwap: true }),
    "spec.dockerContainer.memorySwap",
    /contradict each other/,
  ],
  [
    "to take over some container",
    container({ adopt: true }),
    "spec.dockerContainer.adopt",
    /adopt needs containerName/,
  ],
  [
    "an engine behind SSH without ssh",
    builder({ docker: { endpoint: "ssh://me@host" } }),
    "spec.docker.endpoint",
    /needs ssh, and no other does/,
  ],
  [
    "an unknown restart policy",
    container({ restartPolicy: "sometimes" }),
    "spec.dockerContainer.restartPolicy",
    /must be no, always/,
  ],
  [
    "ssh:// without ssh",
    builder({ remote: { endpoint: "ssh://me@host.example" } }),
    "spec.remote.endpoint",
    /needs ssh, and no other does/,
  ],
  [
    "ssh for tcp://",
    builder({ remote: { endpoint: "tcp://host:1", ssh: { secretRef: { name: "a" } } } }),
    "spec.remote.endpoint",
    /needs ssh, and no other does/,
  ],
  [
    "ssh:// without a user",
    builder({ remote: { endpoint: "ssh://host.example", ssh: { secretRef: { name: "a" } } } }),
    "spec.remote.endpoint",
    /must be tcp:/,
  ],
  [
    "an engine for a pod",
    builder({ remote: { endpoint: "kube-pod://a", engine: {} } }),
    "spec.remote.engine",
    /engine needs a docker-container:/,
  ],
  [
    "a kubeconfig for a container",
    builder({
      remote: { endpoint: "docker-container://a", kubeconfig: { secretRef: { name: "a" } } },
    }),
    "spec.remote.kubeconfig",
    /kubeconfig needs a kube-pod:/,
  ],
  [
    "a context without a kubeconfig",
    builder({ remote: { endpoint: "kube-pod://a?context=b" } }),
    "spec.remote.endpoint",
    /add kubeconfig or remove context=/,
  ],
  [
    "a pod with an unknown option",
    builder({ remote: { endpoint: "kube-pod://a?kubeconfig=b" } }),
    "spec.remote.endpoint",
    /must be tcp:/,
  ],
  [
    "a daemon configured from afar",
    builder({ remote: twoDrivers.remote, buildkitd: { config: "debug = true" } }),
    "spec.buildkitd",
    /configured where it runs, so remove buildkitd/,
  ],
  [
    "a configuration of 65 KiB",
    builder({ kubernetes: {}, buildkitd: { config: "#".repeat(65 * 1024) } }),
    "spec.buildkitd.config",
    /may not be more than 65536/,
  ],
  [
    "an unknown security",
    pods({ security: "Yolo" }),
    "kubernetes.security",
    /supported values: "Privileged", "Rootless", "UserNamespace"/,
  ],
  [
    "replicas and scaling",
    pods({ replicas: 1, scaling: { max: 2 } }),
    "kubernetes.replicas",
    /both say how many instances there are: remove one/,
  ],
  [
    "a least number above the largest",
    pods({ scaling: { min: 3, max: 2 } }),
    "kubernetes.scaling.min",
    /min must not be larger than max/,
  ],
  [
    "an instance for each run without scaling",
    pods({ isolation: "PerRun" }),
    "kubernetes.isolation",
    /set scaling, and remove storage/,
  ],
  [
    "an instance for each run with a volume",
    pods({ isolation: "PerRun", scaling: { max: 2 }, storage: { size: "1Gi" } }),
    "kubernetes.isolation",
    /set scaling, and remove storage/,
  ],
  ["no replicas", pods({ replicas: 0 }), "kubernetes.replicas", /greater than or equal to 1/],
  ["too many replicas", pods({ replicas: 65 }), "kubernetes.replicas", /less than or equal to 64/],
  ["an image that is a url", pods({ image: "https://a/b" }), "kubernetes.image", /without https/],
  [
    "an unknown pull policy",
    pods({ imagePullPolicy: "Sometimes" }),
    "kubernetes.imagePullPolicy",
    /supported values: "Always", "IfNotPresent", "Never"/,
  ],
  [
    "a pull secret twice",
    pods({ imagePullSecrets: [{ name: "a" }, { name: "a" }] }),
    "kubernetes.imagePullSecrets[1]",
    /Duplicate value/,
  ],
  [
    "a volume of ten gigs",
    pods({ storage: { size: "ten gigs" } }),
    "kubernetes.storage.size",
    /must be a quantity such as 500m, 4Gi or 100Gi/,
  ],
  ["a volume of no size", pods({ storage: {} }), "kubernetes.storage.size", /Required value/],
  [
    "a shared volume",
    pods({ storage: { size: "1Gi", accessMode: "ReadWriteMany" } }),
    "kubernetes.storage.accessMode",
    /supported values: "ReadWriteOnce", "ReadWriteOncePod"/,
  ],
  [
    "lots of memory",
    pods({ resources: { limits: { memory: "lots" } } }),
    "kubernetes.resources.limits[memory]",
    /must be a quantity such as 500m/,
  ],
  [
    "a toleration with a useless value",
    pods({ tolerations: [{ key: "a", operator: "Exists", value: "b" }] }),
    "kubernetes.tolerations[0]",
    /remove value or use operator Equal/,
  ],
  [
    "a label of Kiln's own",
    pods({ labels: { "kiln.build/builder": "x" } }),
    "kubernetes.labels",
    /are set by Kiln: use a prefix of your own/,
  ],
  [
    "an annotation of Kiln's own",
    pods({ annotations: { "kiln.build/hash": "x" } }),
    "kubernetes.annotations",
    /are set by Kiln: use a prefix of your own/,
  ],
  [
    "no concurrent runs",
    builder({ kubernetes: {}, maxConcurrentRuns: 0 }),
    "spec.maxConcurrentRuns",
    /greater than or equal to 1/,
  ],
  [
    "a daemon behind http",
    remote({ endpoint: "http://buildkitd:1234" }),
    "spec.remote.endpoint",
    /must be tcp:\/\/host:port, unix:\/\/\/path, ssh:/,
  ],
  [
    "a daemon without a port",
    remote({ endpoint: "tcp://buildkitd" }),
    "spec.remote.endpoint",
    /for example tcp:\/\/buildkitd\.example\.com:1234/,
  ],
  [
    "TLS over a socket",
    remote({ endpoint: "unix:///run/b.sock", tls: { secretRef: { name: "a" } } }),
    "spec.remote.tls",
    /remove tls or change endpoint/,
  ],
  [
    "TLS without a Secret",
    remote({ endpoint: "tcp://b:1", tls: {} }),
    "spec.remote.tls.secretRef",
    /Required value/,
  ],
  [
    "a server name that is a url",
    remote({
      endpoint: "tcp://b:1",
      tls: { secretRef: { name: "a" }, serverName: "https://b" },
    }),
    "spec.remote.tls.serverName",
    /the one in the server's certificate/,
  ],
  [
    "a Builder with a dot in its name",
    builder({ kubernetes: {} }, "build.er"),
    "metadata.name",
    /choose a shorter name without '\.'/,
  ],
  [
    "a Builder with a long name",
    builder({ kubernetes: {} }, "b".repeat(41)),
    "metadata.name",
    /at most 40 characters/,
  ],
  [
    "a ClusterBuilder with a long name",
    clusterBuilder({ kubernetes: {} }, "b".repeat(41)),
    "metadata.name",
    /at most 40 characters/,
  ],
];
