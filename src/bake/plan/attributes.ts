// Attributes of an output, a cache or an attestation as fields of a BuildRun, by a table: what a table does not know is
// refused by name, so that nothing is passed over in silence. Pure.

import { goBoolean } from "../../buildrun/plan/csv.ts";
import type { Entry } from "../file/entry.ts";
import { entryOf, type Refuse } from "./values.ts";

/** How an attribute is read. */
export type Reader = (value: string) => unknown;

/** Attribute → field of the BuildRun and how its value is read. */
export type Table = Readonly<Record<string, readonly [field: string, reader: Reader]>>;

/** As it is. */
export const text: Reader = (value) => value;

/** Yes or no. */
export const yesNo: Reader = (value) => {
  const read = goBoolean(value);
  if (read === undefined) throw new Error("must be true or false");
  return read;
};

/** A whole number. */
export const integer: Reader = (value) => {
  if (!/^-?[0-9]{1,15}$/.test(value)) throw new Error("must be a whole number");
  return Number(value);
};

/** A length of time as a BuildRun writes it; Go's own form also has fractions, which are refused. */
export const duration: Reader = (value) => {
  if (!/^([0-9]+h)?([0-9]+m)?([0-9]+s)?$/.test(value) || value === "")
    throw new Error("must be a time such as 90s or 1h30m");
  return value;
};

/** Where attributes stand: `output[0]`, and how a refusal of one is made. */
export interface Place {
  readonly field: string;
  readonly refuse: Refuse;
}

/** Reads the attributes of an entry; `skip` are read elsewhere. Throws what `refuse` makes, for the attribute's name. */
export function fieldsOf(
  entry: Entry,
  table: Table,
  { field, refuse }: Place,
  skip: readonly string[] = [],
): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(entry)) {
    if (name === "type" || skip.includes(name)) continue;
    const known = entryOf(table, name);
    if (known === undefined)
      throw refuse(`${field}.${name}`, "is no attribute that a BuildRun has: remove it.");
    const [to, read] = known;
    try {
      found[to] = read(value);
    } catch (error) {
      throw refuse(`${field}.${name}`, `${(error as Error).message}, not "${value.slice(0, 80)}".`);
    }
  }
  return found;
}
