// --metadata-file and --ref-file: what they hold and how they are written, as buildctl does.
import { randomBytes } from "node:crypto";
import { renameSync, rmSync, writeFileSync } from "node:fs";

/** Values that are base64 of a JSON object become that object. */
function readable(value: string): unknown {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(value)) return value;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(value, "base64").toString("utf8"));
    const isFilled =
      typeof parsed === "object" &&
      parsed !== null &&
      !Array.isArray(parsed) &&
      Object.keys(parsed).length > 0;
    return isFilled ? parsed : value;
  } catch {
    return value;
  }
}

/** The exporter's answer as JSON for people: keys in order, two spaces. */
export function metadataText(exporterResponse: Readonly<Record<string, string>>): string {
  const sorted = Object.entries(exporterResponse).sort(([a], [b]) => (a < b ? -1 : 1));
  const readables = sorted.map(([key, value]) => [key, readable(value)] as const);
  return JSON.stringify(Object.fromEntries(readables), null, 2);
}

/** Writes a file whole or not at all. */
export function writeWhole(file: string, text: string): void {
  const temporary = `${file}.kiln-${randomBytes(6).toString("hex")}`;
  try {
    writeFileSync(temporary, text);
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
