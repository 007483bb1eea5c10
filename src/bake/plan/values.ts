// Values as buildx takes them, in the words of a BuildRun: sizes, limits, hosts, yes and no. Pure.
// Forms: docker/go-units and opts of docker/cli, buildx v0.38.2.

/** What a field of a target can't be; `at` names the field. */
export type Refuse = (field: string, why: string) => Error;

const units: Readonly<Record<string, number>> = {
  ...{ b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, p: 2 ** 50 },
};

/** Bytes of a size such as 128m, 1g, 64KiB or 1.5GB; undefined for anything else. All units are powers of 1024. */
export function bytesOf(size: string): number | undefined {
  const match = /^([0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(size.trim());
  if (match === null) return undefined;
  return Math.floor(Number(match[1]) * (units[(match[2] ?? "").toLowerCase() || "b"] ?? 1));
}

/** A boolean as Go writes and reads it; undefined for anything else. */
export function booleanOf(value: string): boolean | undefined {
  if (/^(1|t|T|true|TRUE|True)$/.test(value)) return true;
  return /^(0|f|F|false|FALSE|False)$/.test(value) ? false : undefined;
}

/** What a table has for a word of a file; nothing for a word that every object knows, such as constructor. */
export function entryOf<T>(table: Readonly<Record<string, T>>, word: string): T | undefined {
  return Object.hasOwn(table, word) ? table[word] : undefined;
}

/** Drops what is not there: fields of a spec are left out, never undefined. */
export function present<T extends Readonly<Record<string, unknown>>>(
  fields: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as never;
}
