// ConfigMaps as places of outputs: what the agent collected is written at once, with the rights of the run's own service
// account, before the run is told to have succeeded.

import type { SolveFacts, SolveFailure } from "../../agent/agent.ts";
import type { BuildRun } from "../../api/v1alpha1/index.ts";
import { KilnError } from "../../errors/index.ts";
import type { KubeClient } from "../../kube/client.ts";
import { isApiError } from "../../kube/errors.ts";
import { type ConfigMap, configMaps } from "../../kube/types.ts";
import { failureOf } from "../status/failure.ts";
import { placeOfOutput } from "./of-output.ts";

/** Label of a ConfigMap that an output made, with the name of the last run that wrote it; no other is replaced. */
export const outputLabel = "kiln.build/output-of";

type Data = Readonly<Record<string, string>>;

/** Whether a solve that went well left what its ConfigMaps need: a daemon's memory of it does not have that. */
export function hasCollected({ spec }: BuildRun, { files = [] }: SolveFacts): boolean {
  if (spec.call !== undefined) return true;
  return spec.outputs.every((output, index) => {
    if (placeOfOutput(output)?.configMap === undefined) return true;
    return files.some(({ exporter, data }) => exporter === index && data !== undefined);
  });
}

/**
 * Writes the ConfigMaps of a run; the same again does no harm. Resolves to why the run fails all the same, and rejects
 * with `ApiError` when the API server can't be asked.
 */
export async function writeConfigMaps(
  run: BuildRun,
  { files = [] }: SolveFacts,
  { client, signal }: { readonly client: KubeClient; readonly signal: AbortSignal },
): Promise<SolveFailure | undefined> {
  const wanted = new Map<string, Data>();
  for (const { exporter, data } of files) {
    const name = placeOfOutput(run.spec.outputs[exporter])?.configMap?.name;
    if (name !== undefined && data !== undefined)
      wanted.set(name, { ...wanted.get(name), ...data });
  }
  if (wanted.size === 0) return undefined;
  const { namespace = "" } = run.metadata;
  const own = client.asServiceAccount(namespace, run.spec.serviceAccountName);
  try {
    for (const [name, data] of wanted) await put(run, name, data, { client: own, signal });
    return undefined;
  } catch (error) {
    if (error instanceof KilnError) return failureOf(error);
    throw error;
  }
}

async function put(
  run: BuildRun,
  name: string,
  data: Data,
  { client, signal }: { readonly client: KubeClient; readonly signal: AbortSignal },
): Promise<void> {
  const { namespace = "" } = run.metadata;
  const account = `ServiceAccount "${run.spec.serviceAccountName}"`;
  const labels = { [outputLabel]: run.metadata.name };
  try {
    const there = await client.get(configMaps, { namespace, name }, signal);
    if (there !== undefined && there.metadata.labels?.[outputLabel] === undefined)
      throw new KilnError({
        class: "User",
        reason: "ConfigMapTaken",
        message: `ConfigMap "${name}" was not made by an output of a BuildRun and is left as it is: delete it, label it ${outputLabel}, or name another one in a new run.`,
      });
    if (there === undefined) {
      await client.create(
        configMaps,
        { metadata: { namespace, name, labels }, ...fields(data) },
        signal,
      );
      return;
    }
    const { resourceVersion, uid } = there.metadata;
    const kept = { ...there.metadata.labels, ...labels };
    const metadata = { ...there.metadata, namespace, name, uid, resourceVersion, labels: kept };
    await client.replace(configMaps, { metadata, ...fields(data) }, signal);
  } catch (error) {
    if (isApiError(error, "Forbidden"))
      throw new KilnError({
        class: "Policy",
        reason: "ConfigMapForbidden",
        message: `${account} may not write ConfigMap "${name}" in namespace "${namespace}"; bind a Role to it that allows the verbs "get", "create" and "update" on configmaps.`,
        cause: error,
      });
    if (!isApiError(error, "Invalid")) throw error;
    throw new KilnError({
      class: "User",
      reason: "ConfigMapRefused",
      message: `The API server refused ConfigMap "${name}" of an output: ${error.message}`,
      cause: error,
    });
  }
}

/** Text as text, for people's eyes; what is no UTF-8 as bytes. */
function fields(files: Data): Required<Pick<ConfigMap, "data" | "binaryData">> {
  const data: Record<string, string> = {};
  const binaryData: Record<string, string> = {};
  for (const [key, base64] of Object.entries(files)) {
    const bytes = Buffer.from(base64, "base64");
    const text = bytes.toString("utf8");
    if (Buffer.from(text).equals(bytes) && !text.includes("\0")) data[key] = text;
    else binaryData[key] = base64;
  }
  return { data, binaryData };
}
