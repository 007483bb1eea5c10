// How far a solve is: a fold over its events. The fold forgets nothing and does not care about order or repetition, so
// an event log that is read twice, or from the middle with the vertices repeated, ends in the same progress.

import type { WarningFact } from "../../agent/agent.ts";
import type { SolveEvent } from "../../buildkit/index.ts";
import { oneLine } from "./text.ts";

/** One step of the build graph. Times are milliseconds since the epoch, by the daemon's clock. */
export interface Vertex {
  readonly name: string;
  readonly cached: boolean;
  readonly startedMs?: number;
  readonly completedMs?: number;
  readonly error?: string;
}

const layerId = /^writing layer /;

/** Everything a run's status says about its steps. */
export interface Progress {
  /** By vertex digest. */
  readonly vertices: ReadonlyMap<string, Vertex>;
  /** Layers that a cache export wrote, by the digest of its vertex. */
  readonly layers?: ReadonlyMap<string, ReadonlySet<string>>;
  /** Each warning once, in the order in which they came. */
  readonly warnings: ReadonlyMap<string, WarningFact>;
  /** When each push of an image began and ended, by vertex and part. */
  readonly pushes: ReadonlyMap<string, Span>;
}

/** A stretch of time, in milliseconds since the epoch by the daemon's clock. */
export interface Span {
  readonly startedMs?: number;
  readonly completedMs?: number;
}

/** The stages that a vertex belongs to, by its name. */
export type Stage = "context" | "build" | "export" | "cacheExport";

/** What a cache import or export came to. */
export interface CacheResult {
  readonly name: string;
  readonly ok: boolean;
  readonly message?: string;
  /** Layers that were written; undefined when the daemon told of none. */
  readonly layers?: number;
}

/** Nothing reported yet. */
export const noProgress: Progress = { vertices: new Map(), warnings: new Map(), pushes: new Map() };

/** Warnings beyond this many are not told apart any more. */
const maxWarnings = 1_000;

type VertexEvent = Extract<SolveEvent, { kind: "vertex" }>;
type WarningEvent = Extract<SolveEvent, { kind: "warning" }>;
type ProgressEvent = Extract<SolveEvent, { kind: "progress" }>;

function least(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}

function most(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);
}

function longer(a: string, b: string): string {
  if (a.length !== b.length) return a.length > b.length ? a : b;
  return a > b ? a : b;
}

function msOf(time: Date | undefined): number | undefined {
  return time?.getTime();
}

function merge(known: Vertex | undefined, event: VertexEvent): Vertex {
  const startedMs = least(known?.startedMs, msOf(event.started));
  const completedMs = most(known?.completedMs, msOf(event.completed));
  const error = longer(known?.error ?? "", event.error ?? "");
  return {
    name: longer(known?.name ?? "", event.name),
    cached: (known?.cached ?? false) || event.cached,
    ...(startedMs === undefined ? {} : { startedMs }),
    ...(completedMs === undefined ? {} : { completedMs }),
    ...(error === "" ? {} : { error }),
  };
}

/** Progress after one more event. */
export function fold(progress: Progress, event: SolveEvent): Progress {
  if (event.kind === "warning") return withWarning(progress, event);
  if (event.kind === "progress") return withPart(progress, event);
  if (event.kind !== "vertex") return progress;
  const vertices = new Map(progress.vertices);
  vertices.set(event.digest, merge(vertices.get(event.digest), event));
  return { ...progress, vertices };
}

function withPart(progress: Progress, event: ProgressEvent): Progress {
  if (layerId.test(event.id)) return wrote(progress, event);
  return event.id.startsWith("pushing ") ? withPush(progress, event) : progress;
}

function wrote(progress: Progress, { vertex, id }: ProgressEvent): Progress {
  const known = progress.layers?.get(vertex);
  if (known?.has(id) === true) return progress;
  const layers = new Map(progress.layers);
  layers.set(vertex, new Set([...(known ?? []), id]));
  return { ...progress, layers };
}

function withWarning(progress: Progress, event: WarningEvent): Progress {
  const fact = warningOf(event);
  const key = `${fact.rule ?? ""} ${fact.message} ${fact.file ?? ""}:${fact.line ?? ""}`;
  const { warnings } = progress;
  if (warnings.has(key) || warnings.size >= maxWarnings) return progress;
  return { ...progress, warnings: new Map(warnings).set(key, fact) };
}

