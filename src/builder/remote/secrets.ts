// Where does the material of a connection come from? Secrets, read with the rights of the Builder's service account when a
// connection is made, and never kept.

import type { TlsMaterial } from "../../buildkit/rpc/endpoint.ts";
import { KilnError } from "../../errors/index.ts";
import type { KubeClient } from "../../kube/client.ts";
import { isApiError } from "../../kube/errors.ts";
import { secrets, type Secret } from "../../kube/types.ts";
import type { ProblemReason } from "../health/problem.ts";

/** Whose rights read the Secrets, and where they are. */
export interface SecretReader {
  readonly client: KubeClient;
  /** The Builder's, or Kiln's own for a ClusterBuilder. */
  readonly namespace: string;
  readonly serviceAccountName: string;
  /**
   * Whether sockets in the controller's container may be used. They lead to what the controller's host lends it, a
   * Docker engine perhaps, and who may make a Builder in a namespace may not have that.
   */
  readonly mayUseSockets: boolean;
}

/** A Secret that is wanted. */
export interface Wanted {
  readonly name: string;
  /** The field that names it, for messages. */
  readonly field: string;
  /** What it should hold, for messages. */
  readonly holds: string;
}

/** cert-manager's and kubectl's names first, then those of buildkit's own examples. */
const keyNames = {
  ca: ["ca.crt", "ca.pem"],
  cert: ["tls.crt", "cert.pem"],
  key: ["tls.key", "key.pem"],
} as const;

/** Throws `KilnError` of class Builder, `SecretNotFound` or `SecretForbidden`; the API server's errors otherwise. */
export async function readSecret(
  { name, field, holds }: Wanted,
  reader: SecretReader,
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
    throw builderFault("SecretForbidden", message, cause);
  }
  if (secret !== undefined) return secret;
  throw builderFault(
    "SecretNotFound",
    `Secret ${namespace}/${name} does not exist: create it with ${holds}, or correct ${field}.`,
  );
}

/** Reads a Secret with TLS material in either naming style. Throws as `readSecret`, and `SecretInvalid`. */
export async function readTls(
  tls: { readonly secretRef: { readonly name: string }; readonly serverName?: string | undefined },
  field: string,
  reader: SecretReader,
  signal: AbortSignal,
): Promise<TlsMaterial> {
  const { secretRef, serverName } = tls;
  const wanted = {
    name: secretRef.name,
    field: `${field}.tls.secretRef`,
    holds: "ca.crt, tls.crt and tls.key",
  };
  const material = tlsMaterial(await readSecret(wanted, reader, signal), reader.namespace);
  return { ...material, ...(serverName === undefined ? {} : { serverName }) };
}

/** CA, and the client certificate with its key, of a Secret in either naming style. Throws `KilnError` SecretInvalid. */
export function tlsMaterial(secret: Secret, namespace: string): TlsMaterial {
  const name = `${namespace}/${secret.metadata.name}`;
  const [ca, cert, key] = (["ca", "cert", "key"] as const).map((part) =>
    keyNames[part].map((one) => valueIn(secret, one)).find((value) => value !== undefined),
  );
  if (ca === undefined) {
    throw builderFault(
      "SecretInvalid",
      `Secret ${name} has no key ca.crt (or ca.pem): add the authority that signed the server's certificate.`,
    );
  }
  if ((cert === undefined) !== (key === undefined)) {
    const [has, lacks] = cert === undefined ? ["tls.key", "tls.crt"] : ["tls.crt", "tls.key"];
    throw builderFault(
      "SecretInvalid",
      `Secret ${name} has ${has} but no ${lacks}: a client certificate needs both.`,
    );
  }
  return { ca, ...(cert === undefined || key === undefined ? {} : { cert, key }) };
}

/** The text under a key of a Secret; undefined when it is missing or empty. */
export function valueIn(secret: Secret, key: string): string | undefined {
  const encoded = secret.data?.[key];
  if (encoded === undefined || encoded === "") return undefined;
  return Buffer.from(encoded, "base64").toString("utf8");
}

/** A reason why a Builder's daemon can't be dialled, in the words of its status. */
export function builderFault(reason: ProblemReason, message: string, cause?: unknown): KilnError {
  return new KilnError({ class: "Builder", reason, message, retryable: true, cause });
}

/** Throws `KilnError` of class Builder, `SocketForbidden`, where sockets of the controller's container may not be used. */
export function checkSocket(field: string, reader: SecretReader): void {
  if (reader.mayUseSockets) return;
  throw builderFault(
    "SocketForbidden",
    `${field}: sockets in the controller's container are for ClusterBuilders. Use one, or another address, or have the controller started with --namespaced-sockets.`,
  );
}
