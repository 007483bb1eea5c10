// What a daemon's cache takes up, and which of it a prune may remove. Pure.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type {
  DiskUsageRequestSchema,
  PruneRequestSchema,
  UsageRecord,
} from "../../gen/moby/buildkit/v1/control_pb.ts";

/** One record of the cache: a layer, a source, a cache mount. */
export interface CacheRecord {
  readonly id: string;
  /**
   * "regular", "internal", "frontend", "source.local", "source.git.checkout", "exec.cachemount"; later daemons may
   * have more.
   */
  readonly type: string;
  readonly description: string;
  /** Bytes. */
  readonly size: number;
  readonly mutable: boolean;
  /** Something holds it: a prune leaves it alone. */
  readonly inUse: boolean;
  /** Counts only once over all records that share it. */
  readonly shared: boolean;
  readonly parents: readonly string[];
  readonly usageCount: number;
  readonly createdAt?: Date;
  readonly lastUsedAt?: Date;
}

/** Which records are asked for. */
export interface DiskUsageOptions {
  /** containerd filters, any of which may hold: "type==exec.cachemount", "id~=^abc", "inuse==false". */
  readonly filters?: readonly string[];
  /** Only what was not used for so long, in seconds. */
  readonly unusedSeconds?: number;
}

/** What a prune may remove: without any of these, all that is not in use, but for internal and frontend records. */
export interface PruneOptions {
  /** Internal and frontend records too. */
  readonly all?: boolean;
  /** As in DiskUsageOptions. */
  readonly filters?: readonly string[];
  /** Keep what was used in the last so many seconds. */
  readonly keepDurationSeconds?: number;
  /** Bytes that are kept whatever else is said. */
  readonly reservedSpace?: number;
  /** Bytes above which the cache is cut down. */
  readonly maxUsedSpace?: number;
  /** Bytes that should be free on the disk. */
  readonly minFreeSpace?: number;
}

function nanoseconds(seconds = 0): bigint {
  return BigInt(Math.round(seconds * 1000)) * 1_000_000n;
}

/** The question as the daemon is asked. */
export function wireDiskUsage(
  options: DiskUsageOptions,
): MessageInitShape<typeof DiskUsageRequestSchema> {
  return { filter: [...(options.filters ?? [])], ageLimit: nanoseconds(options.unusedSeconds) };
}

/** The order as the daemon takes it. */
export function wirePrune(options: PruneOptions): MessageInitShape<typeof PruneRequestSchema> {
  return {
    all: options.all ?? false,
    filter: [...(options.filters ?? [])],
    keepDuration: nanoseconds(options.keepDurationSeconds),
    reservedSpace: BigInt(options.reservedSpace ?? 0),
    maxUsedSpace: BigInt(options.maxUsedSpace ?? 0),
    minFreeSpace: BigInt(options.minFreeSpace ?? 0),
  };
}

/** One record as the client hands it out. */
export function cacheRecordOf(record: UsageRecord): CacheRecord {
  const { createdAt, lastUsedAt } = record;
  return {
    id: record.id,
    type: record.recordType,
    description: record.description,
    size: Number(record.size),
    mutable: record.mutable,
    inUse: record.inUse,
    shared: record.shared,
    parents: [...record.parents],
    usageCount: Number(record.usageCount),
    ...(createdAt === undefined ? {} : { createdAt: timestampDate(createdAt) }),
    ...(lastUsedAt === undefined ? {} : { lastUsedAt: timestampDate(lastUsedAt) }),
  };
}
