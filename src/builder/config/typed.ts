// What do the typed fields of a Builder say in buildkitd.toml's own words? Pure.

import type { TomlTable } from "smol-toml";
import { durationMs } from "../../api/schema.ts";
import type { Allow, Buildkitd, RegistryConfig } from "../../api/v1alpha1/index.ts";
import { bytesOfQuantity } from "../../api/quantity.ts";

type Gc = NonNullable<Buildkitd["gc"]>;

/** Where the files of registries are mounted; each has a folder named by `registryFolder`. */
export const registriesPath = "/etc/kiln/registries";

/** Name of a registry's folder: its host, with everything that is odd in a path replaced. */
export function registryFolder(host: string): string {
  return host.replaceAll(/[^A-Za-z0-9.-]/g, "_");
}

/** The typed fields as tables of buildkitd.toml; empty ones are left out. */
export function typedConfig(fields: Buildkitd | undefined, allow: Allow): TomlTable {
  const { debug, logFormat, maxParallelism, gc, dns, registries = [], history, cdi } = fields ?? {};
  return compact({
    debug,
    "insecure-entitlements": nonEmpty(allow.entitlements),
    log: compact({ format: logFormat }),
    dns: compact({
      nameservers: nonEmpty(dns?.nameservers),
      searchDomains: nonEmpty(dns?.searchDomains),
      options: nonEmpty(dns?.options),
    }),
    history: compact({
      maxAge: history?.maxAge === undefined ? undefined : seconds(history.maxAge),
      maxEntries: history?.maxEntries,
    }),
    cdi: compact({
      disabled: cdi === undefined ? undefined : !cdi.enabled,
      specDirs: nonEmpty(cdi?.specDirs),
    }),
    worker: compact({
      oci: compact({ "max-parallelism": maxParallelism, ...(gc === undefined ? {} : gcOf(gc)) }),
    }),
    registry: compact(Object.fromEntries(registries.map((one) => [one.host, registryOf(one)]))),
    frontend: frontends(allow),
  });
}

/** BuildKit reads an empty list of repositories as "all of them". */
function frontends({ frontends: allowed }: Allow): TomlTable {
  if (allowed === undefined) return {};
  const gateway = allowed.length === 0 ? { enabled: false } : { allowedRepositories: [...allowed] };
  return { "gateway.v0": gateway };
}

function gcOf({ enabled, policy, ...sizes }: Gc): TomlTable {
  const rules = policy.map(({ all, filters, keepDuration, ...ofRule }) =>
    compact({
      all,
      filters: nonEmpty(filters),
      keepDuration: keepDuration === undefined ? undefined : seconds(keepDuration),
      ...spaces(ofRule),
    }),
  );
  return { gc: enabled, ...spaces(sizes), ...(rules.length === 0 ? {} : { gcpolicy: rules }) };
}

function spaces(sizes: Pick<Gc, "reservedSpace" | "maxUsedSpace" | "minFreeSpace">): TomlTable {
  const bytes = (size: string | number | undefined): number | undefined =>
    size === undefined ? undefined : bytesOfQuantity(size);
  return compact({
    reservedSpace: bytes(sizes.reservedSpace),
    maxUsedSpace: bytes(sizes.maxUsedSpace),
    minFreeSpace: bytes(sizes.minFreeSpace),
  });
}

function registryOf(registry: RegistryConfig): TomlTable {
  const folder = `${registriesPath}/${registryFolder(registry.host)}`;
  const { mirrors, http, insecure, ca, clientCertificate } = registry;
  return compact({
    mirrors: nonEmpty(mirrors),
    http: http || undefined,
    insecure: insecure || undefined,
    ca: ca === undefined ? undefined : [`${folder}/ca.crt`],
    keypair:
      clientCertificate === undefined
        ? undefined
        : [{ key: `${folder}/tls.key`, cert: `${folder}/tls.crt` }],
  });
}

/** buildkitd.toml takes a duration as a text that Go can read. */
function seconds(duration: string): string {
  return `${durationMs(duration) / 1000}s`;
}

function nonEmpty<T>(list: readonly T[] | undefined): T[] | undefined {
  return list === undefined || list.length === 0 ? undefined : [...list];
}

function compact(table: Record<string, unknown>): TomlTable {
  return Object.fromEntries(
    Object.entries(table).filter(
      ([, value]) => value !== undefined && !(isTable(value) && Object.keys(value).length === 0),
    ),
  ) as TomlTable;
}

function isTable(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
