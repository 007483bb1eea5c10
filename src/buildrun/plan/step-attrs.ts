// What holds for every RUN step, as attributes of the frontend and entitlements of the solve. Pure.
// Names of attributes: frontend/dockerui/config.go, BuildKit v0.34.2; what buildx sends for each flag: docs/buildrun.md.

import { bytesOfQuantity } from "../../api/quantity.ts";
import type { BuildRunSpec } from "../../api/v1alpha1/index.ts";
import { csv } from "./csv.ts";

type Attrs = Record<string, string>;

function unless(empty: boolean, attrs: () => Attrs): Attrs {
  return empty ? {} : attrs();
}

function resources(spec: BuildRunSpec): Attrs {
  const wanted = spec.stepResources ?? {};
  const bytes = (value: string | number | undefined) =>
    value === undefined ? undefined : bytesOfQuantity(value);
  const attrs = {
    memory: bytes(wanted.memory),
    memswap: wanted.unlimitedSwap === true ? -1 : bytes(wanted.memorySwap),
    cpushares: wanted.cpuShares,
    cpuperiod: wanted.cpuPeriodMicroseconds,
    cpuquota: wanted.cpuQuotaMicroseconds,
    cpusetcpus: wanted.cpusetCpus,
    cpusetmems: wanted.cpusetMems,
  };
  return Object.fromEntries(
    Object.entries(attrs).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, String(value)] as const],
    ),
  );
}

/** The attributes that RUN steps are run with. */
export function stepAttrs(spec: BuildRunSpec): Attrs {
  const { hostAliases, ulimits, shmSize, cgroupParent, network } = spec;
  return {
    ...unless(network === undefined || network === "default", () => ({
      "force-network-mode": network ?? "",
    })),
    ...unless(hostAliases.length === 0, () => ({
      "add-hosts": csv(
        hostAliases.flatMap(({ ip, hostnames }) => hostnames.map((name) => `${name}=${ip}`)),
      ),
    })),
    ...unless(shmSize === undefined, () => ({ "shm-size": String(bytesOfQuantity(shmSize ?? 0)) })),
    ...unless(ulimits.length === 0, () => ({
      // In the order of buildx: another one would be another step to the cache.
      ulimit: csv(
        ulimits.map(({ name, soft, hard }) => `${name}=${soft}:${hard ?? soft}`).toSorted(),
      ),
    })),
    ...unless(cgroupParent === undefined, () => ({ "cgroup-parent": cgroupParent ?? "" })),
    ...resources(spec),
  };
}

/** The rights the solve asks for: those of the run, and the one that the host's network needs. */
export function entitlements(spec: BuildRunSpec): string[] {
  const implied = spec.network === "host" ? ["network.host"] : [];
  return [...new Set([...spec.entitlements, ...implied])];
}
