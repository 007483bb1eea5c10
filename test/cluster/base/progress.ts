// What does the tool wait for, and how long did it take? One line on stderr for each step.
const quietMs = 300;

/** Prints one line on stderr. */
export function say(message: string): void {
  console.error(`[cluster] ${message}`);
}

/**
 * Runs a step and prints how long it took; a step that ends at once prints nothing, so that a warm
 * cache is quiet. A step that takes longer says so when it begins to matter.
 */
export async function step<T>(what: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const announce = setTimeout(() => say(`${what} …`), quietMs);
  try {
    const result = await work();
    const tookMs = performance.now() - start;
    if (tookMs >= quietMs) say(`${what}: ${(tookMs / 1000).toFixed(1)} s`);
    return result;
  } finally {
    clearTimeout(announce);
  }
}
