// The vocabulary in which the resources are written: zod schemas that are at once the TypeScript
// types, the parser of the controller and the CLI, and the schema of the CRDs. A rule is written
// once and holds in both places; its message says what a person should do.

import { z } from "zod";

/** One CEL rule of a CRD schema, as it stands under `x-kubernetes-validations`. */
export interface Rule {
  readonly rule: string;
  readonly message: string;
  /** Relative path of the field the API server names in its refusal, such as `.target`. */
  readonly fieldPath?: string;
}

/** A CEL rule on the schema that carries it. `message` is a sentence that says what to do. */
export function cel(rule: string, message: string, fieldPath?: string): Rule {
  return fieldPath === undefined ? { rule, message } : { rule, message, fieldPath };
}

/** Metadata that puts CEL rules on a schema: `schema.meta(rules(cel(…), cel(…)))`. */
export function rules(...list: readonly Rule[]): Record<string, unknown> {
  return { "x-kubernetes-validations": list };
}

/** What a text has to look like. `matches` must be found in it; `lacks` must not. */
export interface TextRule {
  readonly matches?: RegExp;
  readonly lacks?: RegExp;
  readonly message: string;
}

/**
 * A bounded string. Its patterns become CEL rules rather than `pattern`, because the API server
 * then answers with our sentence instead of with a regular expression. The expressions are read
 * by RE2 and by JavaScript: no lookaround, no back references, no quote.
 */
export function text(bounds: { min?: number; max: number }, ...list: readonly TextRule[]) {
  let schema = z
    .string()
    .min(bounds.min ?? 1)
    .max(bounds.max);
  for (const { matches, lacks, message } of list) {
    schema = schema.refine(
      (value) => (matches?.test(value) ?? true) && !(lacks?.test(value) ?? false),
      { message },
    );
  }
  return list.length === 0 ? schema : schema.meta(rules(...list.map(textRule)));
}

function textRule({ matches, lacks, message }: TextRule): Rule {
  const parts: string[] = [];
  if (matches !== undefined) parts.push(`self.matches(r'${reOf(matches)}')`);
  if (lacks !== undefined) parts.push(`!self.matches(r'${reOf(lacks)}')`);
  return cel(parts.join(" && "), message);
}

/** The source of an expression for RE2: JavaScript escapes `/`, which RE2 has no need of. */
function reOf(expression: RegExp): string {
  return expression.source.replaceAll("\\/", "/");
}

/** A list whose entries are told apart by `keys`: the API server refuses two with the same. */
export function listMap<T extends z.ZodType>(entry: T, keys: readonly string[], max: number) {
  return z
    .array(entry)
    .max(max)
    .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys });
}

/** A list without order in which no entry may stand twice. Entries are strings. */
export function listSet<T extends z.ZodType>(entry: T, max: number) {
  return z.array(entry).max(max).meta({ "x-kubernetes-list-type": "set" });
}

/** A map of strings with at most `max` entries. Keys are bounded by a CEL rule. */
export function textMap(bounds: { max: number; key: number; value: number }, ...list: Rule[]) {
  const keys = `every key must have 1 to ${bounds.key} characters: shorten the longer ones`;
  return z
    .record(z.string(), z.string().max(bounds.value))
    .refine((map) => Object.keys(map).every((k) => k !== "" && k.length <= bounds.key), keys)
    .refine((map) => Object.keys(map).length <= bounds.max, `at most ${bounds.max} entries`)
    .meta({
      maxProperties: bounds.max,
      ...rules(cel(`self.all(k, size(k) > 0 && size(k) <= ${bounds.key})`, keys), ...list),
    });
}

/** A Kubernetes quantity such as `500m`, `4Gi` or 2; the API server keeps it as it was written. */
export function quantity() {
  const message = "must be a quantity such as 500m, 4Gi or 100Gi";
  const rule = `type(self) == int ? self >= 0 : self.matches(r'${quantityPattern.source}')`;
  return z
    .union([z.string().max(64).regex(quantityPattern, message), z.int().min(0).max(maxInteger)])
    .meta({ "x-kubernetes-int-or-string": true, maxLength: 64, ...rules(cel(rule, message)) });
}

const maxInteger = 2 ** 53 - 1;

