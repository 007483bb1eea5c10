// Columns and amounts for people. Pure.
import { invalidFlag } from "./flag-error.ts";

/** Rows under a head, columns as wide as their widest cell, two spaces between; no space at a line's end. */
export function tableText(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return all.map((row) => `${line(row)}\n`).join("");
}

/** Names and values, a pair a line; pairs without a value are left out. */
export function pairsText(pairs: readonly (readonly [name: string, value: string])[]): string {
  const filled = pairs.filter(([, value]) => value !== "");
  const width = Math.max(0, ...filled.map(([name]) => name.length)) + 1;
  return filled.map(([name, value]) => `${`${name}:`.padEnd(width)}  ${value}\n`).join("");
}

const sizes: Readonly<Record<string, number>> = {
  ...{ "": 1, b: 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 },
};

/** "10GB", "512MiB", "1000" → bytes. Throws KilnError User/InvalidFlag. */
export function parseSize(flag: string, text: string): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text) ?? [];
  const factor = sizes[unit.toLowerCase()];
  if (number === "" || factor === undefined)
    throw invalidFlag(flag, `${text} is no size; write it as 10GB or 512MiB.`);
  return Math.round(Number(number) * factor);
}

const seconds: Readonly<Record<string, number>> = { d: 86_400, h: 3_600, m: 60, s: 1 };

/** "24h", "1h30m", "7d" → seconds. Throws KilnError User/InvalidFlag. */
export function parseSeconds(flag: string, text: string): number {
  if (!/^(?:\d+(?:\.\d+)?[dhms])+$/.test(text))
    throw invalidFlag(flag, `${text} is no length of time; write it as 24h or 1h30m.`);
  const parts = text.matchAll(/(\d+(?:\.\d+)?)([dhms])/g);
  return [...parts].reduce(
    (sum, [, number, unit = ""]) => sum + Number(number) * (seconds[unit] ?? 0),
    0,
  );
}
