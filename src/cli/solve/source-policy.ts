// --source-policy-file: the JSON that buildctl takes (sourcepolicy/pb, BuildKit v0.34.2) → our SourcePolicy. Pure.
import type { SourcePolicy, SourceRule } from "../../buildkit/index.ts";
import { invalidFlag } from "../flag-error.ts";

const flag = "--source-policy-file";

// Enums stand by name or by number; what is missing is the first.
const actions = ["allow", "deny", "convert"] as const;
const matches = ["wildcard", "exact", "regex"] as const;
const conditions = ["equal", "notEqual", "matches"] as const;

type Json = Readonly<Record<string, unknown>>;

function object(value: unknown, what: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw invalidFlag(flag, `${what} is not an object.`);
}

function list(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value;
  throw invalidFlag(flag, `${what} is not a list.`);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function oneOf<T extends string>(value: unknown, names: readonly T[], what: string): T {
  const found = names.find(
    (name, index) =>
      value === index || (typeof value === "string" && value.toLowerCase() === name.toLowerCase()),
  );
  if (found !== undefined) return found;
  const [first] = names;
  if (value === undefined && first !== undefined) return first;
  throw invalidFlag(flag, `${what} is none of ${names.join(", ").toUpperCase()}.`);
}

function ruleOf(value: unknown, index: number): SourceRule {
  const at = `rules[${index}]`;
  const rule = object(value, at);
  const selector = object(rule["selector"], `${at}.selector`);
  const updates =
    rule["updates"] === undefined ? undefined : object(rule["updates"], `${at}.updates`);
  const constraints = list(selector["constraints"], `${at}.selector.constraints`).map((entry) => {
    const { key, value: wanted, condition } = object(entry, `${at}.selector.constraints`);
    return {
      key: text(key),
      value: text(wanted),
      condition: oneOf(condition, conditions, `${at}.selector.constraints.condition`),
    };
  });
  return {
    action: oneOf(rule["action"], actions, `${at}.action`),
    selector: {
      identifier: text(selector["identifier"]),
      match: oneOf(
        selector["matchType"] ?? selector["match_type"],
        matches,
        `${at}.selector.matchType`,
      ),
      ...(constraints.length === 0 ? {} : { constraints }),
    },
    ...(updates === undefined ? {} : { updates: updatesOf(updates, at) }),
  };
}

function updatesOf(updates: Json, at: string): NonNullable<SourceRule["updates"]> {
  const attrs =
    updates["attrs"] === undefined ? undefined : object(updates["attrs"], `${at}.updates.attrs`);
  const texts = Object.entries(attrs ?? {}).map(([key, value]) => [key, text(value)] as const);
  return {
    identifier: text(updates["identifier"]),
    ...(attrs === undefined ? {} : { attrs: Object.fromEntries(texts) }),
  };
}

/** Throws KilnError User/InvalidFlag. */
export function parseSourcePolicy(json: string): SourcePolicy {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw invalidFlag(flag, "the file is not JSON.", cause);
  }
  return { rules: list(object(value, "the policy")["rules"], "rules").map(ruleOf) };
}
