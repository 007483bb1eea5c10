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
    if (part.length > 1) return part.replaceAll("\\", "\\\\");
    return part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  });
  const expression = new RegExp(`^${source}$`);
  return (name) => expression.test(name);
}
