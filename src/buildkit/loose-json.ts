// JSON that somebody else wrote, read without trust in its shape: what is not as expected is as if it were not there.

/** An object of unknown fields. */
export interface Loose {
  readonly [key: string]: unknown;
}

/** The object, or one without fields. */
export function object(value: unknown): Loose {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Loose)
    : {};
}

/** The array, or an empty one. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The string, or "". */
export function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** The whole number, also when it is written as a string (as protobuf's JSON writes 64-bit numbers), or 0. */
export function whole(value: unknown): number {
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isInteger(number) ? number : 0;
}

/** The strings of an array. */
export function texts(value: unknown): string[] {
  return list(value).filter((entry) => typeof entry === "string");
}

/** The fields that hold strings. */
export function textFields(value: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(object(value)).filter((field): field is [string, string] => {
      return typeof field[1] === "string";
    }),
  );
}

/** Parses text; undefined when it is no JSON. */
export function parseJson(source: string): unknown {
  try {
    return JSON.parse(source) as unknown;
  } catch {
    return undefined;
  }
}
