// Which instances together can build for all platforms of a run, when none can alone?

import type { Candidate } from "./choose.ts";
import { missingPlatforms } from "./platform.ts";

/**
 * The platforms in groups, each for one instance: as few groups as a greedy choice gives. Undefined when one instance
 * offers all, or when some platform is offered by none: then nothing is gained by splitting. Whether an instance is
 * ready does not matter: its group waits for it.
 */
export function cover(
  wanted: readonly string[],
  instances: readonly Candidate[],
): readonly (readonly string[])[] | undefined {
  const there = instances
    .filter(({ terminating }) => !terminating)
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const offered = (instance: Candidate, of: readonly string[]): string[] => {
    const missing = new Set(missingPlatforms(of, instance.platforms));
    return of.filter((platform) => !missing.has(platform));
  };
  if (there.some((instance) => offered(instance, wanted).length === wanted.length))
    return undefined;
  const groups: string[][] = [];
  let left = [...wanted];
  while (left.length > 0) {
    const best = there
      .map((instance) => offered(instance, left))
      .reduce((most, group) => (group.length > most.length ? group : most), []);
    if (best.length === 0) return undefined;
    groups.push(best);
    left = left.filter((platform) => !best.includes(platform));
  }
  return groups;
}
