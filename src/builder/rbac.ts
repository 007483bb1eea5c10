// What the Builder slice may ask of the API server, as data; `scripts/rbac.ts` makes the chart's roles of it.

import type { PolicyRule } from "../api/rbac.ts";
import { authoritySecret, serverTlsSecret } from "./names.ts";

const made = ["create", "patch", "delete", "get", "list", "watch"] as const;

/** No right here reads a Secret of a user: those are read as the Builder's own service account. */
export const rules: readonly PolicyRule[] = [
  {
    scope: "Cluster",
    apiGroups: ["kiln.build"],
    resources: ["builders", "clusterbuilders"],
    verbs: ["get", "list", "watch", "patch"],
    why: "Reads what is asked for, and keeps a finalizer on a Builder while its instances have runs or it has containers on Docker engines.",
  },
  {
    scope: "Cluster",
    apiGroups: ["kiln.build"],
    resources: ["builders/status", "clusterbuilders/status"],
    verbs: ["patch"],
    why: "Says how a Builder is.",
  },
  {
    scope: "Cluster",
    apiGroups: ["kiln.build"],
    resources: ["builders/finalizers", "clusterbuilders/finalizers"],
    verbs: ["update"],
    why: "Lets owned objects block a foreground deletion of their Builder (OwnerReferencesPermissionEnforcement).",
  },
  {
    scope: "Cluster",
    apiGroups: ["apps"],
    resources: ["replicasets", "statefulsets"],
    verbs: made,
    why: "Runs buildkitd in the Builder's namespace.",
  },
  {
    scope: "Cluster",
    apiGroups: [""],
    resources: ["services"],
    verbs: made,
    why: "Names the pods of a Builder.",
  },
  {
    scope: "Cluster",
    apiGroups: ["networking.k8s.io"],
    resources: ["networkpolicies"],
    verbs: made,
    why: "Keeps everybody but Kiln away from buildkitd.",
  },
  {
    scope: "Cluster",
    apiGroups: ["policy"],
    resources: ["poddisruptionbudgets"],
    verbs: made,
    why: "Keeps evictions away from instances while they build.",
  },
  {
    scope: "Cluster",
    apiGroups: [""],
    resources: ["pods"],
    verbs: ["get", "list", "watch", "patch", "delete"],
    why: "Finds the instances and why one does not start; marks those that drain, and deletes those that are to be replaced.",
  },
  {
    scope: "Cluster",
    apiGroups: [""],
    resources: ["events"],
    verbs: ["list"],
    why: "Quota, admission and volume errors are told only in Events.",
  },
  {
    scope: "Cluster",
    apiGroups: [""],
    resources: ["secrets"],
    resourceNames: [serverTlsSecret],
    verbs: ["get", "create", "patch"],
    why: "Keeps the server certificate of a namespace's Builders. Server-side apply names what it creates, so the name limits that too.",
  },
  {
    scope: "Cluster",
    apiGroups: [""],
    resources: ["serviceaccounts"],
    verbs: ["impersonate"],
    why: "Reads the Secrets and ConfigMaps that a Builder or BuildRun names with the rights of its own service account.",
  },
  {
    scope: "Kiln",
    apiGroups: [""],
    resources: ["secrets"],
    resourceNames: [authoritySecret],
    verbs: ["get", "create", "patch"],
    why: "Keeps Kiln's certificate authority.",
  },
];
