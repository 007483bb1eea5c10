// What of a job's events outlives a gap in its log: the last word of every vertex, and each warning once.

import type { SolveEvent } from "../../buildkit/index.ts";

/** A build that warns more often than this has told enough. */
const maxKept = 20_000;

/** Keeps an event that a late reader must not miss. A warning is kept without the file that it quotes. */
export function keepLatest(latest: Map<string, SolveEvent>, event: SolveEvent): void {
  if (event.kind === "vertex") latest.set(event.digest, event);
  if (event.kind !== "warning" || latest.size >= maxKept) return;
  const { file: _, ...warning } = event;
  latest.set(`warning ${event.vertex} ${event.short} ${event.source?.line ?? 0}`, warning);
}
