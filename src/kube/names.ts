// Names and label values that the API server takes, made of names that people chose. Pure, and always
// the same for the same input: that is what makes creating idempotent.

import { createHash } from "node:crypto";

/** Longest DNS-1123 label: the limit of names of Services and of label values. */
export const maxLabel = 63;

/** The first `length` hex digits of the SHA-256 of `text`. */
export function shortHash(text: string, length = 10): string {
  return createHash("sha256").update(text).digest("hex").slice(0, length);
}

/**
 * A DNS-1123 label of `parts`, joined by "-". Parts that fit stay readable as they are; anything that
 * had to be cut or changed gets a hash of the original, so that two inputs do not meet in one name.
 * `max` leaves room for what a controller appends (pods of a StatefulSet: "-0"; of a Deployment: 17).
 */
export function dnsName(parts: readonly string[], max: number = maxLabel): string {
  const wanted = parts.filter((part) => part !== "").join("-");
  if (isDnsLabel(wanted) && wanted.length <= max) return wanted;
  const plain = wanted
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
  return withHash(plain, wanted, max);
}

/** A valid label value for any text: itself when it may stand, else cut and hashed. Empty stays empty. */
export function labelValue(text: string): string {
  if (text === "" || /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/.test(text)) return text;
  const plain = text.replace(/[^A-Za-z0-9_.]+/g, "-").replace(/^[-_.]+|[-_.]+$/g, "");
  return withHash(plain, text, maxLabel);
}

/** Whether `text` is a DNS-1123 label: lower-case letters, digits and inner "-", at most 63. */
export function isDnsLabel(text: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text);
}

function withHash(plain: string, original: string, max: number): string {
  const hash = shortHash(original);
  const head = plain.slice(0, Math.max(0, max - hash.length - 1)).replace(/[-_.]+$/, "");
  return head === "" ? hash.slice(0, max) : `${head}-${hash}`;
}
