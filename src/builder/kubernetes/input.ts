// What rendering a Builder's pods and the objects beside them needs to know, and nothing else.

import type { BuilderSpec } from "../../api/v1alpha1/index.ts";
import type { OwnerReference } from "../../kube/object.ts";
import type { BuilderRef } from "../instance.ts";

/** `spec.kubernetes` with defaults. */
export type KubernetesDriver = NonNullable<BuilderSpec["kubernetes"]>;

/** What a controller runs when a Builder names no image. */
export interface BuildkitImages {
  readonly privileged: string;
  readonly rootless: string;
}

/** Everything that decides what a Builder's objects look like. */
export interface RenderInput {
  readonly ref: BuilderRef;
  /** Namespace of the pods. */
  readonly namespace: string;
  /** Kiln's own namespace: only its pods may dial. */
  readonly kilnNamespace: string;
  readonly owner: OwnerReference;
  readonly driver: KubernetesDriver;
  /** buildkitd.toml as the user wrote it. */
  readonly config: string | undefined;
  readonly images: BuildkitImages;
  /** Changes with the server certificate, which buildkitd reads only at start. */
  readonly tlsFingerprint: string;
}
