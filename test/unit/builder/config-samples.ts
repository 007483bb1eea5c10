// Builders whose buildkitd.toml is compared with a golden file here, and given to a real buildkitd by the
// integration tests.

import type { BuilderSpecInput } from "../../../src/api/v1alpha1/index.ts";

/** One configuration; `name` is that of its golden file. */
export interface ConfigSample {
  readonly name: string;
  readonly spec: BuilderSpecInput;
  /** The controller's own buildkitd.toml. */
  readonly fallback?: string;
}

/** Every field, alone or in company. */
export const configSamples: readonly ConfigSample[] = [
  {
    name: "every-field",
    spec: {
      kubernetes: { storage: { size: "100Gi" } },
      buildkitd: {
        debug: true,
        logFormat: "json",
        maxParallelism: 8,
        gc: {
          reservedSpace: "10Gi",
          maxUsedSpace: "80Gi",
          minFreeSpace: "5G",
          policy: [
            { filters: ["type==exec.cachemount"], keepDuration: "48h", maxUsedSpace: "512Mi" },
            { all: true, reservedSpace: 1024 },
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
        history: { maxAge: "24h30m", maxEntries: 500 },
        cdi: { enabled: true, specDirs: ["/etc/cdi"] },
      },
      allow: {
        entitlements: ["network.host", "security.insecure", "device"],
        frontends: ["docker/dockerfile", "ghcr.io/project-dalec/dalec/frontend"],
      },
    },
  },
  {
    name: "merged-with-text",
    spec: {
      kubernetes: {},
      buildkitd: {
        config:
          'trace = false\n[worker.oci]\n  snapshotter = "native"\n[worker.oci.labels]\n  team = "shop"\n[registry."docker.io"]\n  mirrors = ["mirror.example.com"]\n',
        maxParallelism: 2,
        gc: { enabled: false },
        registries: [
          { host: "docker.io", insecure: true },
          { host: "other.example", http: true },
        ],
      },
      allow: { entitlements: ["network.host"] },
    },
  },
  {
    name: "over-the-controllers",
    spec: { kubernetes: {}, buildkitd: { maxParallelism: 2, cdi: { enabled: false } } },
    fallback:
      'debug = true\ninsecure-entitlements = ["security.insecure"]\n[worker.oci]\n  max-parallelism = 16\n  minFreeSpace = "10%"\n',
  },
  {
    name: "no-frontend-images",
    spec: { kubernetes: {}, allow: { frontends: [] } },
  },
];
