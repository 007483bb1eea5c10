// What a Builder may not say about its pods, its daemon and what runs may do.

import { builder, pods, type Refusal } from "./manifests.ts";

const mount = { name: "certs", mountPath: "/certs" };
const volume = { name: "certs", secret: { secretName: "certs" } };

const withConfig = (buildkitd: Record<string, unknown>, kubernetes: Record<string, unknown> = {}) =>
  builder({ kubernetes, buildkitd });

const ofPods: readonly Refusal[] = [
  [
    "storage and tmpfs at once",
    pods({ storage: { size: "1Gi" }, tmpfs: { size: "1Gi" } }),
    "spec.kubernetes.tmpfs",
    /both places for the cache: remove one/,
  ],
  [
    "a token of nobody's",
    pods({ automountServiceAccountToken: true }),
    "kubernetes.automountServiceAccountToken",
    /say whose token, or remove it/,
  ],
  [
    "a mount of no volume",
    pods({ volumeMounts: [mount] }),
    "kubernetes.volumeMounts",
    /add the volume or correct the name/,
  ],
  [
    "a volume with a name of Kiln's",
    pods({ volumes: [{ ...volume, name: "state" }] }),
    "kubernetes.volumes[0].name",
    /Kiln's own: use another/,
  ],
  [
    "a volume twice",
    pods({ volumes: [volume, volume] }),
    "kubernetes.volumes[1]",
    /Duplicate value/,
  ],
  [
    "a mount over Kiln's files",
    pods({ volumes: [volume], volumeMounts: [{ ...mount, mountPath: "/etc/kiln/tls" }] }),
    "kubernetes.volumeMounts[0].mountPath",
    /choose another path/,
  ],
  [
    "a mount over the cache",
    pods({ volumes: [volume], volumeMounts: [{ ...mount, mountPath: "/var/lib/buildkit" }] }),
    "kubernetes.volumeMounts[0].mountPath",
    /storage or tmpfs for the state/,
  ],
  [
    "a mount at a relative path",
    pods({ volumes: [volume], volumeMounts: [{ ...mount, mountPath: "certs" }] }),
    "kubernetes.volumeMounts[0].mountPath",
    /must be an absolute path/,
  ],
  [
    "a variable with two values",
    pods({
      env: [{ name: "A", value: "1", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }],
    }),
    "kubernetes.env[0]",
    /value or valueFrom, not both: remove one/,
  ],
  [
    "a variable from nowhere",
    pods({ env: [{ name: "A", valueFrom: {} }] }),
    "kubernetes.env[0].valueFrom",
    /exactly one of secretKeyRef, configMapKeyRef, fieldRef, resourceFieldRef/,
  ],
  [
    "a variable twice",
    pods({ env: [{ name: "A" }, { name: "A" }] }),
    "kubernetes.env[1]",
    /Duplicate value/,
  ],
  [
    "a variable that no shell could name",
    pods({ env: [{ name: "1A" }] }),
    "kubernetes.env[0].name",
    /must be the name of a variable/,
  ],
  [
    "a proxy with a password in it",
    pods({ proxy: { httpsProxy: "http://me:secret@proxy:3128" } }),
    "kubernetes.proxy.httpsProxy",
    /for those use env with a secretKeyRef/,
  ],
  [
    "certificates from two places",
    pods({
      trustedCertificates: {
        secretKeyRef: { name: "a", key: "b" },
        configMapKeyRef: { name: "a", key: "b" },
      },
    }),
    "kubernetes.trustedCertificates",
    /exactly one of secretKeyRef, configMapKeyRef/,
  ],
  [
    "a daemon that has no time to start",
    pods({ startupTimeout: "1s" }),
    "kubernetes.startupTimeout",
    /must be between 10s and 1h, written like 90s/,
  ],
  [
    "a way of balancing that nobody knows",
    pods({ loadBalance: "LeastBusy" }),
    "kubernetes.loadBalance",
    /supported values: "Sticky", "Random"/,
  ],
  [
    "volumes that are neither kept nor deleted",
    pods({ storage: { size: "1Gi", whenDeleted: "Archive" } }),
    "kubernetes.storage.whenDeleted",
    /supported values: "Retain", "Delete"/,
  ],
  [
    "a spread over nothing",
    pods({ topologySpreadConstraints: [{}] }),
    "kubernetes.topologySpreadConstraints[0].topologyKey",
    /Required value/,
  ],
  [
    "a QEMU image that is a url",
    pods({ qemu: { install: true, image: "https://a/b" } }),
    "kubernetes.qemu.image",
    /without https/,
  ],
];

