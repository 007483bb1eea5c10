// The rights that driving Bakes needs, as data; `scripts/` makes the chart's roles of it.

import type { PolicyRule } from "../api/rbac.ts";
import { group } from "../api/kinds.ts";

/** What the Bake slice asks of the API server. Runs are watched by the BuildRun slice, which also reads Secrets. */
export const rules: readonly PolicyRule[] = [
  {
    scope: "Cluster",
    apiGroups: [group],
    resources: ["bakes"],
    verbs: ["list", "watch", "delete"],
    why: "Bakes are watched, and deleted when their time to live is over.",
  },
  {
    scope: "Cluster",
    apiGroups: [group],
    resources: ["bakes/status"],
    verbs: ["patch"],
    why: "Everything Kiln knows of a Bake is written into its status.",
  },
  {
    scope: "Cluster",
    apiGroups: [group],
    resources: ["buildruns"],
    verbs: ["create", "patch"],
    why: "Each target of a Bake is built by a BuildRun, which ends when the Bake is cancelled.",
  },
  {
    scope: "Cluster",
    apiGroups: [""],
    resources: ["serviceaccounts"],
    verbs: ["get", "impersonate"],
    why: "A Bake file in a ConfigMap is read with the rights of the service account that the Bake names.",
  },
];
