// The pods that write outputs onto PersistentVolumeClaims, one for each attempt: made before it starts, and removed when
// the run needs it no more. All with the rights of the run's own service account; docs/adr/0016-output-writers.md.

import type { HiddenAttrs } from "../../agent/agent.ts";
import { receiverName } from "../../agent/outputs/claim/sender.ts";
import type { BuildRun } from "../../api/v1alpha1/index.ts";
import {
  type ClientCertificate,
  issueClient,
  issueServer,
  newAuthority,
} from "../../builder/index.ts";
import { KilnError } from "../../errors/index.ts";
import type { KubeClient } from "../../kube/client.ts";
import { isApiError } from "../../kube/errors.ts";
import { type Pod, pods, secrets } from "../../kube/types.ts";
import { refOf } from "../reconcile/attempts.ts";
import { claimOutputs } from "./of-output.ts";
import { addressOf, hindrance, writerName, writerPod, writerSecret } from "./writer-pod.ts";

/** The pod of an attempt. */
export type Writer =
  /** It listens. */
  | { readonly kind: "ready"; readonly address: string; readonly hidden: readonly HiddenAttrs[] }
  | { readonly kind: "starting"; readonly message: string };

/** The pods of all attempts. */
export interface ClaimWriters {
  /**
   * Sees to it that the pod of an attempt is there. Undefined: the run needs none. Throws `KilnError` Policy
   * `OutputPodForbidden`, Infra `OutputPodNotReady`; `ApiError` when the API server can't be asked.
   */
  ready(run: BuildRun, ref: string, signal: AbortSignal): Promise<Writer | undefined>;
  /** Removes the pods of the run's last attempt and of the next one. Throws `ApiError`, but not for a right that is gone. */
  remove(run: BuildRun, signal: AbortSignal): Promise<void>;
}

/** What `claimWriters` is made of. */
export interface ClaimWritersOptions {
  /** The controller's own; it lends the identity of the run's account. */
  readonly client: KubeClient;
  /** Kiln's image. */
  readonly image: string;
  now(): Date;
}

/** A pod that is not Ready by then is not waited for any longer. */
const patienceMs = 5 * 60_000;

/** Nothing is made yet. */
export function claimWriters(o: ClaimWritersOptions): ClaimWriters {
  // By ref. A controller that was restarted has none, and makes the pod anew: nothing was written yet.
  const identities = new Map<string, ClientCertificate>();
  return {
    async ready(run, ref, signal) {
      const outputs = claimOutputs(run);
      if (outputs.length === 0) return undefined;
      const at = { ...placeOf(run, ref), client: accountOf(run, o.client), signal };
      const pod = await allowed(run, () => at.client.get(pods, at, signal));
      const identity = identities.get(ref);
      if (pod === undefined) {
        identities.set(ref, await make(run, ref, o, at));
        return starting(ref, "it was just made");
      }
      if (identity === undefined || pod.metadata.deletionTimestamp !== undefined) {
        await allowed(run, () => removeAt(at));
        return starting(ref, "an earlier one is being removed");
      }
      const address = addressOf(pod);
      if (address === undefined) return waited(pod, ref, o.now());
      const { ca, certificate, key } = identity;
      const hidden = outputs.map(({ index }) => {
        const attrs = { ca, certificate, key };
        return { list: "outputs" as const, index, attrs };
      });
      return { kind: "ready", address, hidden };
    },
    async remove(run, signal) {
      if (claimOutputs(run).length === 0) return;
      const last = run.status?.attempts?.at(-1)?.number ?? 0;
      for (const number of [last, last + 1]) {
        const ref = refOf(run, number);
        identities.delete(ref);
        const at = { ...placeOf(run, ref), client: accountOf(run, o.client), signal };
        try {
          await removeAt(at);
        } catch (error) {
          // The pod ends by itself, and with the run.
          if (!isApiError(error, "Forbidden")) throw error;
        }
      }
    },
  };
}

interface At {
  readonly namespace: string;
  readonly name: string;
  readonly client: KubeClient;
  readonly signal: AbortSignal;
}

function placeOf({ metadata: { namespace = "" } }: BuildRun, ref: string) {
  return { namespace, name: writerName(ref) };
}

function accountOf({ metadata: { namespace = "" }, spec }: BuildRun, client: KubeClient) {
  return client.asServiceAccount(namespace, spec.serviceAccountName);
}

async function removeAt({ namespace, name, client, signal }: At): Promise<void> {
  await client.delete(pods, { namespace, name }, signal);
  await client.delete(secrets, { namespace, name }, signal);
}

async function make(
  run: BuildRun,
  ref: string,
  o: ClaimWritersOptions,
  { client, signal, namespace, name }: At,
): Promise<ClientCertificate> {
  // An authority of its own, whose key nobody keeps: this pod and this attempt know each other, and nobody else.
  const now = o.now();
  const authority = await newAuthority(now);
  const [server, identity] = await Promise.all([
    issueServer(authority, receiverName, now),
    issueClient(authority, now),
  ]);
  await allowed(run, async () => {
    await client.delete(secrets, { namespace, name }, signal);
    await client.create(secrets, writerSecret(run, ref, server), signal);
    await client.create(pods, writerPod(run, ref, o.image), signal);
  });
  return identity;
}

function starting(ref: string, why: string): Writer {
  const message = `Waits for pod ${writerName(ref)}, which writes outputs onto PersistentVolumeClaims: ${why}.`;
  return { kind: "starting", message };
}

function waited(pod: Pod, ref: string, now: Date): Writer {
  const created = Date.parse(pod.metadata.creationTimestamp ?? "");
  const { phase } = pod.status ?? {};
  const isOver = phase === "Failed" || phase === "Succeeded";
  if (!isOver && now.getTime() - created < patienceMs)
    return starting(ref, hindrance(pod).replace(/\.$/, ""));
  throw new KilnError({
    class: "Infra",
    reason: "OutputPodNotReady",
    message: `Pod ${writerName(ref)}, which writes outputs onto PersistentVolumeClaims, does not start: ${hindrance(pod)}`,
  });
}

async function allowed<T>(run: BuildRun, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isApiError(error, "Forbidden")) throw error;
    const { metadata, spec } = run;
    throw new KilnError({
      class: "Policy",
      reason: "OutputPodForbidden",
      message: `ServiceAccount "${spec.serviceAccountName}" in namespace "${metadata.namespace ?? ""}" may not make the pod that writes onto a PersistentVolumeClaim (${error.message.slice(0, 300)}); bind a Role to it that allows "get", "create" and "delete" on pods and "create" and "delete" on secrets.`,
      cause: error,
    });
  }
}
