// What caches tell Prometheus, as a port, and its prom-client form.

import { Counter, Gauge } from "prom-client";
import type { Registry } from "prom-client";

/** Numbers of a cache at the moment of a scrape. */
export interface CacheNumbers {
  readonly size: number;
  /** Seconds since the last line of the watch, bookmarks included: above 120 something is wrong. */
  readonly lastEventAgeSeconds: number;
  readonly synced: boolean;
}

/** What a cache reports; `kind` is the kind of its objects. */
export interface CacheMetrics {
  numbers(kind: string, read: () => CacheNumbers): void;
  /** A list was asked for: the first one, and after every version that was too old. */
  listed(kind: string): void;
  /** A watch ended; `why` is closed, gone or failed. */
  watchEnded(kind: string, why: string): void;
}

/** The metrics of all caches of a process, registered once. */
export function cacheMetrics(registry: Registry): CacheMetrics {
  const readers = new Map<string, () => CacheNumbers>();
  const registers = [registry];
  const labelNames = ["kind"] as const;
  const gauge = (name: string, help: string, value: (numbers: CacheNumbers) => number): void => {
    const made: Gauge<"kind"> = new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect: () => {
        for (const [kind, read] of readers) made.set({ kind }, value(read()));
      },
    });
  };
  gauge("kiln_cache_objects", "Objects in the cache.", (n) => n.size);
  gauge("kiln_cache_synced", "1 once the first list is in.", (n) => (n.synced ? 1 : 0));
  gauge(
    "kiln_cache_last_event_age_seconds",
    "Time since the watch last sent anything, bookmarks included.",
    (n) => n.lastEventAgeSeconds,
  );
  const lists = new Counter({
    name: "kiln_cache_lists_total",
    help: "Whole lists asked for.",
    labelNames,
    registers,
  });
  const ends = new Counter({
    name: "kiln_cache_watch_ends_total",
    help: "Ended watches, by why.",
    labelNames: ["kind", "why"] as const,
    registers,
  });
  return {
    numbers: (kind, read) => void readers.set(kind, read),
    listed: (kind) => lists.inc({ kind }),
    watchEnded: (kind, why) => ends.inc({ kind, why }),
  };
}
