// Every field of a Builder's pods and of its daemon, with a value that the API server takes.

/** `spec.kubernetes`; all of it can be applied to a real API server as pods. */
export const everyPodField = {
  image: `registry.example.com/buildkit:v1@sha256:${"ab".repeat(32)}`,
  imagePullPolicy: "Always",
  imagePullSecrets: [{ name: "pull" }],
  security: "Privileged",
  replicas: 3,
  loadBalance: "Random",
  diskPressureThreshold: 80,
  startupTimeout: "1m30s",
  resources: {
    requests: { cpu: 2, memory: "4Gi", "ephemeral-storage": "1Gi" },
    limits: { cpu: "4", memory: "8Gi", "ephemeral-storage": "1e10" },
  },
  agentResources: { requests: { cpu: "100m" }, limits: { memory: "1Gi" } },
  nodeSelector: { "kubernetes.io/arch": "arm64" },
  affinity: {
    nodeAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        {
          weight: 10,
          preference: { matchExpressions: [{ key: "disk", operator: "In", values: ["ssd"] }] },
        },
      ],
    },
  },
  topologySpreadConstraints: [{ topologyKey: "topology.kubernetes.io/zone", maxSkew: 2 }],
  tolerations: [
    { key: "build", operator: "Equal", value: "yes", effect: "NoSchedule" },
    { operator: "Exists", effect: "NoExecute", tolerationSeconds: 30 },
  ],
  priorityClassName: "builds",
  runtimeClassName: "sandbox",
  schedulerName: "bin-packer",
  serviceAccountName: "registry-identity",
  automountServiceAccountToken: true,
  annotations: { "example.com/a": "b" },
  labels: { team: "shop" },
  env: [
    { name: "BUILDKIT_STEP_LOG_MAX_SIZE", value: "-1" },
    { name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
    { name: "CPUS", valueFrom: { resourceFieldRef: { resource: "limits.cpu" } } },
    { name: "KEY", valueFrom: { secretKeyRef: { name: "cloud", key: "key", optional: true } } },
    { name: "REGION", valueFrom: { configMapKeyRef: { name: "cloud", key: "region" } } },
  ],
  proxy: {
    httpProxy: "http://proxy.example.com:3128",
    httpsProxy: "http://proxy.example.com:3128",
    noProxy: [".svc", "10.0.0.0/8"],
  },
  trustedCertificates: { configMapKeyRef: { name: "company", key: "ca.pem" } },
  volumes: [
    { name: "models", hostPath: { path: "/models", type: "Directory" } },
    { name: "certs", secret: { secretName: "certs" } },
  ],
  volumeMounts: [
    { name: "models", mountPath: "/models", readOnly: true, mountPropagation: "HostToContainer" },
    { name: "certs", mountPath: "/certs/one", subPath: "one" },
  ],
  storage: {
    size: "100Gi",
    storageClassName: "fast",
    accessMode: "ReadWriteOncePod",
    whenDeleted: "Retain",
    whenScaled: "Delete",
  },
  qemu: { install: true, image: "registry.example.com/binfmt:1" },
  podTemplatePatch: {
    metadata: { annotations: { "example.com/patched": "yes" } },
    spec: {
      hostAliases: [{ ip: "10.1.2.3", hostnames: ["mirror"] }],
      containers: [{ name: "buildkitd", lifecycle: { preStop: { exec: { command: ["true"] } } } }],
    },
  },
};

/** `spec.buildkitd`. */
export const everyDaemonField = {
  config: '[system]\nplatformsCacheMaxAge = "1h"\n',
  debug: true,
  logFormat: "json",
  maxParallelism: 8,
  gc: {
    enabled: true,
    reservedSpace: "10Gi",
    maxUsedSpace: "80Gi",
    minFreeSpace: "5Gi",
    policy: [
      { filters: ["type==exec.cachemount"], keepDuration: "48h", maxUsedSpace: "10Gi" },
      { all: true, reservedSpace: "10Gi" },
    ],
  },
  dns: { nameservers: ["10.0.0.10"], searchDomains: ["example.com"], options: ["edns0"] },
  registries: [
    { host: "docker.io", mirrors: ["mirror.example.com/hub", "10.1.2.3:5000"] },
    { host: "10.1.2.3:5000", http: true },
    {
      host: "registry.example.com",
      insecure: true,
      ca: { secretName: "registry-ca" },
      clientCertificate: { secretName: "registry-client" },
    },
  ],
  history: { maxAge: "24h", maxEntries: 500 },
  cdi: { enabled: true, specDirs: ["/etc/cdi"] },
};
