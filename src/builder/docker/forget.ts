// Removes the containers that a Builder had and no longer wants, or all of them when it goes.

import type { Logger } from "pino";
import type { KubeClient } from "../../kube/client.ts";
import type { StoredBuilder } from "../caches.ts";
import { oneLine, type Problem } from "../health/problem.ts";
import { engineOf } from "../remote/hosts.ts";
import type { SecretReader } from "../remote/secrets.ts";
import { removeOwned } from "./keep.ts";
import { engineProblem } from "./keeper.ts";
import {
  type ContainerRecord,
  containersAnnotation,
  containersFinalizer,
  isSameContainer,
  nextRecords,
  recordsOf,
  writeRecords,
} from "./records.ts";

/** What it works with. */
export interface ForgetDeps {
  readonly client: KubeClient;
  readonly reader: SecretReader;
  readonly log: Logger;
}

/** Longer than this no Builder waits for an engine in one reconcile, in milliseconds. */
const removeMs = 10_000;

/**
 * Writes down what is wanted, before it is made, and removes what is not. Resolves to why something could not be removed; it is
 * then still written down. Rejects with `ApiError`.
 */
export async function keepRecords(
  object: StoredBuilder,
  wanted: readonly ContainerRecord[],
  deps: ForgetDeps,
  signal: AbortSignal,
): Promise<Problem | undefined> {
  const before = recordsOf(object);
  const { records, surplus } = nextRecords(before, wanted);
  if (records.length === 0 && !isMarked(object)) return undefined;
  let stored = object;
  const isWritten = JSON.stringify(before) === JSON.stringify(records) && isMarked(object);
  if (!isWritten) stored = await writeRecords(deps.client, object, records, signal);
  let problem: Problem | undefined;
  const gone: ContainerRecord[] = [];
  for (const one of surplus) {
    const failed = await remove(stored, one, deps, signal);
    if (failed === undefined) gone.push(one);
    problem ??= failed;
  }
  const left = records.filter((one) => !gone.some((other) => isSameContainer(one, other)));
  const isOver = left.length === 0 && isMarked(stored);
  if (gone.length > 0 || isOver) await writeRecords(deps.client, stored, left, signal);
  return problem;
}

/** As `keepRecords`, of a Builder that is being deleted: all go. What cannot be reached any more, for its Secret is gone, is left. */
export async function forgetAll(
  object: StoredBuilder,
  deps: ForgetDeps,
  signal: AbortSignal,
): Promise<Problem | undefined> {
  return await keepRecords(object, [], deps, signal);
}

/** Whether anything is written down on it. */
export function isMarked(object: StoredBuilder): boolean {
  return (
    object.metadata.finalizers?.includes(containersFinalizer) === true ||
    object.metadata.annotations?.[containersAnnotation] !== undefined
  );
}

async function remove(
  object: StoredBuilder,
  { name, connection, keepVolume }: ContainerRecord,
  { reader, log }: ForgetDeps,
  signal: AbortSignal,
): Promise<Problem | undefined> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(removeMs)]);
  try {
    const engine = await engineOf(connection, { field: "spec.dockerContainer", reader }, limit);
    const uid = object.metadata.uid ?? "";
    await removeOwned(engine, { name, uid, keepVolume }, limit);
    return undefined;
  } catch (error) {
    if (signal.aborted) throw error;
    const { reason, message } = engineProblem(error, connection.endpoint);
    if (object.metadata.deletionTimestamp !== undefined && isLost(reason)) {
      log.warn({ container: name, engine: connection.endpoint, reason }, "a container is left");
      return undefined;
    }
    const what = `Container "${name}" cannot be removed from its Docker engine: ${message} If it is gone for good, take the finalizer ${containersFinalizer} off the Builder.`;
    return { reason, message: oneLine(what, 1000) };
  }
}

/** A namespace that goes takes its Secrets and rights first: waiting for them would keep it for ever. */
function isLost(reason: string): boolean {
  return reason === "SecretNotFound" || reason === "SecretForbidden";
}
