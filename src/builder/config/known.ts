// What may stand in a buildkitd.toml? BuildKit itself overlooks a key that it does not know, so a slip
// of the pen is a setting that never takes effect. These are its own (cmd/buildkitd/config/config.go and
// util/resolver/config of v0.34.2).

import { z } from "zod";

const text = z.string();
const texts = z.array(text);
const flag = z.boolean();
const count = z.int();
/** Seconds, or a text such as "48h". */
const duration = z.union([z.int(), text]);
/** Bytes, or a text such as "10GB" or "20%". */
const space = z.union([z.int(), text]);
const labels = z.record(text, text);

const gcRule = z.strictObject({
  all: flag.optional(),
  filters: texts.optional(),
  keepDuration: duration.optional(),
  keepBytes: space.optional(),
  reservedSpace: space.optional(),
  maxUsedSpace: space.optional(),
  minFreeSpace: space.optional(),
});

const worker = {
  enabled: flag.optional(),
  labels: labels.optional(),
  platforms: texts.optional(),
  snapshotter: text.optional(),
  rootless: flag.optional(),
  gc: flag.optional(),
  gckeepstorage: space.optional(),
  reservedSpace: space.optional(),
  maxUsedSpace: space.optional(),
  minFreeSpace: space.optional(),
  gcpolicy: z.array(gcRule).optional(),
  networkMode: text.optional(),
  cniConfigPath: text.optional(),
  cniBinaryPath: text.optional(),
  cniPoolSize: count.optional(),
  bridgeName: text.optional(),
  bridgeSubnet: text.optional(),
  defaultCgroupParent: text.optional(),
  "apparmor-profile": text.optional(),
  selinux: flag.optional(),
  "max-parallelism": count.optional(),
};

const ociWorker = z.strictObject({
  ...worker,
  noProcessSandbox: flag.optional(),
  userRemapUnsupported: text.optional(),
  binary: text.optional(),
  proxySnapshotterPath: text.optional(),
  stargzSnapshotter: z.looseObject({}).optional(),
});

const registry = z.strictObject({
  mirrors: texts.optional(),
  http: flag.optional(),
  insecure: flag.optional(),
  ca: texts.optional(),
  keypair: z.array(z.strictObject({ key: text, cert: text })).optional(),
  tlsconfigdir: texts.optional(),
});

/** A buildkitd.toml as far as Kiln lets a Builder have it; `root` and `grpc` are not in it. */
export const BuildkitdToml = z.strictObject({
  debug: flag.optional(),
  trace: flag.optional(),
  "insecure-entitlements": texts.optional(),
  proxyNetwork: flag.optional(),
  provenanceEnvDir: text.optional(),
  log: z.strictObject({ format: text.optional(), level: text.optional() }).optional(),
  otel: z.strictObject({ socketPath: text.optional() }).optional(),
  cdi: z
    .strictObject({
      disabled: flag.optional(),
      specDirs: texts.optional(),
      autoAllowed: texts.optional(),
    })
    .optional(),
  worker: z.strictObject({ oci: ociWorker.optional() }).optional(),
  registry: z.record(text, registry).optional(),
  dns: z
    .strictObject({
      nameservers: texts.optional(),
      options: texts.optional(),
      searchDomains: texts.optional(),
    })
    .optional(),
  history: z.strictObject({ maxAge: duration.optional(), maxEntries: count.optional() }).optional(),
  frontend: z
    .strictObject({
      "dockerfile.v0": z.strictObject({ enabled: flag.optional() }).optional(),
      "gateway.v0": z
        .strictObject({ enabled: flag.optional(), allowedRepositories: texts.optional() })
        .optional(),
    })
    .optional(),
  system: z
    .strictObject({
      platformsCacheMaxAge: duration.optional(),
      maxRegistryConcurrency: count.optional(),
      sessionAuthTimeout: duration.optional(),
    })
    .optional(),
  // Its members are left to BuildKit: they are many, and change with it.
  cache: z.looseObject({}).optional(),
  compaction: z.looseObject({}).optional(),
});

/** Tables that Kiln's own flags win over, and why: `root` and where the daemon listens. */
export const ownedTables: Readonly<Record<string, string>> = {
  root: "Kiln puts the state on the Builder's volume",
  grpc: "Kiln says where the daemon listens",
};
