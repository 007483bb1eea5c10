// Cuts known secret values out of text before it leaves the agent: as they are, and in the encodings they are usually
// printed in.

/** Values shorter than this are not looked for: replacing every `1` would hide the whole log and protect nothing. */
const minLength = 6;
const mask = "[redacted]";

function variants(value: Buffer): string[] {
  const text = value.toString("utf8");
  const trimmed = text.trim();
  const lines = trimmed.split(/\r?\n/).map((line) => line.trim());
  const plain = [text, trimmed, ...lines].filter((part) => part.length >= minLength);
  const encoded = plain.flatMap((part) => [
    encodeURIComponent(part),
    JSON.stringify(part).slice(1, -1),
  ]);
  // Base64 of a value inside a longer string starts at any of three bit offsets; whole values are what tools print.
  const base64 = [value, Buffer.from(trimmed)].flatMap((part) => [
    part.toString("base64"),
    part.toString("base64").replace(/=+$/, ""),
    part.toString("base64url"),
  ]);
  return [...plain, ...encoded, ...base64].filter((part) => part.length >= minLength);
}

/** A function that replaces every occurrence of the given values in a text by `[redacted]`. */
export function redactor(values: Iterable<Buffer>): (text: string) => string {
  const needles = [...new Set([...values].flatMap(variants))].sort((a, b) => b.length - a.length);
  if (needles.length === 0) return (text) => text;
  return (text) => needles.reduce((rest, needle) => rest.replaceAll(needle, mask), text);
}
