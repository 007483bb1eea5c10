// Which containers does a Builder have on engines, whatever its spec says now? Written down on the Builder itself, with a
// finalizer, before the first is made: so none is forgotten when the spec changes, the Builder goes or the controller dies.

import type { KubeClient } from "../../kube/client.ts";
import { changedFinalizers } from "../../kube/object.ts";
import { builderTypeOf, type StoredBuilder } from "../caches.ts";
import type { EngineConnection } from "../../api/v1alpha1/index.ts";

/** Keeps a Builder until its containers are removed. */
export const containersFinalizer = "kiln.build/containers";
/** The records, as JSON. Names of Secrets only. */
export const containersAnnotation = "kiln.build/containers";

/** A container that may be there. */
export interface ContainerRecord {
  readonly name: string;
  readonly connection: EngineConnection;
  readonly keepVolume: boolean;
}

/** What is written down; nothing for what cannot be read. */
export function recordsOf(object: StoredBuilder): readonly ContainerRecord[] {
  const text = object.metadata.annotations?.[containersAnnotation];
  if (text === undefined) return [];
  try {
    return JSON.parse(text) as ContainerRecord[];
  } catch {
    return [];
  }
}

/** Whether two records are about the same container. */
export function isSameContainer(a: ContainerRecord, b: ContainerRecord): boolean {
  return a.name === b.name && a.connection.endpoint === b.connection.endpoint;
}

/** What has to be written down: what is wanted now, and what is still there of before. */
export function nextRecords(
  before: readonly ContainerRecord[],
  wanted: readonly ContainerRecord[],
): { readonly records: readonly ContainerRecord[]; readonly surplus: readonly ContainerRecord[] } {
  const surplus = before.filter((one) => !wanted.some((other) => isSameContainer(one, other)));
  return { records: [...wanted, ...surplus], surplus };
}

/** Writes the records down with the finalizer, or both away when there are none. Rejects with `ApiError`. */
export async function writeRecords(
  client: KubeClient,
  object: StoredBuilder,
  records: readonly ContainerRecord[],
  signal: AbortSignal,
): Promise<StoredBuilder> {
  const { name, namespace, uid } = object.metadata;
  const type = builderTypeOf(object);
  const own =
    records.length === 0
      ? {}
      : {
          finalizers: [containersFinalizer],
          annotations: { [containersAnnotation]: JSON.stringify(records) },
        };
  const metadata = { name, namespace, uid, ...own };
  const stored = await client.apply(
    type,
    { metadata },
    { fieldManager: "kiln-containers" },
    signal,
  );
  // Who wrote the whole list meanwhile owns what was in it: an apply that leaves it out does not take it away.
  if (records.length > 0) return stored;
  const others = changedFinalizers(stored, containersFinalizer, false);
  if (others === undefined) return stored;
  return (await client.setFinalizers(type, stored, others, signal)) ?? stored;
}
