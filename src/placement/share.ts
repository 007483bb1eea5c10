// Which kind of instance does each waiting run ask for, when a Builder has several kinds? What it grows by. Pure.

import { missingPlatforms } from "./platform.ts";

/** Instances of one kind. */
export interface Kind {
  /** What they build for; undefined while nobody knows: then anything. */
  readonly platforms: readonly string[] | undefined;
  /** Runs that may be added before there are as many instances as there may be. */
  readonly room: number;
}

/**
 * How many of the waiting runs, each given by its platforms, count for each kind: a run counts once, for the first that
 * builds for it and has room. Without room anywhere: for the first that builds for it. A platform that no kind builds
 * for is no reason to wait (see the queue), so such a run counts like one without platforms.
 */
export function share(
  waiting: readonly (readonly string[])[],
  kinds: readonly Kind[],
): readonly number[] {
  const counts = kinds.map(() => 0);
  for (const wanted of waiting) {
    const able = kinds.flatMap(({ platforms }, index) =>
      platforms === undefined || missingPlatforms(wanted, platforms).length === 0 ? [index] : [],
    );
    const candidates = able.length === 0 ? kinds.map((_, index) => index) : able;
    const chosen =
      candidates.find((index) => (counts[index] ?? 0) < (kinds[index]?.room ?? 0)) ?? candidates[0];
    if (chosen !== undefined) counts[chosen] = (counts[chosen] ?? 0) + 1;
  }
  return counts;
}
