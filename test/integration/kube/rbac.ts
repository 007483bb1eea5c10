// The kinds of RBAC that tests read and make and the controller does not.
import type { V1Role, V1RoleBinding } from "@kubernetes/client-node";
import { resourceType } from "../../../src/kube/types.ts";
import type { Builtin } from "../../../src/kube/types.ts";

const apiVersion = "rbac.authorization.k8s.io/v1";

export const roles = resourceType<Builtin<V1Role>>({
  apiVersion,
  kind: "Role",
  plural: "roles",
  namespaced: true,
});

export const roleBindings = resourceType<Builtin<V1RoleBinding>>({
  apiVersion,
  kind: "RoleBinding",
  plural: "rolebindings",
  namespaced: true,
});
