// A generator of random values that gives the same ones for the same seed, and is quick enough for millions of cases.

/** Random values of one case. */
export interface Random {
  /** 0 up to, and without, `limit`. */
  below(limit: number): number;
  /** True once in `times`. */
  oneIn(times: number): boolean;
  /** One of the values, each as likely as the others. */
  pick<T>(values: readonly T[]): T;
  /** Up to `most` values. */
  list<T>(most: number, value: () => T): T[];
}

/** Mulberry32: 32 bits of state, good enough to choose test cases. */
export function randomOf(seed: number): Random {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return (bits ^ (bits >>> 14)) >>> 0;
  };
  const below = (limit: number): number => Math.floor((next() / 0x1_0000_0000) * limit);
  return {
    below,
    oneIn: (times) => below(times) === 0,
    pick(values) {
      const value = values[below(values.length)];
      if (value === undefined) throw new RangeError("nothing to pick from");
      return value;
    },
    list: (most, value) => Array.from({ length: below(most + 1) }, () => value()),
  };
}
