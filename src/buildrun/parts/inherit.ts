// What the whole run tells of what its parts found out. Pure.

import type { Attempt, BuildRunStatus, Timings, Warnings } from "../../api/v1alpha1/index.ts";
import { cut } from "../status/text.ts";
import { partsProgress, partsStatus, type PartView } from "./decide-parts.ts";

const maxAttempts = 32;
const maxBaseImages = 32;
const maxCaches = 16;
const maxWarnings = 20;
const maxMessage = 500;

type Report = NonNullable<BuildRunStatus["cache"]>;

/** Distinct entries, by what tells them apart. */
function distinct<T>(all: readonly T[], key: (one: T) => string): T[] {
  return [...new Map(all.map((one) => [key(one), one])).values()];
}

/** Every attempt of every part in the order in which they began, numbered anew; the latest, if there are too many. */
function attemptsOf(parts: readonly PartView[]): Attempt[] {
  const all = parts.flatMap(({ run, platforms, found }) =>
    (found?.status?.attempts ?? []).map((attempt): Attempt => {
      const { message } = attempt;
      const about = `${platforms.join(", ")}: ${message}`;
      return {
        ...attempt,
        part: run,
        ...(message === undefined ? {} : { message: cut(about, maxMessage) }),
      };
    }),
  );
  return all
    .toSorted((a, b) => Date.parse(a.startedAt) - Date.parse(b.startedAt))
    .map((attempt, index) => ({ ...attempt, number: index + 1 }))
    .slice(-maxAttempts);
}

interface CacheEntry {
  readonly type?: string | undefined;
  readonly ref?: string | undefined;
  readonly ok: boolean;
}

/** What several parts say of one cache is one entry, and a failure goes before a success; failures come first. */
function caches<T extends CacheEntry>(all: readonly T[]): T[] {
  const bySuccess = all.toSorted((a, b) => Number(b.ok) - Number(a.ok));
  return distinct(bySuccess, ({ type, ref }) => `${type} ${ref}`)
    .toSorted((a, b) => Number(a.ok) - Number(b.ok))
    .slice(0, maxCaches);
}

function cacheOf(reports: readonly Report[]): Report | undefined {
  if (reports.length === 0) return undefined;
  const sum = (of: "steps" | "cached"): number =>
    reports.reduce((all, report) => all + (report[of] ?? 0), 0);
  return {
    steps: sum("steps"),
    cached: sum("cached"),
    imports: caches(reports.flatMap(({ imports = [] }) => imports)),
    exports: caches(reports.flatMap(({ exports = [] }) => exports)),
  };
}

/** Parts run beside each other: a stage took as long as the longest of them. */
function timingsOf(all: readonly Timings[]): Timings | undefined {
  if (all.length === 0) return undefined;
  const stages = ["resolveMs", "contextMs", "buildMs", "exportMs", "pushMs", "cacheExportMs"];
  const told = (stages as (keyof Timings)[]).flatMap((stage) => {
    const known = all.flatMap((timings) => timings[stage] ?? []);
    return known.length === 0 ? [] : [[stage, Math.max(...known)] as const];
  });
  return Object.fromEntries(told);
}

function warningsOf(all: readonly Warnings[]): Warnings | undefined {
  if (all.length === 0) return undefined;
  const items = distinct(
    all.flatMap((warnings) => warnings.items),
    ({ rule, message, file, line }) => JSON.stringify([rule, message, file, line]),
  );
  const total = Math.max(items.length, ...all.map((warnings) => warnings.total));
  return { total, items: items.slice(0, maxWarnings) };
}

/** The fields of status that come from the parts. */
export function inherited(parts: readonly PartView[]): Partial<BuildRunStatus> {
  const all = parts.flatMap(({ found }) => found?.status ?? []);
  const source = all.find((status) => status.source !== undefined)?.source;
  const bases = distinct(
    all.flatMap(({ baseImages = [] }) => baseImages),
    ({ ref, digest }) => `${ref} ${digest}`,
  ).slice(0, maxBaseImages);
  const attempts = attemptsOf(parts);
  const progress = partsProgress(parts);
  const cache = cacheOf(all.flatMap((status) => status.cache ?? []));
  const timings = timingsOf(all.flatMap((status) => status.timings ?? []));
  const warnings = warningsOf(all.flatMap((status) => status.warnings ?? []));
  return {
    parts: partsStatus(parts),
    ...(attempts.length === 0 ? {} : { attempts }),
    ...(progress === undefined ? {} : { progress }),
    ...(source === undefined ? {} : { source }),
    ...(cache === undefined ? {} : { cache }),
    ...(timings === undefined ? {} : { timings }),
    ...(warnings === undefined ? {} : { warnings }),
    ...(bases.length === 0 ? {} : { baseImages: bases }),
  };
}
