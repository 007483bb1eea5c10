// Which kinds of pods does a Builder have? Those of spec.kubernetes, or one for each node with kubernetes. Pure.

import type { BuilderSpec } from "../../api/v1alpha1/index.ts";
import type { KubeObject } from "../../kube/object.ts";
import { nodeLabel } from "../names.ts";
import type { KubernetesDriver } from "./input.ts";

/** Pods of one kind: one workload, with what is around it. */
export interface PodGroup {
  /** Entry of spec.nodes; undefined: spec.kubernetes. */
  readonly node: string | undefined;
  readonly driver: KubernetesDriver;
  /** Those that they are used for; undefined: what BuildKit says. */
  readonly platforms: readonly string[] | undefined;
}

/** All of a Builder's, in the order of its spec. */
export function podGroups({ kubernetes, nodes }: Pick<BuilderSpec, "kubernetes" | "nodes">) {
  const single: PodGroup[] =
    kubernetes === undefined
      ? []
      : [{ node: undefined, driver: kubernetes, platforms: named([], kubernetes) }];
  const ofNodes = nodes.flatMap(({ name, kubernetes: driver, platforms }): PodGroup[] =>
    driver === undefined ? [] : [{ node: name, driver, platforms: named(platforms, driver) }],
  );
  return [...single, ...ofNodes];
}

function named(ofNode: readonly string[], driver: KubernetesDriver) {
  return [ofNode, driver.platforms].find(({ length }) => length > 0);
}

/** The node that Kiln made an object for. */
export function nodeOf({ metadata }: Pick<KubeObject, "metadata">): string | undefined {
  return metadata.labels?.[nodeLabel];
}

/** The group that a pod, or an object beside it, belongs to; undefined when the spec does not have it any more. */
export function groupOf(
  object: Pick<KubeObject, "metadata"> | undefined,
  spec: Pick<BuilderSpec, "kubernetes" | "nodes"> | undefined,
): PodGroup | undefined {
  return object === undefined || spec === undefined ? undefined : groupNamed(nodeOf(object), spec);
}

/** The group of an entry of spec.nodes; `undefined` names that of spec.kubernetes. */
export function groupNamed(
  node: string | undefined,
  spec: Pick<BuilderSpec, "kubernetes" | "nodes">,
): PodGroup | undefined {
  return podGroups(spec).find((group) => group.node === node);
}

/** Where the driver block of pods stands, for messages. */
export function driverField(node: string | undefined): string {
  return node === undefined ? "spec.kubernetes" : `spec.nodes[${node}].kubernetes`;
}