const ofDaemon: readonly Refusal[] = [
  [
    "a GC policy that forgets the rest of the cache",
    withConfig({ gc: { policy: [{ filters: ["type==exec.cachemount"], keepDuration: "48h" }] } }),
    "spec.buildkitd.gc.policy",
    /add a last entry with all: true and no filters/,
  ],
  [
    "more cache than the volume holds",
    withConfig({ gc: { maxUsedSpace: "20Gi" } }, { storage: { size: "10Gi" } }),
    "spec.buildkitd",
    /maxUsedSpace must not be larger than kubernetes\.storage\.size/,
  ],
  [
    "more reserved than the tmpfs holds",
    withConfig({ gc: { reservedSpace: 2_000_000_000 } }, { tmpfs: { size: "1Gi" } }),
    "spec.buildkitd",
    /reservedSpace must not be larger than kubernetes\.tmpfs\.size/,
  ],
  [
    "a memory of builds that is too short",
    withConfig({ history: { maxAge: "5m" } }),
    "spec.buildkitd.history.maxAge",
    /must be between 1h and 87600h/,
  ],
  [
    "a registry that is a url",
    withConfig({ registries: [{ host: "https://registry.example.com" }] }),
    "spec.buildkitd.registries[0].host",
    /as images name it, host\[:port\]/,
  ],
  [
    "a registry twice",
    withConfig({ registries: [{ host: "a.example" }, { host: "a.example" }] }),
    "spec.buildkitd.registries[1]",
    /Duplicate value/,
  ],
  [
    "a registry's authority without a Secret",
    withConfig({ registries: [{ host: "a.example", ca: {} }] }),
    "spec.buildkitd.registries[0].ca.secretName",
    /Required value/,
  ],
  [
    "no steps at all",
    withConfig({ maxParallelism: 0 }),
    "spec.buildkitd.maxParallelism",
    /greater than or equal to 1/,
  ],
];

const ofRuns: readonly Refusal[] = [
  [
    "an entitlement that nobody knows",
    builder({ kubernetes: {}, allow: { entitlements: ["network.all"] } }),
    "spec.allow.entitlements[0]",
    /supported values: "network\.host", "security\.insecure", "device"/,
  ],
  [
    "a namespace that cannot be",
    builder({ kubernetes: {}, allow: { namespaces: ["*-team"] } }),
    "spec.allow.namespaces[0]",
    /followed by \*: team-\*/,
  ],
  [
    "a frontend with a tag",
    builder({ kubernetes: {}, allow: { frontends: ["docker/dockerfile:1"] } }),
    "spec.allow.frontends[0]",
    /without a tag: for example docker\/dockerfile/,
  ],
  [
    "frontends of a daemon that somebody else configures",
    builder({
      remote: { endpoint: "tcp://buildkitd:1234" },
      allow: { frontends: ["docker/dockerfile"] },
    }),
    "spec.allow",
    /told its frontends where it runs, so remove it/,
  ],
  [
    "a repository with a tag",
    builder({ kubernetes: {}, allow: { outputs: { repositories: ["registry.example/a:1"] } } }),
    "spec.allow.outputs.repositories[0]",
    /without a tag, or end with \/\* for everything below/,
  ],
  [
    "a kind of cache that is no word",
    builder({ kubernetes: {}, allow: { caches: { types: ["s3!"] } } }),
    "spec.allow.caches.types[0]",
    /must be a kind as a BuildRun names it/,
  ],
  [
    "a service account with two namespaces",
    builder({ kubernetes: {}, allow: { serviceAccounts: ["a/b/c"] } }),
    "spec.allow.serviceAccounts[0]",
    /name of a service account, or namespace\/name/,
  ],
];

/** Cases of pods, of the daemon and of what runs may do. */
export const drivers: readonly Refusal[] = [...ofPods, ...ofDaemon, ...ofRuns];
