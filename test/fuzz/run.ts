// How a fuzz run goes: seeded cases, many at once, a stop at the first that fails, and how to see it again.
// FUZZ_CASES: how many of each kind (default 20,000); FUZZ_SEED: the first case's seed (default: by the clock).
import { randomOf, type Random } from "./random.ts";

/** One kind of cases. */
export interface Target<Case> {
  /** As a share of FUZZ_CASES; for cases that take long. Default 1. */
  readonly share?: number;
  readonly generate: (random: Random) => Case;
  /** Checks cases in any order: the answer to each is what is wrong with it, or undefined. */
  readonly check: (cases: readonly Case[]) => Promise<readonly (string | undefined)[]>;
}

const defaultCases = 20_000;
const casesAtOnce = 500;
const maxSeed = 0x7fff_ffff;

function numberOf(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === "") return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${name} is no number`);
  return value;
}

/** Runs a target; what was done, in one line. Throws for the first case with something wrong, with its seed. */
export async function fuzz<Case>(target: Target<Case>): Promise<string> {
  const count = Math.ceil((numberOf("FUZZ_CASES") ?? defaultCases) * (target.share ?? 1));
  const first = numberOf("FUZZ_SEED") ?? Date.now() % maxSeed;
  for (let done = 0; done < count; done += casesAtOnce) {
    const seeds = Array.from(
      { length: Math.min(casesAtOnce, count - done) },
      (_, index) => (first + done + index) % maxSeed,
    );
    const cases = seeds.map((seed) => target.generate(randomOf(seed)));
    const wrong = await target.check(cases);
    const index = wrong.findIndex((what) => what !== undefined);
    if (index === -1) continue;
    const again = `FUZZ_SEED=${seeds[index]} FUZZ_CASES=${target.share === undefined ? 1 : Math.ceil(1 / target.share)}`;
    const shown = JSON.stringify(cases[index], (_key, value: unknown) =>
      typeof value === "bigint" ? `${value}n` : value,
    ).replaceAll(
      /[^\x20-\x7e]/g,
      (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
    throw new Error(`${wrong[index]}\ncase: ${shown}\nagain: ${again}`);
  }
  return `${count} cases from seed ${first}`;
}
