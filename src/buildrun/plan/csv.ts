// One line of comma-separated values, as BuildKit's frontends and exporters read lists in an attribute, and buildx flags;
// and a boolean as it stands in one.

/** Joins fields; a field with a comma, a quote or a line break is quoted (RFC 4180, Go's encoding/csv). */
export function csv(fields: readonly string[]): string {
  return fields
    .map((field) => (/[",\r\n]|^\s/.test(field) ? `"${field.replaceAll('"', '""')}"` : field))
    .join(",");
}

/**
 * The fields of a line as Go reads it: a field in double quotes may hold commas, and "" for a quote.
 * Throws an Error with a sentence. Rules: github.com/tonistiigi/go-csvvalue, which buildctl and buildx parse flags with.
 */
export function csvFieldsOf(line: string): string[] {
  const fields: string[] = [];
  let rest = line.replace(/\r?\n$/, "");
  for (;;) {
    const { field, length } = rest.startsWith('"') ? quoted(rest) : plain(rest);
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

function plain(rest: string): Taken {
  const comma = rest.indexOf(",");
  const field = comma === -1 ? rest : rest.slice(0, comma);
  if (field.includes('"')) {
    throw new Error(
      `a quote stands inside of ${field}; put the whole of it in quotes: "key=value,with,commas".`,
    );
  }
  return { field, length: field.length };
}

function quoted(rest: string): Taken {
  const whole = /^"((?:[^"]|"")*)"(?=,|$)/s.exec(rest);
  if (whole === null)
    throw new Error(`the quote of ${rest} has no end, or text right behind its end.`);
  return { field: (whole[1] ?? "").replaceAll('""', '"'), length: whole[0].length };
}

/** What Go's strconv.ParseBool takes; undefined for anything else. */
export function goBoolean(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
  return /^(0|f|F|false|FALSE|False)$/.test(text) ? false : undefined;
}
