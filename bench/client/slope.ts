// How fast does something grow? The line of least squares through samples. Pure.

/** Memory in bytes after so many builds. */
export interface Sample {
  readonly build: number;
  readonly rss: number;
  readonly heap: number;
}

/** Bytes per 1,000 builds; 0 for fewer than two samples. */
export function slopePerThousand(samples: readonly Sample[], part: "rss" | "heap"): number {
  const count = samples.length;
  if (count < 2) return 0;
  const meanX = samples.reduce((sum, { build }) => sum + build, 0) / count;
  const meanY = samples.reduce((sum, one) => sum + one[part], 0) / count;
  let [above, below] = [0, 0];
  for (const one of samples) {
    above += (one.build - meanX) * (one[part] - meanY);
    below += (one.build - meanX) ** 2;
  }
  return below === 0 ? 0 : (above / below) * 1_000;
}
