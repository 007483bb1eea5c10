// How is a host behind SSH, and a Docker engine, dialled? The address from the spec, the rest from Secrets.

import type { EngineConnection, Ssh } from "../../api/v1alpha1/index.ts";
import {
  type Engine,
  parseEndpoint,
  parseStdioAddress,
  type SshAddress,
  type StreamEndpoint,
} from "../../buildkit/index.ts";
import { KilnError } from "../../errors/index.ts";
import { knownKeys } from "./known-hosts.ts";
import {
  builderFault,
  checkSocket,
  readSecret,
  readTls,
  type SecretReader,
  valueIn,
} from "./secrets.ts";
import { type SshHost, sshStream } from "./ssh.ts";

const sshPort = 22;

/** Throws as `readSecret`, and `SecretInvalid` for a Secret without known_hosts or a key. */
export async function sshHost(
  address: SshAddress,
  ssh: Ssh | undefined,
  { field, reader }: { readonly field: string; readonly reader: SecretReader },
  signal: AbortSignal,
): Promise<SshHost> {
  if (ssh === undefined || address.user === undefined)
    throw builderFault(
      "InvalidSpec",
      `${field}: an ssh:// endpoint needs a user and ssh.secretRef.`,
    );
  if (ssh.agentSocket !== undefined) checkSocket(`${field}.ssh.agentSocket`, reader);
  const { name } = ssh.secretRef;
  const wanted = {
    name,
    field: `${field}.ssh.secretRef`,
    holds: "known_hosts and ssh-privatekey",
  };
  const secret = await readSecret(wanted, reader, signal);
  const lacks = (key: string, what: string): KilnError =>
    builderFault(
      "SecretInvalid",
      `Secret ${reader.namespace}/${name} has no key ${key}: add ${what}.`,
    );
  const hosts = valueIn(secret, "known_hosts");
  if (hosts === undefined)
    throw lacks("known_hosts", "what ssh-keyscan prints for the host, after checking it");
  const privateKey = valueIn(secret, "ssh-privatekey");
  if (privateKey === undefined && ssh.agentSocket === undefined)
    throw lacks("ssh-privatekey", "the private key to log in with");
  const passphrase = valueIn(secret, "passphrase");
  const port = address.port ?? sshPort;
  return {
    host: address.host,
    port,
    user: address.user,
    known: knownKeys(hosts, address.host, port),
    ...(ssh.agentSocket === undefined ? {} : { agentSocket: ssh.agentSocket }),
    ...(privateKey === undefined ? {} : { privateKey }),
    ...(passphrase === undefined ? {} : { passphrase: passphrase.replace(/\r?\n$/, "") }),
  };
}

/** What is run on the host of an engine: its standard input and output are the engine's socket (docker/cli, connhelper). */
function dialEngineStdio(socket: string | undefined): readonly string[] {
  const host = socket === undefined ? [] : ["--host", `unix://${socket}`];
  return ["docker", ...host, "system", "dial-stdio"];
}

/** The engine of a connection. Throws as `sshHost` and `readTls`. */
export async function engineOf(
  connection: EngineConnection,
  at: { readonly field: string; readonly reader: SecretReader },
  signal: AbortSignal,
): Promise<Engine> {
  const { endpoint, tls, ssh } = connection;
  const address = parsed(endpoint, at.field);
  if (address?.scheme === "ssh") {
    const host = await sshHost(address, ssh, at, signal);
    return hostStream(endpoint, host, dialEngineStdio(address.socket));
  }
  return await socketEndpoint({ endpoint, tls }, at, signal);
}

/** A program on a host, started anew for each connection. */
export function hostStream(
  name: string,
  host: SshHost,
  command: readonly string[],
): StreamEndpoint {
  return { kind: "stream", name, dial: (signal) => sshStream(host, command, signal) };
}

/** `parseStdioAddress`, with its error in the words of a Builder's status. */
export function parsed(endpoint: string, field: string) {
  return inStatus(field, () => parseStdioAddress(endpoint));
}

/** `parseEndpoint`, with its error in the words of a Builder's status. Throws as `checkSocket` and `readTls` besides. */
export async function socketEndpoint(
  { endpoint, tls }: Pick<EngineConnection, "endpoint" | "tls">,
  { field, reader }: { readonly field: string; readonly reader: SecretReader },
  signal: AbortSignal,
) {
  if (endpoint.startsWith("unix:")) checkSocket(`${field}.endpoint`, reader);
  const material = tls && (await readTls(tls, field, reader, signal));
  return inStatus(field, () => parseEndpoint(endpoint, material));
}

function inStatus<T>(field: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw builderFault("InvalidSpec", `${field}: ${said}`, cause);
  }
}
