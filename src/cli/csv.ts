// One line of CSV as Go reads it: the form of `type=image,"name=a,b",push=true`. Pure.
import { csvFieldsOf } from "../buildrun/plan/csv.ts";
import { asError } from "../runtime/clock.ts";
import { invalidFlag } from "./flag-error.ts";

/** Splits a line at its commas; a field in double quotes may hold commas, and "" for a quote. Throws User/InvalidFlag. */
export function csvFields(flag: string, line: string): string[] {
  try {
    return csvFieldsOf(line);
  } catch (error) {
    throw invalidFlag(flag, asError(error).message);
  }
}

/** A pair, cut at the first "=". Throws User/InvalidFlag. */
export function pair(flag: string, text: string): readonly [key: string, value: string] {
  const at = text.indexOf("=");
  if (at === -1) throw invalidFlag(flag, `${text} is not of the form key=value.`);
  return [text.slice(0, at), text.slice(at + 1)];
}

/** Pairs of a line, keys in lower case; a repeated key holds its last value. Throws User/InvalidFlag. */
export function csvPairs(flag: string, line: string): Map<string, string> {
  return new Map(
    csvFields(flag, line).map((field) => {
      const [key, value] = pair(flag, field);
      return [key.toLowerCase(), value] as const;
    }),
  );
}