const quantityPattern =
  /^[+]?([0-9]+|[0-9]+[.][0-9]*|[.][0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$/;

/**
 * A length of time such as `90s`, `15m` or `1h30m`, between `min` and `max` (both such texts).
 * Read it with `durationMs`.
 */
export function duration(min: string, max: string) {
  const [least, most] = [durationMs(min), durationMs(max)];
  const range = `must be between ${min} and ${max}, written like 90s, 15m or 1h30m`;
  return z
    .string()
    .min(2)
    .max(20)
    .refine((value) => {
      if (!durationPattern.test(value)) return false;
      const ms = durationMs(value);
      return ms >= least && ms <= most;
    }, range)
    .meta(
      rules(
        cel(
          `self.matches(r'${durationPattern.source}') && duration(self) >= duration('${min}') && duration(self) <= duration('${max}')`,
          range,
        ),
      ),
    );
}

const durationPattern = /^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$/;

/** Milliseconds of a duration as the API writes it (`1h30m`). Throws on anything else. */
export function durationMs(written: string): number {
  const match = /^(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?$/.exec(written);
  if (match === null || written === "")
    throw new Error(`"${written}" is not a duration like 1h30m`);
  const [hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0));
  return (((hours ?? 0) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0)) * 1000;
}

/**
 * An object of Kubernetes' own whose members the API server keeps as they are and checks where they
 * are used; `known` are the members that Kiln itself reads.
 */
export function open<S extends z.ZodRawShape>(known: S) {
  return z.looseObject(known).meta({ "x-kubernetes-preserve-unknown-fields": true });
}

type Members = Record<string, z.ZodType>;

/** A value with exactly one of the members set. Narrow it with `only`. */
export type OneOf<T> = {
  [K in keyof T]: { [P in K]: T[P] } & { [P in Exclude<keyof T, K>]?: undefined };
}[keyof T];

type Outputs<M extends Members> = { [K in keyof M]: z.output<M[K]> };
type Inputs<M extends Members> = { [K in keyof M]: z.input<M[K]> };

/** An object with exactly one of `members`; `what` is the noun for the message, such as "context". */
export function oneOf<M extends Members>(what: string, members: M) {
  const names = Object.keys(members);
  const rule = exactlyOne(what, names);
  const optional = Object.fromEntries(names.map((name) => [name, members[name]?.optional()]));
  const schema = z
    .object(optional as Record<string, z.ZodOptional>)
    .refine((value) => names.filter((name) => value[name] !== undefined).length === 1, rule.message)
    .meta(rules(rule));
  return schema as unknown as z.ZodType<OneOf<Outputs<M>>, OneOf<Inputs<M>>>;
}

/** The CEL rule that exactly one of `names` is set. */
export function exactlyOne(what: string, names: readonly string[]): Rule {
  const list = names.length === 1 ? `${names[0]}` : `exactly one of ${names.join(", ")}`;
  return cel(
    `[${names.map((name) => `has(self.${name})`).join(", ")}].exists_one(x, x)`,
    `${what} must set ${list}: keep one and remove the others`,
  );
}

/** The one member of a `oneOf` that is set: `switch (only(spec.context).kind)` is exhaustive. */
export function only<T extends object>(
  value: T,
): { [K in KeysOf<T>]: { readonly kind: K; readonly value: ValueAt<T, K> } }[KeysOf<T>] {
  for (const [kind, member] of Object.entries(value)) {
    if (member !== undefined) return { kind, value: member } as never;
  }
  throw new Error("a one-of value has no member set");
}

type KeysOf<T> = T extends unknown ? keyof T & string : never;
type ValueAt<T, K extends string> = T extends { [P in K]?: infer V }
  ? Exclude<V, undefined>
  : never;

/** An object that is filled with the defaults of its members when it is left out. */
export function section<S extends z.ZodRawShape>(schema: z.ZodObject<S>) {
  return schema.prefault({} as never).meta({ default: schema.parse({}) });
}

type JsonSchema = Record<string, unknown>;

/** The structural OpenAPI v3 schema of a zod schema, as `apiextensions.k8s.io/v1` wants it. */
export function structural(schema: z.ZodType): JsonSchema {
  const json = z.toJSONSchema(schema, {
    target: "openapi-3.0",
    io: "input",
    reused: "inline",
    override: ({ jsonSchema }) => adapt(jsonSchema as JsonSchema),
  });
  const { $schema: _, ...rest } = json as JsonSchema;
  return rest;
}

/** What zod says and a structural schema may not, or the other way round. */
function adapt(json: JsonSchema): void {
  delete json["propertyNames"];
  if (json["type"] === "object" && isClosed(json)) delete json["additionalProperties"];
  if (json["x-kubernetes-int-or-string"] === true) {
    delete json["type"];
    json["anyOf"] = [{ type: "integer" }, { type: "string" }];
  }
  if (json["type"] === "integer") json["format"] = "int64";
  // A list of scalars or objects is atomic unless it says otherwise: say so, for `kubectl explain` readers.
  if (json["type"] === "array") json["x-kubernetes-list-type"] ??= "atomic";
}

function isClosed(json: JsonSchema): boolean {
  return json["additionalProperties"] === false || json["properties"] !== undefined;
}
