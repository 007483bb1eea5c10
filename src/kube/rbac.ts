// The rights that this folder needs, as data; the chart's RBAC is generated from all slices' lists.

/** Structurally the `PolicyRule` of api/rbac.ts: kube may not import api. */
interface Rule {
  readonly scope: "Cluster" | "Kiln";
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly why: string;
}

/** Name of the Lease that Kiln's controllers compete for, in Kiln's own namespace. */
export const leaseName = "kiln-controller";

/** The Lease, and Events about Builders and BuildRuns. */
export const rules: readonly Rule[] = [
  {
    scope: "Kiln",
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    verbs: ["create"],
    why: "One controller leads; creating can not be limited to a name, which RBAC does not know by then.",
  },
  {
    scope: "Kiln",
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    resourceNames: [leaseName],
    verbs: ["get", "update"],
    why: "The leader renews and releases the Lease; the others watch for its end.",
  },
  {
    scope: "Cluster",
    apiGroups: ["events.k8s.io"],
    resources: ["events"],
    verbs: ["create", "patch"],
    why: "Events about Builders and BuildRuns; server-side apply is a patch that may create.",
  },
];
