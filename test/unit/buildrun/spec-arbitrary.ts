// BuildRun specs that fit the schema of the CRD, and ones with a single mistake, made from that schema: fields that are
// added to it are in here by themselves.

import fc from "fast-check";
import { structural } from "../../../src/api/schema.ts";
import { BuildRunSpec } from "../../../src/api/v1alpha1/index.ts";

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly "x-kubernetes-int-or-string"?: boolean;
  readonly "x-kubernetes-list-type"?: string;
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly "x-kubernetes-validations"?: readonly { readonly rule: string }[];
}

type Json = fc.JsonValue;
type Fields = Record<string, Json>;

const schema = structural(BuildRunSpec) as Schema;

/** What a rule with a pattern takes; those are the patterns that no text can be made from by itself. */
const samples: readonly string[] = [
  ...["a", "a1", "A", "app", "linux/amd64", "linux/arm64", "linux/arm/v7", "default", "release"],
  ...["https://git.example/shop/web.git", "git@git.example:shop/web.git", "main", "refs/tags/v1"],
  ...["https://files.example/context.tar.gz", "docker/Dockerfile", "registry.example/shop/web:1"],
  ...["1m", "90s", "1h30m", "10.1.2.3", "fd00::1", "0123abc", "network.host", "device", "1Gi"],
  ...[`sha256:${"a".repeat(64)}`, `registry.example/a@sha256:${"a".repeat(64)}`, "out", "x.y"],
  ...[
    "docker-image://docker.io/library/alpine:*",
    "https://files.example/a",
    "0-3",
    "org.example.a",
  ],
  ...["network.host=1", "device=vendor.example/gpu", "0", "1", "us-east-1", "bucket"],
];

function patternsOf(at: Schema): { readonly matches: RegExp[]; readonly lacks: RegExp[] } {
  const all = (at["x-kubernetes-validations"] ?? []).flatMap(({ rule }) => [
    ...rule.matchAll(/(!?)self\.matches\(r'([^']*)'\)/g),
  ]);
  const of = (sign: string) =>
    all.filter(([, found]) => found === sign).map(([, , source = ""]) => new RegExp(source, "u"));
  return { matches: of(""), lacks: of("!") };
}

function fits(at: Schema, value: string): boolean {
  const { matches, lacks } = patternsOf(at);
  const { length } = value;
  if (length < (at.minLength ?? 0) || length > (at.maxLength ?? 1_000)) return false;
  return matches.every((one) => one.test(value)) && !lacks.some((one) => one.test(value));
}

function textOf(at: Schema): fc.Arbitrary<Json> {
  if (at.enum !== undefined) return fc.constantFrom(...at.enum);
  const known = samples.filter((value) => fits(at, value));
  const { matches } = patternsOf(at);
  const free = fc.string({
    minLength: at.minLength ?? 0,
    maxLength: Math.min(at.maxLength ?? 40, 40),
  });
  if (matches.length === 0) return free.filter((value) => fits(at, value));
  if (known.length === 0) throw new Error(`add a sample for ${String(matches)}`);
  return fc.constantFrom(...known);
}

function listOf(at: Schema): fc.Arbitrary<Json> {
  const items = at.items ?? {};
  const bounds = { minLength: at.minItems ?? 0, maxLength: Math.min(at.maxItems ?? 3, 3) };
  const keys = at["x-kubernetes-list-map-keys"];
  if (keys !== undefined) {
    const selector = (entry: Json): string =>
      JSON.stringify(
        keys.map((key) => (entry as Fields)[key] ?? items.properties?.[key]?.["default" as never]),
      );
    return fc.uniqueArray(anyOf(items), { ...bounds, selector });
  }
  if (at["x-kubernetes-list-type"] === "set") return fc.uniqueArray(anyOf(items), bounds);
  return fc.array(anyOf(items), bounds);
}

/** Members of which exactly one must be set, when a rule says so. */
function choiceOf(at: Schema): readonly string[] {
  const rule = at["x-kubernetes-validations"]?.find((one) => one.rule.endsWith("exists_one(x, x)"));
  return [...(rule?.rule.matchAll(/has\(self\.(\w+)\)/g) ?? [])].map(([, name = ""]) => name);
}

