// Worker records of the daemon → what a person asks of a worker. Pure.
import type { Platform } from "../../gen/pb/ops_pb.ts";
import type { GCPolicy, WorkerRecord } from "../../gen/moby/buildkit/v1/types/worker_pb.ts";
import type { GcRule, Worker } from "../client-types.ts";

/** "linux/amd64", "linux/arm/v7"; the variant v8 of arm64 is the only one, so it is not shown. */
export function platformText(platform: Pick<Platform, "os" | "architecture" | "variant">): string {
  const { os, architecture, variant } = platform;
  const shown =
    variant === "" || (architecture === "arm64" && variant === "v8") ? "" : `/${variant}`;
  return `${os}/${architecture}${shown}`;
}

function unlessZero<K extends string>(key: K, value: bigint): Partial<Record<K, number>> {
  return value === 0n ? {} : ({ [key]: Number(value) } as Partial<Record<K, number>>);
}

function gcRule(policy: GCPolicy): GcRule {
  return {
    all: policy.all,
    filters: [...policy.filters],
    ...unlessZero("keepDurationSeconds", policy.keepDuration / 1_000_000_000n),
    ...unlessZero("reservedSpace", policy.reservedSpace),
    ...unlessZero("maxUsedSpace", policy.maxUsedSpace),
    ...unlessZero("minFreeSpace", policy.minFreeSpace),
  };
}

/** "v0.34.2" → "0.34.2". */
export function versionText(version: string | undefined): string {
  return (version ?? "").replace(/^v(?=\d)/, "");
}

/** One worker as the client hands it out. */
export function workerOf(record: WorkerRecord): Worker {
  return {
    id: record.id,
    labels: { ...record.labels },
    platforms: [...new Set(record.platforms.map(platformText))],
    gcPolicy: record.gcPolicy.map(gcRule),
    devices: record.cdiDevices.map(({ name, autoAllow, onDemand, annotations }) => ({
      name,
      autoAllow,
      onDemand,
      annotations: { ...annotations },
    })),
    version: versionText(record.buildkitVersion?.version),
  };
}
