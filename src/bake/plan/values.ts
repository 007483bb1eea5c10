// What every part of a plan needs: how a field is refused, how a word is looked up, and how fields are left out. Pure.

/** What a field of a target can't be; `at` names the field. */
export type Refuse = (field: string, why: string) => Error;

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
