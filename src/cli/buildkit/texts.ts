// What a buildkitd says of itself, as text for people. Pure.
import {
  bytesText,
  type CacheRecord,
  type GcRule,
  type HistoryRecord,
  type Worker,
} from "../../buildkit/index.ts";
import { pairsText, tableText } from "../table.ts";

function sizeText(bytes: number | undefined): string {
  return bytes === undefined ? "" : bytesText(bytes);
}

function ruleText(rule: GcRule, index: number): string {
  return `GC rule ${index}:\n${pairsText([
    ["  All", rule.all ? "true" : ""],
    ["  Filters", rule.filters.join(" ")],
    ["  Keep", rule.keepDurationSeconds === undefined ? "" : `${rule.keepDurationSeconds}s`],
    ["  Reserved space", sizeText(rule.reservedSpace)],
    ["  Maximum used space", sizeText(rule.maxUsedSpace)],
    ["  Minimum free space", sizeText(rule.minFreeSpace)],
  ])}`;
}

/** One worker, all of it. */
export function workerText(worker: Worker): string {
  const labels = Object.entries(worker.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  const head = pairsText([
    ["ID", worker.id],
    ["BuildKit", worker.version],
    ["Platforms", worker.platforms.join(", ")],
    ["Devices", worker.devices.map(({ name }) => name).join(", ")],
  ]);
  const labelText = pairsText(labels.map(([name, value]) => [`  ${name}`, value] as const));
  return `${head}Labels:\n${labelText}${worker.gcPolicy.map(ruleText).join("")}`;
}

function recordRow(record: CacheRecord): string[] {
  return [
    `${record.id}${record.mutable ? "*" : ""}`,
    String(!record.inUse),
    `${bytesText(record.size)}${record.shared ? "*" : ""}`,
    record.lastUsedAt?.toISOString() ?? "",
    record.type,
    record.description,
  ];
}

const recordHead = ["ID", "RECLAIMABLE", "SIZE", "LAST USED", "TYPE", "DESCRIPTION"];

/** Records of the cache; "*" marks what may change (ID) and what is shared (SIZE). */
export function recordsText(records: readonly CacheRecord[]): string {
  return tableText(recordHead, records.map(recordRow));
}

/** What all of it takes up. */
export function usageText(records: readonly CacheRecord[]): string {
  const sum = (of: readonly CacheRecord[]): number =>
    of.reduce((total, { size }) => total + Math.max(size, 0), 0);
  const total = sum(records);
  const shared = sum(records.filter((record) => record.shared));
  return pairsText([
    ...(shared === 0
      ? []
      : ([
          ["Shared", bytesText(shared)],
          ["Private", bytesText(total - shared)],
        ] as const)),
    ["Reclaimable", bytesText(sum(records.filter(({ inUse }) => !inUse)))],
    ["Total", bytesText(total)],
  ]);
}

/** "running", "completed", "canceled" or "error". */
export function stateOf(record: HistoryRecord): string {
  if (record.active) return "running";
  if (record.error === undefined) return "completed";
  return record.error.grpcCode === 1 ? "canceled" : "error";
}

function secondsText({ createdAt, completedAt }: HistoryRecord): string {
  if (createdAt === undefined || completedAt === undefined) return "";
  return `${((completedAt.getTime() - createdAt.getTime()) / 1000).toFixed(1)}s`;
}

/** Builds as a table. */
export function historiesText(records: readonly HistoryRecord[]): string {
  const rows = records.map((record) => [
    record.ref,
    stateOf(record),
    record.createdAt?.toISOString() ?? "",
    secondsText(record),
    `${record.steps.completed}/${record.steps.total}`,
    String(record.steps.cached),
  ]);
  return tableText(["REF", "STATE", "STARTED", "TOOK", "STEPS", "CACHED"], rows);
}

/** One build. Its attributes are not shown: some may hold credentials. */
export function historyText(record: HistoryRecord): string {
  const { steps, images, attestations } = record;
  return pairsText([
    ["Ref", record.ref],
    ["State", stateOf(record)],
    ["Frontend", record.frontend],
    ["Started", record.createdAt?.toISOString() ?? ""],
    ["Completed", record.completedAt?.toISOString() ?? ""],
    ["Steps", `${steps.completed} of ${steps.total}, ${steps.cached} from cache`],
    ["Warnings", record.warnings === 0 ? "" : String(record.warnings)],
    ["Pinned", record.pinned ? "true" : ""],
    ["Error", record.error?.message ?? ""],
    ...images.map(({ descriptor }) => ["Image", descriptor.digest] as const),
    ...attestations.map(
      ({ predicateType, digest }) => ["Attestation", `${predicateType} ${digest}`] as const,
    ),
  ]);
}

/** The same as data. */
export function historyJson(record: HistoryRecord): unknown {
  const { ref, frontend, steps, warnings, pinned, images, attestations, error } = record;
  return {
    ref,
    state: stateOf(record),
    frontend,
    createdAt: record.createdAt,
    completedAt: record.completedAt,
    ...{ steps, warnings, pinned, images, attestations },
    ...(error === undefined
      ? {}
      : { error: { class: error.class, reason: error.reason, message: error.message } }),
  };
}
