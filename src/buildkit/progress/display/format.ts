// Numbers as Go prints them, so that our lines are those that buildctl prints. Pure.
import type { LogLine } from "../log-tail.ts";

/** Go's "%.<digits>f": like toFixed, but a tie goes to the even digit. */
export function fixed(value: number, digits: number): string {
  const scaled = value * 10 ** digits;
  const floor = Math.floor(scaled);
  // Only a number with few binary places can be a tie; then the product above is exact.
  const isTie = scaled - floor === 0.5 && scaled / 10 ** digits === value;
  if (!isTie) return value.toFixed(digits);
  return ((floor % 2 === 0 ? floor : floor + 1) / 10 ** digits).toFixed(digits);
}

const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** Decimal units with two places, "100B", "2.50kB" (github.com/tonistiigi/units). */
export function bytesText(bytes: number): string {
  const size = Math.abs(bytes);
  let unit = 0;
  let base = 1;
  while (size >= base * 1000 && unit < units.length - 1) {
    base *= 1000;
    unit++;
  }
  return unit === 0 ? `${bytes}B` : `${fixed(bytes / base, 2)}${units[unit]}`;
}

/** " 1.00kB / 2.00kB" without its first space; "" when nothing is known. */
export function amountText(current: number, total: number): string {
  if (total !== 0) return `${bytesText(current)} / ${bytesText(total)}`;
  return current === 0 ? "" : bytesText(current);
}

/** A line of output after the seconds into its step: "0.123 text", "12.34 text", "123.4 text". */
export function lineText({ seconds, text }: LogLine): string {
  const digits = seconds < 10 ? 3 : seconds < 100 ? 2 : 1;
  return `${fixed(seconds, digits)} ${text}`;
}
