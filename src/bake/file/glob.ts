// Names of targets with `*`, `?` and `[…]` in them, as Go's path.Match reads them. Pure.

/** Whether a pattern has anything but letters to say. */
export function isPattern(name: string): boolean {
  return /[*?[\]]/.test(name);
}

/** A test for names. A set of letters without an end fits nothing. */
export function matcher(pattern: string): (name: string) => boolean {
  const source = pattern.replaceAll(/\[\^?[^\]]+\]|[\s\S]/g, (part) => {
    if (part === "*") return "[^/]*";
    if (part === "?") return "[^/]";
    if (part.length > 1) return letters(part);
    return part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  });
  const expression = new RegExp(`^${source}$`);
  return (name) => expression.test(name);
}

/** `[…]` as a regular expression, which does not compile with a range that goes backwards; to Go nothing is in one. */
function letters(set: string): string {
  const [, open = "", inner = ""] = /^(\[\^?)([\s\S]*)\]$/.exec(set) ?? [];
  const forwards = inner.replaceAll(/([\s\S])-([\s\S])/g, (range, from: string, to: string) =>
    from > to ? "" : range,
  );
  return `${open}${forwards.replaceAll("\\", "\\\\")}]`;
}
