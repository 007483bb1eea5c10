// One line of CSV as Go reads it: the form of `type=image,"name=a,b",push=true`. Pure.
// Rules: github.com/tonistiigi/go-csvvalue, which buildctl and buildx parse their flags with.
import { invalidFlag } from "./flag-error.ts";

/** Splits a line at its commas; a field in double quotes may hold commas, and "" for a quote. Throws User/InvalidFlag. */
export function csvFields(flag: string, line: string): string[] {
  const fields: string[] = [];
  let rest = line.replace(/\r?\n$/, "");
  for (;;) {
    const { field, length } = rest.startsWith('"') ? quoted(flag, rest) : plain(flag, rest);
    fields.push(field);
    if (length === rest.length) return fields;
    rest = rest.slice(length + 1);
  }
}

interface Taken {
  readonly field: string;
  /** Characters of the line that it took, without the comma behind it. */
  readonly length: number;
}

function plain(flag: string, rest: string): Taken {
  const comma = rest.indexOf(",");
  const field = comma === -1 ? rest : rest.slice(0, comma);
  if (field.includes('"')) {
    throw invalidFlag(
      flag,
      `a quote stands inside of ${field}; put the whole of it in quotes: "key=value,with,commas".`,
    );
  }
  return { field, length: field.length };
}

function quoted(flag: string, rest: string): Taken {
  const whole = /^"((?:[^"]|"")*)"(?=,|$)/s.exec(rest);
  if (whole === null)
    throw invalidFlag(flag, `the quote of ${rest} has no end, or text right behind its end.`);
  return { field: (whole[1] ?? "").replaceAll('""', '"'), length: whole[0].length };
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

const booleans: Readonly<Record<string, boolean>> = {
  ...{ "1": true, t: true, T: true, true: true, TRUE: true, True: true },
  ...{ "0": false, f: false, F: false, false: false, FALSE: false, False: false },
};

/** What Go's strconv.ParseBool takes; undefined for anything else. */
export function goBoolean(text: string | undefined): boolean | undefined {
  return text === undefined ? undefined : booleans[text];
}