function objectOf(at: Schema): fc.Arbitrary<Json> {
  const { properties, required = [], additionalProperties } = at;
  if (additionalProperties !== undefined)
    return fc.dictionary(
      fc.constantFrom("a", "b.c", "org.example.d"),
      anyOf(additionalProperties),
      {
        maxKeys: 3,
      },
    );
  const choice = choiceOf(at);
  const entries = Object.entries(properties ?? {});
  const plain = entries.filter(([name]) => !choice.includes(name));
  const fixed = plain.map(([name]) => name).filter((name) => required.includes(name));
  const free = plain.map(([name]) => name).filter((name) => !required.includes(name));
  // Few at once: with all of them, one breaks a rule over several fields nearly always.
  const base = fc.subarray(free, { maxLength: Math.min(4, free.length) }).chain((names) => {
    const all = [...fixed, ...names].map(
      (name) => [name, anyOf(properties?.[name] ?? {})] as const,
    );
    return fc.record(Object.fromEntries(all)) as fc.Arbitrary<Fields>;
  });
  if (choice.length === 0) return base;
  const chosen = fc.oneof(
    ...choice.map((name) =>
      anyOf(properties?.[name] ?? {}).map((value): Fields => ({ [name]: value })),
    ),
  );
  return fc.tuple(base, chosen).map(([some, one]) => ({ ...some, ...one }));
}

function anyOf(at: Schema): fc.Arbitrary<Json> {
  if (at["x-kubernetes-int-or-string"] === true) return fc.constantFrom("64Mi", "1Gi", 5_000_000);
  if (at.type === "boolean") return fc.boolean();
  if (at.type === "array") return listOf(at);
  if (at.type === "object") return objectOf(at);
  if (at.type !== "integer") return textOf(at);
  return fc.integer({ min: at.minimum ?? 0, max: Math.min(at.maximum ?? 1_000, 100_000) });
}

/** Specs that each field's own schema takes; rules over several fields may not hold. */
export const anySpec = objectOf(schema) as fc.Arbitrary<Fields>;

/** A spec with one mistake, and the field of it. */
export interface Mistake {
  readonly spec: Fields;
  /** Dots and brackets, from the spec on: `outputs[0].image.tags[0]`. */
  readonly path: string;
}

interface Place {
  readonly path: readonly (string | number)[];
  readonly at: Schema;
}

function placesIn(value: Json, at: Schema, path: Place["path"] = []): Place[] {
  const here: Place[] = path.length === 0 ? [] : [{ path, at }];
  if (Array.isArray(value))
    return [...here, ...value.flatMap((v, i) => placesIn(v as Json, at.items ?? {}, [...path, i]))];
  if (value === null || typeof value !== "object") return here;
  const inner = Object.entries(value as Fields).flatMap(([key, one]) => {
    const of = at.properties?.[key];
    return of === undefined ? [] : placesIn(one, of, [...path, key]);
  });
  return [...here, ...inner];
}

/** Values that no schema of this kind takes. */
function wrongFor(at: Schema): Json {
  if (at["x-kubernetes-int-or-string"] === true) return "many";
  if (at.type !== "string") return "\u0007 wrong";
  if (at.enum !== undefined) return "\u0007 wrong";
  if (patternsOf(at).matches.length > 0) return "\u0007 wrong ..";
  return at.maxLength === undefined ? 7 : "x".repeat(at.maxLength + 1);
}

function changed(value: Json, path: Place["path"], to: Json): Json {
  const [first, ...rest] = path;
  if (first === undefined) return to;
  if (Array.isArray(value))
    return value.map((v, i) => (i === first ? changed(v as Json, rest, to) : (v as Json)));
  const fields = value as Fields;
  return { ...fields, [first]: changed(fields[String(first)] ?? null, rest, to) };
}

/** Specs with one mistake somewhere. */
export const mistakes: fc.Arbitrary<Mistake> = fc.tuple(anySpec, fc.nat()).map(([spec, pick]) => {
  const places = placesIn(spec, schema);
  const place = places[pick % places.length];
  if (place === undefined) throw new Error("a spec without a field");
  const path = place.path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${part}`))
    .join("")
    .slice(1);
  return { spec: changed(spec, place.path, wrongFor(place.at)) as Fields, path };
});
