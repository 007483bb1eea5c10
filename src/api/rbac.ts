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
