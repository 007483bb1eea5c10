// Whose turn is it? The queue of one Builder, first come first served. Priority and fair share over
// namespaces later become comparisons in front of age; nothing else changes.

/** What the queue knows of a waiting run. */
export interface QueuedRun {
  /** `namespace/name`: settles ties, so that the order is the same in every process. */
  readonly key: string;
  /** Milliseconds since the epoch; the API server's creationTimestamp, so whole seconds. */
  readonly createdAtMs: number;
}

/** Negative when `a` goes first, positive when `b` does, zero when this rule does not care. */
export type Comparison<T extends QueuedRun> = (a: T, b: T) => number;

/** The older run goes first. */
export function byAge(a: QueuedRun, b: QueuedRun): number {
  return a.createdAtMs - b.createdAtMs;
}

/** Waiting runs in the order in which they are to be placed. `rules` decide in turn; the first that cares wins. */
export function order<T extends QueuedRun>(
  runs: readonly T[],
  rules: readonly Comparison<T>[] = [byAge],
): T[] {
  return [...runs].sort((a, b) => {
    for (const rule of rules) {
      const verdict = rule(a, b);
      if (verdict !== 0) return verdict;
    }
    return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
  });
}

/** Counting from 1; undefined when the run does not wait here. */
export function positionOf<T extends QueuedRun>(
  ordered: readonly T[],
  key: string,
): number | undefined {
  const index = ordered.findIndex((run) => run.key === key);
  return index === -1 ? undefined : index + 1;
}
