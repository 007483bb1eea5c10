// Text of strangers (BuildKit, Dockerfiles, registries) as it may stand in status: no control characters, no escape
// sequences, no direction overrides, and never longer than its place.

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
const escapes = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
const controls =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Cuts a text to a number of UTF-16 units, never through a surrogate pair; a cut text ends in `…`. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  const end = max - 1;
  const code = text.charCodeAt(end - 1);
  return `${text.slice(0, code >= 0xd800 && code < 0xdc00 ? end - 1 : end)}…`;
}

/** A text without escape sequences and control characters (line breaks and tabs stay), at most `max` long. */
export function plainText(text: string, max: number): string {
  return cut(text.toWellFormed().replace(escapes, "").replace(controls, ""), max);
}

/** As `plainText`, on one line. */
export function oneLine(text: string, max: number): string {
  return plainText(text.replace(/\s+/g, " ").trim(), max);
}
