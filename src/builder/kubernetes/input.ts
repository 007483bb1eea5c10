// What rendering a Builder's pods and the objects beside them needs to know, and nothing else.

import type { Buildkitd, BuilderSpec } from "../../api/v1alpha1/index.ts";
import type { OwnerReference } from "../../kube/object.ts";
import type { BuilderRef } from "../instance.ts";
import { objectLabels } from "../names.ts";

/** The driver block `kubernetes` with defaults. */
export type KubernetesDriver = NonNullable<BuilderSpec["kubernetes"]>;

/** What a controller runs when a Builder names no image, and what it runs beside every daemon. */
export interface BuildkitImages {
  readonly privileged: string;
  readonly rootless: string;
  /** Kiln's own. */
  readonly agent: string;
}

/** Everything that decides what a Builder's objects look like. */
export interface RenderInput {
  readonly ref: BuilderRef;
  /** Entry of spec.nodes; undefined: spec.kubernetes. */
  readonly node?: string | undefined;
  /** Namespace of the pods. */
  readonly namespace: string;
  /** Kiln's own namespace: only its pods may dial. */
  readonly kilnNamespace: string;
  readonly owner: OwnerReference;
  readonly driver: KubernetesDriver;
  /** Instances that there are to be now. Default: what the driver begins with. */
  readonly replicas?: number | undefined;
  /** The files of its registries are mounted; what else it says is in `config`. */
  readonly buildkitd?: Buildkitd | undefined;
  /** buildkitd.toml, whole. */
  readonly config: string | undefined;
  readonly images: BuildkitImages;
  /** Changes with what the Secrets and ConfigMaps that the pods use hold; undefined without any. */
  readonly contentFingerprint?: string | undefined;
}

/** Labels of every object of the Builder: the person's own, and Kiln's over them. */
export function labelsOf({ driver, ref, node }: RenderInput): Record<string, string> {
  return { ...driver.labels, ...objectLabels(ref, node) };
}
