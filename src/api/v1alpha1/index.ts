// The kinds of kiln.build/v1alpha1, whole, as the API server returns them.

import type { apiVersion } from "../kinds.ts";
import type { BakeSpec } from "./bake/spec.ts";
import type { BakeStatus } from "./bake/status.ts";
import type { BuilderSpec } from "./builder/spec.ts";
import type { BuilderStatus } from "./builder/status.ts";
import type { BuildRunSpec } from "./buildrun/spec.ts";
import type { BuildRunStatus } from "./buildrun/status.ts";

/** The metadata that Kiln reads; the API server may send more, which is kept. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly finalizers?: string[];
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
  readonly ownerReferences?: OwnerReference[];
}

/** An entry of `metadata.ownerReferences`. */
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

interface Resource<K extends string, Spec, Status> {
  readonly apiVersion: typeof apiVersion;
  readonly kind: K;
  readonly metadata: ObjectMeta;
  readonly spec: Spec;
  readonly status?: Status;
}

/** A Builder, with defaults filled. */
export type Builder = Resource<"Builder", BuilderSpec, BuilderStatus>;
/** A ClusterBuilder, with defaults filled; `metadata.namespace` is never set. */
export type ClusterBuilder = Resource<"ClusterBuilder", BuilderSpec, BuilderStatus>;
/** A BuildRun, with defaults filled. */
export type BuildRun = Resource<"BuildRun", BuildRunSpec, BuildRunStatus>;
/** A Bake, with defaults filled. */
export type Bake = Resource<"Bake", BakeSpec, BakeStatus>;

export type { Condition, SecretRef } from "./shared.ts";
export { statusLimits } from "./shared.ts";
export type { BakeSpecInput } from "./bake/spec.ts";
export { BakeSpec } from "./bake/spec.ts";
export type { BakeTargetStatus } from "./bake/status.ts";
export { BakeStatus } from "./bake/status.ts";
export type { Allow } from "./builder/allow.ts";
export type { Buildkitd, RegistryConfig } from "./builder/buildkitd.ts";
export type { BuilderSpecInput } from "./builder/spec.ts";
export type { EngineConnection, Ssh, Tls } from "./builder/connections.ts";
export type { RemoteDriver } from "./builder/remote.ts";
export { BuilderSpec } from "./builder/spec.ts";
export type { DockerContainerDriver, DockerDriver } from "./builder/docker.ts";
export type { KubernetesDriver } from "./builder/kubernetes.ts";
export type { BuilderInstanceStatus, GcRule } from "./builder/status.ts";
export { BuilderStatus } from "./builder/status.ts";
export type { Attestations } from "./buildrun/attestations.ts";
export type { CacheExport, CacheImport } from "./buildrun/caches.ts";
export type { BuildContext, GitContext, HttpContext, NamedContext } from "./buildrun/context.ts";
export type { ArchiveOutput, FilesOutput, ImageOutput, Output } from "./buildrun/outputs.ts";
export type { DockerPlace, Place } from "./buildrun/places.ts";
export type { SourcePolicy } from "./buildrun/source-policy.ts";
export type { BuildRunSpecInput, Dockerfile, SecretMount } from "./buildrun/spec.ts";
export { BuildRunSpec } from "./buildrun/spec.ts";
export type {
  Attempt,
  CacheReport,
  Call,
  Failure,
  OutputStatus,
  Progress,
  Source,
  Timings,
  Warnings,
} from "./buildrun/status.ts";
export { BuildRunStatus } from "./buildrun/status.ts";
