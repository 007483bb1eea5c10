// What a person may say about the daemon's configuration: the fields people reach for, typed, and the
// rest of buildkitd.toml as text. Both are merged (src/builder/config/).

import { z } from "zod";
import { cel, duration, listMap, quantity, rules, text } from "../../schema.ts";
import { DataKey, ObjectName } from "../shared.ts";

const size = (what: string) => quantity().optional().describe(what);

const sizes = {
  reservedSpace: size("How much cache is always kept, for example 10Gi."),
  maxUsedSpace: size("How much the cache may use; above it records are removed."),
  minFreeSpace: size("How much of the disk should stay free."),
};

const GcPolicy = z.object({
  all: z.boolean().default(false).describe("Whether internal and frontend images count as well."),
  filters: z
    .array(z.string().min(1).max(1024))
    .max(16)
    .default([])
    .describe("Which records the rule is about, such as type==exec.cachemount. None: every one."),
  keepDuration: duration("1s", "87600h")
    .optional()
    .describe("How long an unused record is kept, for example 48h."),
  ...sizes,
});

const catchAll =
  "a policy replaces all of BuildKit's rules and must end with one for everything else: add a last entry with all: true and no filters, or use reservedSpace, maxUsedSpace and minFreeSpace of gc, which keep the rules";

const Gc = z
  .object({
    enabled: z.boolean().default(true).describe("Whether old cache is removed by itself."),
    ...sizes,
    policy: z
      .array(GcPolicy)
      .max(16)
      .default([])
      .describe("Rules in place of BuildKit's own four, in this order."),
  })
  .meta(
    rules(
      cel(
        "size(self.policy) == 0 || self.policy.exists(p, p.all && size(p.filters) == 0)",
        catchAll,
        ".policy",
      ),
    ),
  );

const hostName = text(
  { max: 253 },
  {
    matches:
      /^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?(\/[A-Za-z0-9._/-]+)?$/,
    message: "must be a registry: host[:port], and for a mirror [/path], without https://",
  },
);

const Registry = z.object({
  host: text(
    { max: 253 },
    {
      matches: /^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?$/,
      message: "must be the registry as images name it, host[:port]: for example docker.io",
    },
  ).describe("The registry as images name it, host[:port]; docker.io for Docker Hub."),
  mirrors: z
    .array(hostName)
    .max(16)
    .default([])
    .describe("Registries that are asked before it, in this order."),
  http: z.boolean().default(false).describe("Whether it speaks plain HTTP."),
  insecure: z
    .boolean()
    .default(false)
    .describe("Whether its certificate, and that it has none, is overlooked."),
  ca: z
    .object({
      secretName: ObjectName.describe("Secret in the namespace of the pods."),
      key: DataKey.default("ca.crt").describe("Its key."),
    })
    .optional()
    .describe("Authority, in PEM, that signed its certificate."),
  clientCertificate: z
    .object({
      secretName: ObjectName.describe("Secret in the namespace of the pods."),
      certificateKey: DataKey.default("tls.crt").describe("Key of the certificate."),
      privateKeyKey: DataKey.default("tls.key").describe("Key of the private key."),
    })
    .optional()
    .describe("Certificate that it asks its clients for."),
});

/** Configuration of a daemon that Kiln runs. */
export const Buildkitd = z.object({
  config: z
    .string()
    .min(1)
    .max(65536)
    .optional()
    .describe(
      "Text of buildkitd.toml, for what has no field here. It replaces the configuration of the controller. A key may be set here or by a field, not by both.",
    ),
  debug: z.boolean().optional().describe("Log as much as there is."),
  logFormat: z.enum(["text", "json"]).optional().describe("How log lines look."),
  maxParallelism: z
    .int()
    .min(1)
    .max(1024)
    .optional()
    .describe("How many steps of all builds an instance runs at once. Default: no limit."),
  gc: Gc.optional().describe("Removal of old cache."),
  dns: z
    .object({
      nameservers: z
        .array(z.string().min(1).max(64))
        .max(8)
        .default([])
        .describe("Addresses of the name servers of steps."),
      searchDomains: z
        .array(z.string().min(1).max(253))
        .max(16)
        .default([])
        .describe("Domains in which steps look up short names."),
      options: z
        .array(z.string().min(1).max(64))
        .max(16)
        .default([])
        .describe("Options of the resolver, such as edns0."),
    })
    .optional()
    .describe("Name resolution in steps. Default: that of the pod."),
  registries: listMap(Registry, ["host"], 64)
    .default([])
    .describe("How registries are reached. Default: by https, without mirrors."),
  history: z
    .object({
      maxAge: duration("1h", "87600h")
        .optional()
        .describe(
          "How long the daemon remembers a build; Kiln asks it about builds that ended while it was away. Default: 48h.",
        ),
      maxEntries: z
        .int()
        .min(1)
        .max(100_000)
        .optional()
        .describe("How many builds the daemon remembers. Default: 50."),
    })
    .optional()
    .describe("Memory of finished builds."),
  cdi: z
    .object({
      enabled: z.boolean().default(true).describe("Whether devices are offered to steps."),
      specDirs: z
        .array(
          z
            .string()
            .regex(/^\/[^\0]*$/, "must be an absolute path")
            .max(1024),
        )
        .max(8)
        .default([])
        .describe(
          "Folders with specifications. Default: /etc/cdi, /var/run/cdi, /etc/buildkit/cdi.",
        ),
    })
    .optional()
    .describe("Container Device Interface: GPUs and other devices in steps."),
});

/** `spec.buildkitd`, after defaults. */
export type Buildkitd = z.output<typeof Buildkitd>;
/** One entry of `spec.buildkitd.registries`. */
export type RegistryConfig = z.output<typeof Registry>;
