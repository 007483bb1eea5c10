// Cuts known secret values out of texts and events before they leave the agent or reach its disk: as they are, and in the
// encodings they are usually printed in.

import type { SolveEvent } from "../../buildkit/index.ts";

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

/**
 * The same for what a solve reports. A value that a step prints in two pieces, in two chunks of output, is not found:
 * BuildKit sends what one write to the terminal was, and values with line breaks are looked for line by line.
 */
export function eventRedactor(values: Iterable<Buffer>): (event: SolveEvent) => SolveEvent {
  const needles = [...new Set([...values].flatMap(variants))];
  if (needles.length === 0) return (event) => event;
  const bytes = needles.map((needle) => Buffer.from(needle));
  const redact = redactor(values);
  return (event) => {
    if (event.kind === "log") {
      const data = Buffer.from(event.data.buffer, event.data.byteOffset, event.data.byteLength);
      if (!bytes.some((needle) => data.includes(needle))) return event;
      // Only output that holds a secret goes through text, where bytes that are no UTF-8 suffer.
      return { ...event, data: Buffer.from(redact(data.toString("utf8"))) };
    }
    if (event.kind === "vertex") {
      const { name, error } = event;
      return { ...event, name: redact(name), ...(error !== undefined && { error: redact(error) }) };
    }
    if (event.kind === "progress") return { ...event, name: redact(event.name) };
    return { ...event, short: redact(event.short), detail: event.detail.map(redact) };
  };
}
