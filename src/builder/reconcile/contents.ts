// What do the Secrets and ConfigMaps hold that the pods of a Builder use? Read with the rights of the
// Builder's service account, kept as a hash only: another hash rolls the pods.

import type { KubeClient } from "../../kube/client.ts";
import { isApiError } from "../../kube/errors.ts";
import { configMaps, secrets } from "../../kube/types.ts";
import type { Problem } from "../health/problem.ts";
import { contentHash } from "../kubernetes/hash.ts";
import type { Reference } from "../kubernetes/references.ts";

/** Whose rights count, and where the objects are. */
export interface ContentReader {
  readonly client: KubeClient;
  /** Of the pods. */
  readonly namespace: string;
  readonly serviceAccountName: string;
}

/** A hash over all that was read; undefined when there is nothing to read. Or why it cannot be read. */
export type Contents = { readonly fingerprint: string | undefined } | { readonly problem: Problem };

type Data = Readonly<Record<string, string>>;

/** Reads all of `references`. Rejects with the API server's error when it could not be asked. */
export async function readContents(
  references: readonly Reference[],
  reader: ContentReader,
  signal: AbortSignal,
): Promise<Contents> {
  if (references.length === 0) return { fingerprint: undefined };
  const read = await Promise.all(references.map((one) => contentOf(one, reader, signal)));
  const problem = read.find((one) => "reason" in one);
  if (problem !== undefined) return { problem };
  return { fingerprint: contentHash(read) };
}

async function contentOf(
  reference: Reference,
  reader: ContentReader,
  signal: AbortSignal,
): Promise<{ readonly is: unknown } | Problem> {
  const { kind, name, keys, optional } = reference;
  const { namespace } = reader;
  const data = await dataOf(reference, reader, signal);
  if (data === "forbidden") {
    const message = `Service account ${namespace}/${reader.serviceAccountName} may not read ${kind} ${name}, which the pods use: allow it "get" on this ${kind}, or name another account in spec.serviceAccountName.`;
    return { reason: `${kind}Forbidden`, message };
  }
  if (data === undefined) {
    if (optional) return { is: [kind, name] };
    const message = `${kind} ${namespace}/${name}, which the pods use, does not exist: create it, or correct the Builder.`;
    return { reason: `${kind}NotFound`, message };
  }
  const lacking = optional ? undefined : keys?.find((key) => data[key] === undefined);
  if (lacking !== undefined) {
    const message = `${kind} ${namespace}/${name} has no key ${lacking}, which the pods use: add it, or correct the Builder.`;
    return { reason: `${kind}Invalid`, message };
  }
  const used = keys === undefined ? data : Object.fromEntries(keys.map((key) => [key, data[key]]));
  return { is: [kind, name, used] };
}

async function dataOf(
  { kind, name }: Reference,
  { client, namespace, serviceAccountName }: ContentReader,
  signal: AbortSignal,
): Promise<Data | "forbidden" | undefined> {
  const as = client.asServiceAccount(namespace, serviceAccountName);
  try {
    if (kind === "Secret") {
      const secret = await as.get(secrets, { namespace, name }, signal);
      return secret && (secret.data ?? {});
    }
    const configMap = await as.get(configMaps, { namespace, name }, signal);
    return configMap && { ...configMap.binaryData, ...configMap.data };
  } catch (error) {
    if (isApiError(error, "Forbidden")) return "forbidden";
    throw error;
  }
}
