// Attributes that BuildKit's Dockerfile frontend has no option for, put onto a source by a policy that the daemon
// applies to every source the build names.

import type { SolveRequest } from "../../buildkit/index.ts";
import type { SourcePolicy } from "../../api/v1alpha1/index.ts";
import type { GitNeed } from "./needs.ts";

type Rule = NonNullable<SolveRequest["sourcePolicy"]>["rules"][number];

/** The content of this http(s) URL has to have this checksum, or the build fails. */
export function checksumRule(url: string, checksum: string): Rule {
  return {
    action: "convert",
    selector: { identifier: url, match: "exact" },
    updates: { identifier: url, attrs: { "http.checksum": checksum } },
  };
}

/** A rule as the run writes it. */
export function ruleOf(rule: SourcePolicy["rules"][number]): Rule {
  const { action, identifier, match, constraints, replacement } = rule;
  return {
    action,
    selector: { identifier, match, ...(constraints.length === 0 ? {} : { constraints }) },
    ...(replacement === undefined ? {} : { updates: { identifier: replacement } }),
  };
}

/** The git server of the context has to show one of these host keys; otherwise BuildKit takes what `ssh-keyscan` finds. */
export function knownHostsRule({ remote }: GitNeed, knownHosts: string): Rule {
  return {
    action: "convert",
    selector: {
      identifier: "git://*",
      match: "wildcard",
      constraints: [{ key: "git.fullurl", value: remote, condition: "equal" }],
    },
    updates: { identifier: "git://${1}", attrs: { "git.knownsshhosts": knownHosts } },
  };
}
