// Text of strangers (BuildKit, Dockerfiles, registries) as it may stand in status: no control characters, no escape
// sequences, no direction overrides, and never longer than its place.

// A control character that begins a terminal sequence: CSI, OSC (up to its end), or two characters.
const escapes =
  /(?![\n\r\t])\p{Cc}(?:\[[0-?]*[ -/]*[@-~]|\][^\p{Cc}]*(?:(?![\n\r\t])\p{Cc}\\?)?)/gu;
// Control characters, and invisible ones that change how what follows is read.
const controls = /(?![\n\t])[\p{Cc}\p{Bidi_Control}\ufeff]/gu;

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
