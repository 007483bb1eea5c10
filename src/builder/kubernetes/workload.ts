// What runs a Builder's pods? A ReplicaSet while their state may be lost with them, a StatefulSet when
// each replica keeps its cache on a volume. Neither replaces a pod by itself: Kiln rolls. Pure.

import type { ReplicaSet, StatefulSet } from "../../kube/types.ts";
import {
  selectorLabels,
  storageHashAnnotation,
  templateHashAnnotation,
  workloadName,
} from "../names.ts";
import { contentHash } from "./hash.ts";
import { labelsOf, type KubernetesDriver, type RenderInput } from "./input.ts";
import { stateVolume } from "./agent-container.ts";
import { podTemplate, type PodTemplate } from "./pod.ts";

type Claim = NonNullable<NonNullable<StatefulSet["spec"]>["volumeClaimTemplates"]>[number];

/** The one workload of a Builder. */
export type Workload = ReplicaSet | StatefulSet;

/** The workload that a Builder asks for, as it is sent with server-side apply. */
export function workload(input: RenderInput): Workload {
  const template = podTemplate(input);
  return input.driver.storage === undefined
    ? replicaSet(input, template)
    : statefulSet(input, template, input.driver.storage);
}

/** The hash of the pod template that a workload or pod carries. */
export function templateHashOf(object: {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> | undefined };
}): string | undefined {
  return object.metadata.annotations?.[templateHashAnnotation];
}

function metadata(input: RenderInput, template: PodTemplate, more: Record<string, string> = {}) {
  return {
    name: workloadName(input.ref, input.node),
    namespace: input.namespace,
    labels: labelsOf(input),
    annotations: {
      ...input.driver.annotations,
      [templateHashAnnotation]: template.metadata.annotations[templateHashAnnotation] ?? "",
      ...more,
    },
    ownerReferences: [input.owner],
  };
}

function replicaSet(input: RenderInput, template: PodTemplate): ReplicaSet {
  return {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: metadata(input, template),
    spec: {
      replicas: replicasOf(input),
      selector: { matchLabels: selectorLabels(input.ref, input.node) },
      template,
    },
  } as ReplicaSet;
}

function replicasOf({ replicas, driver }: RenderInput): number {
  return replicas ?? driver.replicas ?? driver.scaling?.min ?? 1;
}

function statefulSet(
  input: RenderInput,
  template: PodTemplate,
  storage: NonNullable<KubernetesDriver["storage"]>,
): StatefulSet {
  const claim = volumeClaim(storage);
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: metadata(input, template, { [storageHashAnnotation]: contentHash(claim) }),
    spec: {
      replicas: replicasOf(input),
      serviceName: workloadName(input.ref, input.node),
      selector: { matchLabels: selectorLabels(input.ref, input.node) },
      template,
      volumeClaimTemplates: [claim],
      podManagementPolicy: "Parallel",
      // Kiln itself deletes the pods of older templates, when their builds are done.
      updateStrategy: { type: "OnDelete" },
      persistentVolumeClaimRetentionPolicy: {
        whenDeleted: storage.whenDeleted,
        whenScaled: storage.whenScaled,
      },
      revisionHistoryLimit: 1,
    },
  } as StatefulSet;
}

function volumeClaim(storage: NonNullable<KubernetesDriver["storage"]>): Claim {
  return {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name: stateVolume },
    spec: {
      accessModes: [storage.accessMode],
      resources: { requests: { storage: storage.size } },
      ...(storage.storageClassName === undefined
        ? {}
        : { storageClassName: storage.storageClassName }),
    },
  } as Claim;
}
