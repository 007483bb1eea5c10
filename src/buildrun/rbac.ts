// The rights that driving runs needs, as data; `scripts/` makes the chart's roles of it.

import type { PolicyRule } from "../api/rbac.ts";
import { group } from "../api/kinds.ts";

/** What the BuildRun slice asks of the API server. No Secrets: those are read as the run's own service account. */
export const rules: readonly PolicyRule[] = [
  {
    scope: "Cluster",
    apiGroups: [group],
    resources: ["buildruns"],
    verbs: ["list", "watch", "create", "patch", "delete"],
    why: "Runs are watched, hold a finalizer while a build is under way, and are deleted when their time to live is over. A run of several platforms that no instance builds for alone becomes one for each.",
  },
  {
    scope: "Cluster",
    apiGroups: [group],
    resources: ["buildruns/status"],
    verbs: ["patch"],
    why: "Everything Kiln knows of a run is written into its status.",
  },
  {
    scope: "Cluster",
    apiGroups: [""],
    resources: ["serviceaccounts"],
    verbs: ["get", "impersonate"],
    why: "A run's Secrets and ConfigMaps are read with the rights of the run's service account, and its imagePullSecrets are logins for registries.",
  },
];
