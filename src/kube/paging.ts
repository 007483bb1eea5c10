// Whole lists out of pages, beginning again when the pages expire under way.

import type { ListQuery, ListWatcher } from "./client.ts";
import { isApiError } from "./errors.ts";
import type { KubeObject } from "./object.ts";
import type { ResourceType } from "./types.ts";

/** Objects a page; at 3 KB each a page parses in about 25 ms (research/perf-reliability.md §1.2). */
export const pageSize = 500;
/** How often a list begins again because its continue token was too old, before it is asked for whole. */
const maxRestarts = 3;

/** A whole list and the version at which it was true. */
export interface Listing<T> {
  readonly items: T[];
  readonly resourceVersion: string;
}

/**
 * All pages. Never asks for `resourceVersion: "0"`, so the answer is at least as new as anything the
 * caller has seen. `keep` is applied to each object as it comes.
 */
export async function listAll<T extends KubeObject>(
  from: ListWatcher,
  type: ResourceType<T>,
  query: ListQuery,
  o: { readonly signal: AbortSignal; readonly keep?: (object: T) => T },
): Promise<Listing<T>> {
  for (let restarts = 0; ; restarts += 1) {
    const limit = restarts < maxRestarts ? pageSize : 0;
    const items: T[] = [];
    try {
      let next: string | undefined;
      for (;;) {
        const page = await from.listPage(type, { ...query, limit, next }, o.signal);
        for (const item of page.items) items.push(o.keep === undefined ? item : o.keep(item));
        // The first page fixes the version; the API server repeats it on the others.
        if (page.next === undefined) return { items, resourceVersion: page.resourceVersion };
        next = page.next;
      }
    } catch (error) {
      if (!isApiError(error, "Gone") || limit === 0) throw error;
    }
  }
}
