// What Kiln's objects around a Builder are called, and the labels by which they are found again.

import { dnsName, labelValue, shortHash } from "../kube/names.ts";
import type { BuilderRef } from "./instance.ts";

/** Value: the Builder's name. On the workload and its pods. */
export const builderLabel = "kiln.build/builder";
/** Value: `Builder` or `ClusterBuilder`. A ClusterBuilder and a Builder may share name and namespace. */
export const builderKindLabel = "kiln.build/builder-kind";
/** Value: the entry of `spec.nodes` that pods and what is around them belong to; none: `spec.kubernetes`. */
export const nodeLabel = "kiln.build/node";
/** On what Kiln made and watches. */
export const managedByLabel = "app.kubernetes.io/managed-by";
/** Value of `managedByLabel`. */
export const manager = "kiln";
/** Hash of the pod template as Kiln rendered it. */
export const templateHashAnnotation = "kiln.build/template-hash";
/** Hash of the volume claim templates, which Kubernetes does not let anybody change in place. */
export const storageHashAnnotation = "kiln.build/storage-hash";
/** Pod annotation: buildkitd.toml itself, mounted through the downward API. */
export const configAnnotation = "kiln.build/buildkitd.toml";
/** Pod annotation: hash of what the Secrets and ConfigMaps hold that the pod uses. */
export const contentAnnotation = "kiln.build/content-hash";
/** Pod annotation: why and since when the instance takes no new run, `Roll 2026-01-31T08:00:00Z`. */
export const drainingAnnotation = "kiln.build/draining";
/** Of Kubernetes: a ReplicaSet that shrinks deletes the pods with the lowest number first. */
export const deletionCostAnnotation = "controller.kubernetes.io/pod-deletion-cost";
/** On a Builder: instances to have ready before runs come; see `prewarmed`. */
export const prewarmAnnotation = "kiln.build/prewarm";
/** On a Builder while its instances have runs, so that deleting it lets them end. */
export const runsFinalizer = "kiln.build/runs";
/** Secret with the server certificate of all Builders of a namespace. Fixed: RBAC names it. */
export const serverTlsSecret = "kiln-builder-tls";
/** Secret with Kiln's certificate authority, in Kiln's own namespace. Fixed: RBAC names it. */
export const authoritySecret = "kiln-ca";
/** Port of the agent in the pod. buildkitd itself listens on a socket only. */
export const agentPort = 1235;

/** Longest name that leaves room for what StatefulSets append to it in a label (`-<10 characters>`). */
const maxWorkload = 52;

/**
 * Name of the workload and of everything beside it: `builder-<name>` or `clusterbuilder-<name>`, a
 * DNS label. A name that is too long is cut and made unique by a hash. That of a node of spec.nodes always has one: the
 * names of Builder and node together may be those of another Builder.
 */
export function workloadName(ref: BuilderRef, node?: string): string {
  const parts = [ref.kind.toLowerCase(), ref.name];
  if (node === undefined) return dnsName(parts, maxWorkload);
  return dnsName([...parts, node, shortHash(`${ref.name}/${node}`, 6)], maxWorkload);
}

/** The namespace of a Builder's pods: its own, or Kiln's for a ClusterBuilder. */
export function workloadNamespace(ref: BuilderRef, kilnNamespace: string): string {
  return ref.namespace ?? kilnNamespace;
}

/** Labels that select the pods of one Builder, or of one of its nodes, and nothing else; immutable in a workload. */
export function selectorLabels(ref: BuilderRef, node?: string): Record<string, string> {
  const labels = { [builderLabel]: labelValue(ref.name), [builderKindLabel]: ref.kind };
  return node === undefined ? labels : { ...labels, [nodeLabel]: node };
}

/** Labels of every object that Kiln makes for a Builder. */
export function objectLabels(ref: BuilderRef, node?: string): Record<string, string> {
  return {
    "app.kubernetes.io/name": "buildkitd",
    [managedByLabel]: manager,
    ...selectorLabels(ref, node),
  };
}

/** Matches what `objectLabels` marks, whichever Builder it belongs to. */
export const ownedSelector = `${managedByLabel}=${manager},${builderLabel}`;

/** The name that a Builder's server certificate is checked against; covered by `serverNamePattern`. */
export function serverName(ref: BuilderRef, namespace: string): string {
  return `${workloadName(ref)}.${namespace}.builders.kiln.build`;
}

/** Subject alternative name of the certificate that all Builders of a namespace share. */
export function serverNamePattern(namespace: string): string {
  return `*.${namespace}.builders.kiln.build`;
}
