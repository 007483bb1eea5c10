// How is a buildkitd that somebody else runs reached? The address from the spec, the TLS material from
// a Secret, read with the rights of the Builder's service account and never kept.

import type { BuilderSpec } from "../../api/v1alpha1/index.ts";
import { parseEndpoint, type Endpoint, type TlsMaterial } from "../../buildkit/rpc/endpoint.ts";
import { KilnError } from "../../errors/index.ts";
import type { KubeClient } from "../../kube/client.ts";
import { isApiError } from "../../kube/errors.ts";
import { secrets, type Secret } from "../../kube/types.ts";
import type { ProblemReason } from "../health/problem.ts";

/** `spec.remote`. */
export type RemoteDriver = NonNullable<BuilderSpec["remote"]>;

/** Whose rights read the Secret, and where it is. */
export interface RemoteReader {
  readonly client: KubeClient;
  /** The Builder's, or Kiln's own for a ClusterBuilder. */
  readonly namespace: string;
  readonly serviceAccountName: string;
}

/** cert-manager's and kubectl's names first, then those of buildkit's own examples. */
const keyNames = {
  ca: ["ca.crt", "ca.pem"],
  cert: ["tls.crt", "cert.pem"],
  key: ["tls.key", "key.pem"],
} as const;

/**
 * The endpoint of a remote Builder. Throws `KilnError` of class Builder with the reason `SecretNotFound`,
 * `SecretForbidden`, `SecretInvalid` or `InvalidSpec`; the API server's errors otherwise.
 */
export async function remoteEndpoint(
  driver: RemoteDriver,
  reader: RemoteReader,
  signal: AbortSignal,
): Promise<Endpoint> {
  if (driver.tls === undefined) return parse(driver.endpoint, undefined);
  const { secretRef, serverName } = driver.tls;
  const secret = await readSecret(secretRef.name, reader, signal);
  return parse(driver.endpoint, {
    ...tlsMaterial(secret, reader.namespace),
    ...(serverName === undefined ? {} : { serverName }),
  });
}

/** CA, and the client certificate with its key, of a Secret in either naming style. Throws `KilnError` SecretInvalid. */
export function tlsMaterial(secret: Secret, namespace: string): TlsMaterial {
  const name = `${namespace}/${secret.metadata.name}`;
  const [ca, cert, key] = [value(secret, "ca"), value(secret, "cert"), value(secret, "key")];
  if (ca === undefined) {
    throw problem(
      "SecretInvalid",
      `Secret ${name} has no key ca.crt (or ca.pem): add the authority that signed the server's certificate.`,
    );
  }
  if ((cert === undefined) !== (key === undefined)) {
    const [has, lacks] = cert === undefined ? ["tls.key", "tls.crt"] : ["tls.crt", "tls.key"];
    throw problem(
      "SecretInvalid",
      `Secret ${name} has ${has} but no ${lacks}: a client certificate needs both.`,
    );
  }
  return { ca, ...(cert === undefined || key === undefined ? {} : { cert, key }) };
}

async function readSecret(
  name: string,
  reader: RemoteReader,
  signal: AbortSignal,
): Promise<Secret> {
  const { namespace, serviceAccountName } = reader;
  const client = reader.client.asServiceAccount(namespace, serviceAccountName);
  let secret: Secret | undefined;
  try {
    secret = await client.get(secrets, { namespace, name }, signal);
  } catch (cause) {
    if (!isApiError(cause, "Forbidden")) throw cause;
    const message = `Service account ${namespace}/${serviceAccountName} may not read Secret ${name}: allow it "get" on this Secret, or name another account in spec.serviceAccountName.`;
    throw problem("SecretForbidden", message, cause);
  }
  if (secret !== undefined) return secret;
  throw problem(
    "SecretNotFound",
    `Secret ${namespace}/${name} does not exist: create it with ca.crt, tls.crt and tls.key, or correct spec.remote.tls.secretRef.`,
  );
}

function parse(text: string, tls: TlsMaterial | undefined): Endpoint {
  try {
    return tls === undefined ? parseEndpoint(text) : parseEndpoint(text, tls);
  } catch (cause) {
    throw problem(
      "InvalidSpec",
      `spec.remote: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    );
  }
}

function value(secret: Secret, part: keyof typeof keyNames): string | undefined {
  for (const name of keyNames[part]) {
    const encoded = secret.data?.[name];
    if (encoded !== undefined && encoded !== "")
      return Buffer.from(encoded, "base64").toString("utf8");
  }
  return undefined;
}

function problem(reason: ProblemReason, message: string, cause?: unknown): KilnError {
  return new KilnError({ class: "Builder", reason, message, retryable: true, cause });
}
