// One line of comma-separated values, as BuildKit's frontends and exporters read lists in an attribute.

/** Joins fields; a field with a comma, a quote or a line break is quoted (RFC 4180, Go's encoding/csv). */
export function csv(fields: readonly string[]): string {
  return fields
    .map((field) => (/[",\r\n]|^\s/.test(field) ? `"${field.replaceAll('"', '""')}"` : field))
    .join(",");
}
