// Source policies on the wire. Pure.
import type { SourcePolicy, SourceRule } from "../client-types.ts";

// Numbers of the enums in sourcepolicy/pb/policy.proto.
const actions = { allow: 0, deny: 1, convert: 2 } as const;
const matches = { wildcard: 0, exact: 1, regex: 2 } as const;
const conditions = { equal: 0, notEqual: 1, matches: 2 } as const;

/** The policy as the Solve call carries it. */
export function wireSourcePolicy(policy: SourcePolicy) {
  return { version: 1n, rules: policy.rules.map(wireRule) };
}

function wireRule({ action, selector, updates }: SourceRule) {
  return {
    action: actions[action],
    selector: {
      identifier: selector.identifier,
      matchType: matches[selector.match],
      constraints: (selector.constraints ?? []).map(({ key, value, condition }) => ({
        key,
        value,
        condition: conditions[condition],
      })),
    },
    ...(updates === undefined
      ? {}
      : { updates: { identifier: updates.identifier, attrs: { ...updates.attrs } } }),
  };
}
