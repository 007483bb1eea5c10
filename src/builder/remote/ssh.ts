// A program on a host behind SSH whose standard input and output are a stream of ours. The host's key has to be known.

import { createRequire } from "node:module";
import { Duplex } from "node:stream";
import type ssh2 from "ssh2";
import { isKnown, type KnownKeys, keyType } from "./known-hosts.ts";
import { builderFault } from "./secrets.ts";

/** A host, and who Kiln is to it: `privateKey` or the socket of an agent. */
export interface SshHost {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly known: KnownKeys;
  readonly privateKey?: string;
  readonly passphrase?: string;
  readonly agentSocket?: string;
}

const readyMs = 15_000;
const keepaliveMs = 10_000;
const keepalivesMissed = 2;
const keptBytes = 2048;

/** What ssh2 can check, best first; those that known_hosts has come before the others. */
const hostKeyAlgorithms = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
] as const;

/** Loaded with the first connection: it takes 60 ms, and few Builders have one. */
function library(): typeof ssh2 {
  return createRequire(import.meta.url)("ssh2") as typeof ssh2;
}

/**
 * Starts `command` (words without blanks or quotes) there. The stream ends with the program, with an error that holds what it
 * wrote to standard error when it did not end well. Rejects with `KilnError` of class Builder, `HostKeyUnknown`, `SSHDenied`
 * or `SecretInvalid`; the socket's error otherwise.
 */
export async function sshStream(
  host: SshHost,
  command: readonly string[],
  signal: AbortSignal,
): Promise<Duplex> {
  const { Client } = library();
  const client = new Client();
  const abort = (): void => void client.destroy();
  signal.addEventListener("abort", abort, { once: true });
  try {
    signal.throwIfAborted();
    await ready(client, host);
    const channel = await started(client, command.join(" "));
    return new SshStream(client, channel, command[0] ?? "");
  } catch (error) {
    client.destroy();
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

async function ready(client: ssh2.Client, host: SshHost): Promise<void> {
  const where = `${host.host}:${host.port}`;
  let shown: string | undefined;
  await new Promise<void>((resolve, reject) => {
    client.once("ready", resolve);
    client.once("close", () => reject(new Error(`${where} closed the connection`)));
    // It may tell of more than one; an error that nobody listens to ends the process.
    client.on("error", (error: Error & { readonly level?: string }) => {
      if (shown !== undefined) reject(unknownHost(where, shown, error));
      else if (error.level === "client-authentication") reject(denied(host, error));
      else reject(error);
    });
    const hostVerifier = (key: Buffer): boolean => {
      if (isKnown(host.known, key)) return true;
      shown = keyType(key);
      return false;
    };
    try {
      client.connect({ ...optionsOf(host), hostVerifier });
    } catch (cause) {
      // Thrown for a key that can't be read; the words never quote it.
      const why = cause instanceof Error ? cause.message : "";
      const message = `The SSH private key for ${where} is not usable: ${why}. Give an OpenSSH or PEM key, with its passphrase if it has one.`;
      reject(builderFault("SecretInvalid", message, cause));
    }
  });
}

function optionsOf(host: SshHost): ssh2.ConnectConfig {
  const { known, privateKey, passphrase, agentSocket } = host;
  const types = new Set(
    known.trusted.map((key) => keyType(key).replace("ssh-rsa", "rsa-sha2-512")),
  );
  const preferred = hostKeyAlgorithms.filter((one) => types.has(one));
  const others = hostKeyAlgorithms.filter((one) => !types.has(one));
  return {
    host: host.host,
    port: host.port,
    username: host.user,
    ...(agentSocket === undefined ? {} : { agent: agentSocket }),
    ...(privateKey === undefined ? {} : { privateKey }),
    ...(passphrase === undefined ? {} : { passphrase }),
    readyTimeout: readyMs,
    keepaliveInterval: keepaliveMs,
    keepaliveCountMax: keepalivesMissed,
    algorithms: { serverHostKey: [...preferred, ...others] },
  };
}

function unknownHost(where: string, type: string, cause: unknown): Error {
  const message = `The host key (${type}) that ${where} shows is not in known_hosts of the Secret: check the host, and add its key (ssh-keyscan prints it).`;
  return builderFault("HostKeyUnknown", message, cause);
}

function denied({ user, host, agentSocket }: SshHost, cause: unknown): Error {
  const who = agentSocket === undefined ? "the Secret's key" : "any key of the agent";
  const message = `${host} does not let ${user} in with ${who}: add the public key to authorized_keys there, or correct the user.`;
  return builderFault("SSHDenied", message, cause);
}

async function started(client: ssh2.Client, command: string): Promise<ssh2.ClientChannel> {
  return await new Promise((resolve, reject) => {
    client.once("close", () => reject(new Error("the host closed the connection")));
    client.exec(command, (error, channel) => {
      if (error === undefined) resolve(channel);
      else reject(error);
    });
  });
}

class SshStream extends Duplex {
  readonly #client: ssh2.Client;
  readonly #channel: ssh2.ClientChannel;
  #words = "";
  #how = "without a code";

  constructor(client: ssh2.Client, channel: ssh2.ClientChannel, program: string) {
    super();
    this.#client = client;
    this.#channel = channel;
    client.on("error", (error) => this.destroy(error));
    channel.stderr.on("data", (chunk: Buffer) => {
      this.#words = `${this.#words}${chunk.toString("utf8")}`.slice(-keptBytes);
    });
    channel.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) channel.pause();
    });
    channel.on("exit", (code: number | null, name?: string) => {
      this.#how = code === null ? `by ${name ?? "a signal"}` : `with code ${code}`;
    });
    channel.on("close", () => {
      if (this.#how === "with code 0") this.push(null);
      else this.destroy(new Error(`${program} ended ${this.#how}: ${this.#words.trim()}`));
    });
  }

  override _read(): void {
    this.#channel.resume();
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.#channel.write(chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#channel.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#channel.destroy();
    this.#client.end();
    done(error);
  }
}