/** Lint writes `Rule: what is wrong (line 3)`; other warnings are taken as they are. */
function warningOf({ short, url, source }: WarningEvent): WarningFact {
  const [, rule, detail = short] = /^([A-Z][A-Za-z]+): (.*)$/s.exec(short) ?? [];
  return {
    ...(rule === undefined ? {} : { rule }),
    message: detail.replace(/ \(line \d+\)$/, ""),
    ...(source === undefined ? {} : { file: source.path, line: source.line }),
    ...(url === undefined ? {} : { url }),
  };
}

function withPush(progress: Progress, event: ProgressEvent): Progress {
  const key = `${event.vertex} ${event.id}`;
  const known = progress.pushes.get(key);
  const startedMs = least(known?.startedMs, msOf(event.started));
  const completedMs = most(known?.completedMs, msOf(event.completed));
  const span = {
    ...(startedMs === undefined ? {} : { startedMs }),
    ...(completedMs === undefined ? {} : { completedMs }),
  };
  return { ...progress, pushes: new Map(progress.pushes).set(key, span) };
}

/** Which stage a step counts for. BuildKit says it only in the vertex name. */
export function stageOf(name: string): Stage {
  if (name.startsWith("exporting cache")) return "cacheExport";
  if (/^(exporting|pushing|preparing|sending|writing|importing to)\b/.test(name)) return "export";
  if (/^\[(internal|context)[^\]]*\].*(build context|git source|remote build context)/.test(name))
    return "context";
  if (/^\[context\]|^(\[internal\] )?load git source/.test(name)) return "context";
  return "build";
}

/** Steps that a person would count: everything but BuildKit's own bookkeeping. */
function isStep(vertex: Vertex): boolean {
  return (
    !vertex.name.startsWith("[internal]") &&
    !/^(exporting|importing|pushing|preparing|resolve)\b/.test(vertex.name)
  );
}

/** The numbers for `status.progress` and `status.cache`. */
export function counts(progress: Progress): {
  total: number;
  completed: number;
  cached: number;
  current?: string;
} {
  let total = 0;
  let completed = 0;
  let cached = 0;
  let current: Vertex | undefined;
  for (const vertex of progress.vertices.values()) {
    if (isStep(vertex)) {
      total += 1;
      if (vertex.completedMs !== undefined) completed += 1;
      if (vertex.cached) cached += 1;
    }
    const running = vertex.startedMs !== undefined && vertex.completedMs === undefined;
    if (running && (current?.startedMs ?? -1) < (vertex.startedMs ?? 0)) current = vertex;
  }
  return {
    total,
    completed,
    cached,
    ...(current === undefined ? {} : { current: oneLine(current.name, 200) }),
  };
}

/** Wall time in which at least one step of the stage ran, in milliseconds; undefined when none did. */
export function stageMs(progress: Progress, stage: Stage): number | undefined {
  const steps = [...progress.vertices.values()].filter(({ name }) => stageOf(name) === stage);
  return wallMs(steps);
}

/** Wall time in which something was pushed, in milliseconds; undefined when nothing was. */
export function pushMs({ pushes }: Progress): number | undefined {
  return wallMs([...pushes.values()]);
}

function wallMs(all: readonly Span[]): number | undefined {
  const spans: [number, number][] = all.flatMap(({ startedMs, completedMs }) =>
    startedMs === undefined || completedMs === undefined
      ? []
      : [[startedMs, Math.max(startedMs, completedMs)]],
  );
  if (spans.length === 0) return undefined;
  spans.sort((a, b) => a[0] - b[0]);
  let total = 0;
  let until = Number.NEGATIVE_INFINITY;
  for (const [from, to] of spans) {
    total += Math.max(0, to - Math.max(from, until));
    until = Math.max(until, to);
  }
  return Math.round(total);
}

/** What became of each cache import (`importing cache manifest from <ref>`). */
export function importResults(progress: Progress): CacheResult[] {
  const prefix = "importing cache manifest from ";
  return results(progress, (name) =>
    name.startsWith(prefix) ? name.slice(prefix.length) : undefined,
  );
}

/** What became of the cache exports, whose steps have these names: they don't tell two registries apart. */
export function exportResults(progress: Progress, names: readonly string[]): CacheResult[] {
  return results(progress, (name) => (names.includes(name) ? name : undefined));
}

function results(
  progress: Progress,
  nameOf: (vertex: string) => string | undefined,
): CacheResult[] {
  const found: CacheResult[] = [];
  for (const [digest, vertex] of progress.vertices) {
    const name = nameOf(vertex.name);
    if (name === undefined) continue;
    const failed = vertex.error !== undefined;
    const layers = progress.layers?.get(digest)?.size;
    found.push({
      name,
      ok: !failed,
      ...(layers === undefined ? {} : { layers }),
      ...(failed ? { message: oneLine(vertex.error ?? "", 300) } : {}),
    });
  }
  return found;
}
