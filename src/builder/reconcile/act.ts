// Makes the writes that `decide` asked for. Before anything is deleted, the API server itself is asked
// whether that still is right: a cache may show the past.

import type { Logger } from "pino";
import type { KubeClient } from "../../kube/client.ts";
import { isApiError } from "../../kube/errors.ts";
import { isControlledBy, keyOf, type KubeObject } from "../../kube/object.ts";
import {
  replicaSets,
  networkPolicies,
  podDisruptionBudgets,
  services,
  statefulSets,
  type ResourceType,
} from "../../kube/types.ts";
import { builderTypeOf, type StoredBuilder } from "../caches.ts";
import { hashOf, type Decision, type Written } from "./decide.ts";
import { oneLine, type Problem } from "../health/problem.ts";

/** What the writes need. */
export interface ActDeps {
  readonly client: KubeClient;
  readonly log: Logger;
  /** Told what was written, by the uid of the live object. */
  readonly written: Map<string, Written>;
  /** The cache of a kind, to know whether an object is already known as ours. */
  readonly known: (object: KubeObject) => boolean;
}

const types: Readonly<Record<string, ResourceType>> = {
  ReplicaSet: replicaSets,
  StatefulSet: statefulSets,
  Service: services,
  NetworkPolicy: networkPolicies,
  PodDisruptionBudget: podDisruptionBudgets,
};

/**
 * Does it. Resolves to the reason when the API server refuses an object for what it is; rejects when it
 * could not be asked.
 */
export async function act(
  owner: StoredBuilder,
  decision: Decision,
  deps: ActDeps,
  signal: AbortSignal,
): Promise<Problem | undefined> {
  for (const object of decision.remove) await remove(owner, object, deps, signal);
  for (const object of decision.apply) {
    const problem = await write(owner, object, deps, signal);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

async function remove(
  owner: StoredBuilder,
  object: KubeObject,
  deps: ActDeps,
  signal: AbortSignal,
): Promise<void> {
  const type = typeOf(object);
  const [now, builder] = await Promise.all([
    deps.client.get(type, object.metadata, signal),
    deps.client.get(builderTypeOf(owner), owner.metadata, signal),
  ]);
  const isUnchanged =
    builder?.metadata.uid === owner.metadata.uid &&
    builder?.metadata.generation === owner.metadata.generation;
  if (now === undefined || now.metadata.uid !== object.metadata.uid) return;
  // Decided on an old spec: the newer one is on its way through the watch and will ring again.
  if (!isUnchanged || !isControlledBy(now, owner)) return;
  const { namespace, name, uid, resourceVersion } = now.metadata;
  // A budget that waits for the garbage collector would go on keeping evictions away.
  const propagation = object.kind === "PodDisruptionBudget" ? "Background" : "Foreground";
  await deps.client.delete(type, { namespace, name, uid, resourceVersion }, signal, propagation);
  deps.log.info({ kind: object.kind, object: keyOf(object.metadata) }, "removed an object");
}

async function write(
  owner: StoredBuilder,
  object: KubeObject,
  deps: ActDeps,
  signal: AbortSignal,
): Promise<Problem | undefined> {
  const type = typeOf(object);
  try {
    if (!deps.known(object)) {
      const there = await deps.client.get(type, object.metadata, signal);
      if (there !== undefined && !isControlledBy(there, owner)) return nameTaken(object);
    }
    const stored = await deps.client.apply(type, object, {}, signal);
    const { uid, generation } = stored.metadata;
    if (uid !== undefined) deps.written.set(uid, { hash: hashOf(object), generation });
    deps.log.info({ kind: object.kind, object: keyOf(object.metadata) }, "applied an object");
    return undefined;
  } catch (error) {
    return refusal(object, error);
  }
}

/** Why an object as such is not taken. Throws what may pass by itself. */
function refusal(object: KubeObject, error: unknown): Problem {
  const what = `${object.kind} ${keyOf(object.metadata)}`;
  // The API server answers with 500 when a member is not of the object's kind, or not of its type.
  const isUntyped = isApiError(error) && /failed to create typed patch object/.test(error.message);
  if (isApiError(error, "Invalid") || isUntyped) {
    return {
      reason: "CreateFailed",
      message: `The API server takes no ${what}: ${oneLine(error.message)}`,
    };
  }
  // A namespace on its way out takes nothing new, and its Builder goes with it.
  if (isApiError(error, "Forbidden") && !/being terminated/.test(error.message)) {
    return {
      reason: "AdmissionDenied",
      message: `The API server refuses ${what}: ${oneLine(error.message)}`,
    };
  }
  throw error;
}

function nameTaken(object: KubeObject): Problem {
  const message = `${object.kind} ${keyOf(object.metadata)} exists and is not Kiln's: delete it, or give the Builder another name.`;
  return { reason: "NameTaken", message };
}

function typeOf(object: KubeObject): ResourceType {
  const type = types[object.kind];
  if (type === undefined) throw new TypeError(`Kiln makes no ${object.kind} for a Builder`);
  return type;
}
