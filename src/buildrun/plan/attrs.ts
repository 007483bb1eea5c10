// Values of a spec as attributes of exporters and caches, which are texts.

/** Attributes of an exporter, a cache or a frontend. */
export type Attrs = Record<string, string>;

/** What is set, as text; what is not, left out. */
export function written(
  values: Readonly<Record<string, string | number | boolean | undefined>>,
): Attrs {
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, String(value)] as const],
    ),
  );
}

/** A switch whose false is BuildKit's default, and not worth a word. */
export function onlyTrue(value: boolean): true | undefined {
  return value ? true : undefined;
}
