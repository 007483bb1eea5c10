// What is there? Gathers everything that one decision about a Builder is made of: from caches, the last
// answers of BuildKit, and (only for pods that are stuck) Events read from the API server.

import { InvalidResource } from "../../api/parse.ts";
import type { BuilderSpec } from "../../api/v1alpha1/index.ts";
import type { KubeClient } from "../../kube/client.ts";
import { isControlledBy, controlledBy, type OwnerReference } from "../../kube/object.ts";
import {
  coreEvents,
  type NetworkPolicy,
  type Pod,
  type PodDisruptionBudget,
  type Service,
} from "../../kube/types.ts";
import {
  byBuilder,
  parseStored,
  refOf,
  storedBuilder,
  type BuilderCaches,
  type StoredBuilder,
} from "../caches.ts";
import { externalFacts, memberInstance, podInstance, type InstanceFacts } from "../health/facts.ts";
import type { ContainerKeeper } from "../docker/keeper.ts";
import { externals } from "./externals.ts";
import { builderKey, type BuilderRef } from "../instance.ts";
import { groupOf, podGroups } from "../kubernetes/groups.ts";
import { containerStatuses } from "../kubernetes/containers.ts";
import { workloadProblem, type Warning } from "../kubernetes/reasons.ts";
import { stateVolume } from "../kubernetes/agent-container.ts";
import type { Workload } from "../kubernetes/workload.ts";
import { workloadNamespace } from "../names.ts";
import type { Prober } from "../health/probe.ts";
import { ownedOf } from "./views.ts";
import type { Problem } from "../health/problem.ts";

/** One snapshot. */
export interface BuilderWorld {
  readonly ref: BuilderRef;
  readonly object: StoredBuilder;
  /** Of a view of the pods of one kind: their entry of spec.nodes. */
  readonly node?: string | undefined;
  /** Undefined when the stored spec is not one that this version of Kiln understands. */
  readonly spec: BuilderSpec | undefined;
  /** Namespace of its pods. */
  readonly namespace: string;
  /** Set with `spec` undefined, or when the workload can't make pods. */
  readonly problem: Problem | undefined;
  readonly owned: Owned;
  readonly instances: readonly InstanceFacts[];
}

/** What Kiln made for the Builder and still is there, whatever the driver is now. */
export interface Owned {
  readonly workloads: readonly Workload[];
  readonly services: readonly Service[];
  readonly networkPolicies: readonly NetworkPolicy[];
  readonly disruptionBudgets: readonly PodDisruptionBudget[];
  readonly pods: readonly Pod[];
}

/** What `gather` reads from. */
export interface WorldSources {
  readonly caches: BuilderCaches;
  readonly client: KubeClient;
  readonly prober: Prober;
  readonly keeper: Pick<ContainerKeeper, "result">;
  readonly kilnNamespace: string;
  readonly now: () => Date;
}

/** Events are asked for once a pod has been stuck for this long without a reason in its status. */
const patienceMs = 2_000;
/** Stuck objects asked about in one reconcile: the first ones speak for all. */
const maxQuestions = 3;

/** The world of a Builder; undefined when it is gone. */
export async function gather(
  ref: BuilderRef,
  from: WorldSources,
  signal: AbortSignal,
): Promise<BuilderWorld | undefined> {
  const object = storedBuilder(from.caches, ref);
  if (object === undefined) return undefined;
  const owned = ownedBy(object, from.caches);
  const parsed = read(object);
  const base = { ref, object, namespace: workloadNamespace(ref, from.kilnNamespace), owned };
  if ("problem" in parsed)
    return { ...base, spec: undefined, problem: parsed.problem, instances: [] };
  const { spec } = parsed;
  const key = builderKey(ref);
  const answer = (id: string) => from.prober.result(key, id);
  const outside = externals(ref, spec).map((one) =>
    externalFacts(one, answer(one.id), from.keeper.result(key, one.id)),
  );
  const parts = await Promise.all(
    podGroups(spec).map(async ({ node }) => {
      const part = ownedOf(owned, (of) => of === node);
      return { part, warnings: await warningsOf(part, spec, from, signal) };
    }),
  );
  const warnings = parts.flatMap((one) => one.warnings);
  const pods = owned.pods.map((pod) =>
    memberInstance(spec, pod, answer(pod.metadata.name), warnings),
  );
  const [problem] = parts.flatMap((one) => problemOf(one.part, one.warnings) ?? []);
  return { ...base, spec, problem, instances: [...pods, ...outside] };
}

/** Why a workload lacks pods. */
function problemOf(owned: Owned, warnings: readonly Warning[]): Problem | undefined {
  const [workload] = owned.workloads;
  const lacksPods = workload !== undefined && livePods(owned).length < replicasOf(workload);
  return lacksPods ? workloadProblem(workload, warnings) : undefined;
}

