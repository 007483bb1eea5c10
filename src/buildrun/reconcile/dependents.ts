// Which runs wait for which others: when one ends, comes or goes, those that build from its image are rung.

import type { BuildRun } from "../../api/v1alpha1/index.ts";
import { namedRuns } from "./other-runs.ts";

/** Runs that are not over and name others, by key. */
export class Dependents {
  readonly #names = new Map<string, ReadonlySet<string>>();

  /** Takes in a run as it is now, and returns the keys of the runs that name it. */
  changed(key: string, run: BuildRun | undefined): string[] {
    const namespace = key.slice(0, key.indexOf("/"));
    const isOver = run === undefined || run.status?.completionTime !== undefined;
    const names = isOver ? [] : namedRuns(run);
    if (names.length === 0) this.#names.delete(key);
    else this.#names.set(key, new Set(names.map((name) => `${namespace}/${name}`)));
    return [...this.#names].flatMap(([other, named]) => (named.has(key) ? [other] : []));
  }
}
