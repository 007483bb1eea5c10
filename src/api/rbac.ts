// What a slice may ask of the API server, as data. `scripts/rbac.ts` merges the lists of all slices
// into the roles of the Helm chart; nothing else grants the controller anything.

/** One rule, shaped like `rbac.authorization.k8s.io/v1` PolicyRule, with its reason. */
export interface PolicyRule {
  /** `Cluster`: in every namespace (ClusterRole). `Kiln`: only in Kiln's own namespace (Role). */
  readonly scope: "Cluster" | "Kiln";
  /** "" is the core group. No wildcards, in any list. */
  readonly apiGroups: readonly string[];
  /** Plural names, `pods/status` for subresources. */
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  /** Limits the rule to these names. RBAC ignores it for `create` of objects without a name, `list` and `watch`. */
  readonly resourceNames?: readonly string[];
  /** Why the controller needs it: one sentence, printed beside the rule and in docs/security.md. */
  readonly why: string;
}

/** What is wrong with a rule; nothing, for one that the chart may grant. */
export function faults(rule: PolicyRule): string[] {
  const { apiGroups, resources, verbs, resourceNames, scope } = rule;
  const words = [...apiGroups, ...resources, ...verbs, ...(resourceNames ?? [])];
  const asks = (resource: string, ...any: string[]) =>
    resources.includes(resource) && (any.length === 0 || any.some((verb) => verbs.includes(verb)));
  const own =
    (resourceNames ?? []).length > 0 && resourceNames?.every((n) => n.startsWith("kiln-"));
  const list: readonly (readonly [boolean, string])[] = [
    [words.some((word) => word.includes("*")), "a wildcard grants what nobody asked for"],
    [
      scope === "Cluster" && asks("secrets") && !own,
      "Secrets of tenants are read as the run's service account, never by the controller itself",
    ],
    [
      asks("secrets", "list", "watch"),
      "a name does not limit list and watch: they would show every Secret",
    ],
    [
      ["pods/exec", "pods/attach", "pods/portforward", "nodes/proxy"].some((name) => asks(name)),
      "a way into pods is a way around everything else",
    ],
    [
      ["escalate", "bind"].some((verb) => verbs.includes(verb)),
      "a right to give rights makes least privilege a word",
    ],
    [
      verbs.includes("impersonate") && resources.some((name) => name !== "serviceaccounts"),
      "only service accounts may be impersonated, never users or groups",
    ],
  ];
  return list.filter(([wrong]) => wrong).map(([, fault]) => fault);
}