/** Objects that Kiln made for this very Builder (by uid); pods by their labels. */
export function ownedBy(object: StoredBuilder, caches: BuilderCaches): Owned {
  const key = builderKey(refOf(object));
  const mine = <T extends StoredBuilder>(list: readonly T[]): T[] =>
    list.filter((one) => isControlledBy(one, object));
  return {
    workloads: [
      ...mine(caches.replicaSets.byIndex(byBuilder, key)),
      ...mine(caches.statefulSets.byIndex(byBuilder, key)),
    ],
    services: mine(caches.services.byIndex(byBuilder, key)),
    networkPolicies: mine(caches.networkPolicies.byIndex(byBuilder, key)),
    disruptionBudgets: mine(caches.disruptionBudgets.byIndex(byBuilder, key)),
    pods: caches.pods
      .byIndex(byBuilder, key)
      .filter((pod) => pod.status?.phase !== "Succeeded")
      .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)),
  };
}

/** References to all Builders whose pods live in `namespace` and are made by Kiln: owners of its TLS Secret. */
export function tlsOwners(
  namespace: string,
  caches: BuilderCaches,
  kilnNamespace: string,
): OwnerReference[] {
  const here = caches.builders.list(namespace);
  const everywhere = namespace === kilnNamespace ? caches.clusterBuilders.list() : [];
  return [...here, ...everywhere]
    .filter((object) => object.metadata.deletionTimestamp === undefined && isKubernetes(object))
    .map((object) => controlledBy(object))
    .sort((a, b) => (a.uid < b.uid ? -1 : 1));
}

function isKubernetes(object: StoredBuilder): boolean {
  const { spec } = object;
  const has = (block: unknown): boolean =>
    typeof block === "object" && block !== null && "kubernetes" in block;
  const nodes = (spec as { readonly nodes?: unknown } | null | undefined)?.nodes;
  return has(spec) || (Array.isArray(nodes) && nodes.some(has));
}

function replicasOf({ spec }: Workload): number {
  return spec?.replicas ?? 0;
}

function livePods(owned: Owned): Pod[] {
  return owned.pods.filter((pod) => pod.metadata.deletionTimestamp === undefined);
}

function read(object: StoredBuilder): { spec: BuilderSpec } | { problem: Problem } {
  try {
    return { spec: parseStored(object).spec };
  } catch (error) {
    if (!(error instanceof InvalidResource)) throw error;
    return {
      problem: { reason: "InvalidSpec", message: `Correct the Builder: ${error.message}.` },
    };
  }
}

/** Warning Events about what is stuck, newest first. */
async function warningsOf(
  owned: Owned,
  spec: BuilderSpec,
  from: WorldSources,
  signal: AbortSignal,
): Promise<Warning[]> {
  const questions: string[] = [];
  const [workload] = owned.workloads;
  // A ReplicaSet says why in a condition, a StatefulSet only in Events.
  if (workload?.kind === "StatefulSet" && livePods(owned).length < replicasOf(workload)) {
    questions.push(`involvedObject.uid=${workload.metadata.uid ?? ""}`);
  }
  for (const pod of livePods(owned)) {
    if (!isStuck(pod, from.now())) continue;
    questions.push(`involvedObject.uid=${pod.metadata.uid ?? ""}`);
    if (groupOf(pod, spec)?.driver.storage !== undefined) {
      questions.push(
        `involvedObject.kind=PersistentVolumeClaim,involvedObject.name=${stateVolume}-${pod.metadata.name}`,
      );
    }
  }
  const namespace = workload?.metadata.namespace;
  const asked = questions.slice(0, maxQuestions).map(async (question) => {
    const query = { namespace, fieldSelector: `${question},type=Warning` };
    return await from.client.list(coreEvents, query, signal);
  });
  return (await Promise.all(asked))
    .flat()
    .sort((a, b) => time(b) - time(a))
    .map((event) => ({
      about: `${event.involvedObject.kind ?? ""}/${event.involvedObject.name ?? ""}`,
      reason: event.reason ?? "",
      message: event.message ?? "",
      count: event.count ?? 1,
    }));
}

function isStuck(pod: Pod, now: Date): boolean {
  const started = Date.parse(pod.metadata.creationTimestamp ?? "");
  return (
    podInstance(pod, undefined).problem?.reason !== undefined &&
    !containerStatuses(pod).some(({ state }) => state?.running !== undefined) &&
    now.getTime() - started >= patienceMs
  );
}

function time(event: {
  readonly lastTimestamp?: string;
  readonly eventTime?: string;
  readonly metadata: { readonly creationTimestamp?: string | undefined };
}): number {
  return (
    Date.parse(event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp ?? "") ||
    0
  );
}
