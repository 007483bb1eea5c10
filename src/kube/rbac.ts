// The rights that this folder needs, as data; the chart's RBAC is generated from all slices' lists.

/** Structurally the `PolicyRule` of api/rbac.ts: kube may not import api. */
interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

/** Name of the Lease that Kiln's controllers compete for, in Kiln's own namespace. */
export const leaseName = "kiln-controller";

/** In Kiln's own namespace. Creating cannot be limited to a name: it is not known to RBAC yet. */
export const ownNamespaceRules: readonly Rule[] = [
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["create"] },
  {
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    resourceNames: [leaseName],
    verbs: ["get", "update"],
  },
];

/** In every namespace: Events about Builders and BuildRuns; server-side apply is a patch that may create. */
export const clusterRules: readonly Rule[] = [
  { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch"] },
];
