// What a solve needs from the cluster, read with the rights of the run's own service account: Secrets, ConfigMaps, logins
// for registries and git. Everything read here is sealed before it leaves this file's caller.

import type { HiddenAttrs, SshKey } from "../agent/agent.ts";
import { configMapFiles, secretFiles } from "./tree-files.ts";
import { KilnError } from "../errors/index.ts";
import type { KubeClient } from "../kube/client.ts";
import { isApiError } from "../kube/errors.ts";
import {
  type ConfigMap,
  configMaps,
  persistentVolumeClaims,
  type ResourceType,
  type Secret,
  secrets,
  serviceAccounts,
} from "../kube/types.ts";
import { type RegistryAuthorities, registriesOf } from "../registry/authorities.ts";
import type { KubeObject } from "../kube/object.ts";
import {
  type DockerConfig,
  mergeDockerConfigs,
  noLogins,
  parseDockerConfig,
} from "../registry/docker-config.ts";
import type {
  ArchiveNeed,
  GitNeed,
  HiddenNeed,
  Needs,
  SshNeed,
  TreeNeed,
  ValueNeed,
} from "./plan/needs.ts";

/** Whose rights are used, where. */
export interface Account {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** The account of a BuildRun or a Bake. */
export function accountOf({
  metadata,
  spec,
}: {
  readonly metadata: { readonly namespace?: string };
  readonly spec: { readonly serviceAccountName: string };
}): Account {
  return { namespace: metadata.namespace ?? "", serviceAccount: spec.serviceAccountName };
}

/** What was read. */
export interface Credentials {
  readonly secrets: Map<string, Buffer>;
  readonly logins: DockerConfig;
  readonly authorities: RegistryAuthorities;
  readonly sshKeys: SshKey[];
  readonly trees: Map<string, Map<string, Buffer>>;
  readonly hidden: HiddenAttrs[];
  /** Attributes of the frontend out of ConfigMaps. */
  readonly attrs: Readonly<Record<string, string>>;
  /** Public host keys for git servers, by the Secret that has them; without them BuildKit trusts what answers first. */
  readonly knownHosts: ReadonlyMap<string, string>;
  readonly hints: string[];
}

/** BuildKit refuses session secrets above this. */
const maxSecretBytes = 500 * 1024;

interface Reader {
  readonly account: Account;
  readonly client: KubeClient;
  readonly signal: AbortSignal;
}

/**
 * Reads everything in `needs`. `client` is the controller's own: it reads the ServiceAccount itself and lends the
 * account's identity for the rest. Throws `KilnError` (`ServiceAccountNotFound`, `SecretForbidden`, `SecretNotFound`,
 * `SecretKeyNotFound`, `SecretInvalid`, `SecretTooLarge`, `ConfigMapForbidden`, `ConfigMapNotFound`), or the API client's
 * own error when the API server can't be asked.
 */
export async function readCredentials(
  needs: Needs,
  account: Account,
  client: KubeClient,
  signal: AbortSignal,
): Promise<Credentials> {
  const { found, reader } = await identified(account, client, signal);
  const pullSecrets = (found.imagePullSecrets ?? []).flatMap(({ name }) =>
    name === undefined ? [] : [name],
  );
  const [values, trees, gits, sshKeys, registries, hidden, archives, args] = await Promise.all([
    sessionSecrets(needs, reader),
    readTrees(needs, reader),
    Promise.all(needs.gits.map((need) => gitCredentials(need, reader))),
    Promise.all(needs.ssh.map((need) => sshKey(need, reader))),
    readLogins(needs, pullSecrets, reader),
    Promise.all(needs.hidden.map((need) => hiddenAttrs(need, reader))),
    Promise.all(needs.archives.map((need) => archiveLogin(need, reader))),
    Promise.all(needs.values.map((need) => readValue(need, reader))),
    Promise.all(needs.claims.map((name) => read(persistentVolumeClaims, name, reader))),
  ]);
  const plain = args.filter(({ kind }) => kind === "configMap");
  const fromSecrets = args.filter(({ kind }) => kind === "secret");
  return {
    secrets: new Map([...values, ...gits.flatMap(({ secrets: found }) => [...found]), ...archives]),
    sshKeys: [...sshKeys, ...gits.flatMap(({ sshKeys: found }) => found)],
    knownHosts: new Map(gits.flatMap(({ knownHosts: found }) => found)),
    trees,
    hidden: [
      ...hidden,
      ...fromSecrets.map(({ attr, value }) => ({
        list: "frontend" as const,
        index: 0,
        attrs: { [attr]: value },
      })),
    ],
    attrs: Object.fromEntries(plain.map(({ attr, value }) => [attr, value])),
    ...registries,
  };
}

/** The account, and a reader that has its rights. */
async function identified(account: Account, client: KubeClient, signal: AbortSignal) {
  const { namespace, serviceAccount } = account;
  const found = await client.get(serviceAccounts, { namespace, name: serviceAccount }, signal);
  if (found === undefined)
    throw new KilnError({
      class: "User",
      reason: "ServiceAccountNotFound",
      message: `There is no ServiceAccount "${serviceAccount}" in namespace "${namespace}"; create it, or name another in spec.serviceAccountName.`,
    });
  const own = client.asServiceAccount(namespace, serviceAccount);
  const reader: Reader = { account, signal, client: own };
  return { found, reader };
}

/** A text in a ConfigMap, read with the rights of the account. Throws as `readCredentials` does. */
export async function readConfigMapText(
  at: { readonly name: string; readonly key: string },
  account: Account,
  client: KubeClient,
  signal: AbortSignal,
): Promise<string> {
  const { reader } = await identified(account, client, signal);
  return (await readValue({ attr: "", kind: "configMap", ...at }, reader)).value;
}

async function read<T extends KubeObject>(
  type: ResourceType<T>,
  name: string,
  { account, client, signal }: Reader,
): Promise<T> {
  const { namespace, serviceAccount } = account;
  const resource = type.plural;
  try {
    const object = await client.get(type, { namespace, name }, signal);
    if (object !== undefined) return object;
  } catch (error) {
    if (!isApiError(error, "Forbidden")) throw error;
    throw new KilnError({
      class: "Policy",
      reason: `${type.kind}Forbidden`,
      message: `ServiceAccount "${serviceAccount}" may not get ${type.kind} "${name}" in namespace "${namespace}"; bind a Role to it that allows the verb "get" on ${resource} with the resourceName "${name}".`,
      cause: error,
    });
  }
  throw new KilnError({
    class: "User",
    reason: `${type.kind}NotFound`,
    message: `There is no ${type.kind} "${name}" in namespace "${namespace}"; create it, or name another one in a new run.`,
  });
}

function keyNotFound(secret: Secret, wanted: string): KilnError {
  const keys = Object.keys(secret.data ?? {})
    .sort()
    .slice(0, 20);
  const has = keys.length === 0 ? "no keys" : `the keys ${keys.join(", ")}`;
  return new KilnError({
    class: "User",
    reason: "SecretKeyNotFound",
    message: `Secret "${secret.metadata.name}" has ${has}, but not ${wanted}.`,
  });
}

function valueOf(secret: Secret, key: string): Buffer | undefined {
  const data = secret.data ?? {};
  const text = Object.hasOwn(data, key) ? data[key] : undefined;
  return text === undefined ? undefined : Buffer.from(text, "base64");
}

async function sessionSecrets(needs: Needs, reader: Reader): Promise<Map<string, Buffer>> {
  const names = [...new Set(needs.secrets.map(({ name }) => name))];
  const objects = new Map(
    await Promise.all(
      names.map(async (name) => [name, await read(secrets, name, reader)] as const),
    ),
  );
  const values = new Map<string, Buffer>();
  for (const { id, name, key } of needs.secrets) {
    const secret = objects.get(name);
    const value = secret === undefined ? undefined : valueOf(secret, key);
    if (secret !== undefined && value === undefined) throw keyNotFound(secret, `"${key}"`);
    if (value === undefined) continue;
    if (value.byteLength > maxSecretBytes)
      throw new KilnError({
        class: "User",
        reason: "SecretTooLarge",
        message: `Key "${key}" of Secret "${name}" has ${value.byteLength} bytes; BuildKit takes secrets of up to ${maxSecretBytes}.`,
      });
    values.set(id, value);
  }
  return values;
}

async function readTrees(needs: Needs, reader: Reader): Promise<Map<string, Map<string, Buffer>>> {
  const maps = new Map<string, Promise<ConfigMap>>();
  const filesOf = async (need: TreeNeed): Promise<Map<string, Buffer>> => {
    switch (need.kind) {
      case "empty":
        return new Map();
      case "inline":
        return new Map([[need.file, Buffer.from(need.text)]]);
      case "files":
        return new Map(need.files.map(({ path, text }) => [path, Buffer.from(text)]));
      case "secret":
        return secretFiles(await read(secrets, need.name, reader));
      case "configMap": {
        const known = maps.get(need.name) ?? read(configMaps, need.name, reader);
        maps.set(need.name, known);
        return configMapFiles(await known);
      }
    }
  };
  const entries = Object.entries(needs.trees).map(
    async ([name, need]) => [name, await filesOf(need)] as const,
  );
  return new Map(await Promise.all(entries));
}

async function sshKey({ id, name }: SshNeed, reader: Reader): Promise<SshKey> {
  const secret = await read(secrets, name, reader);
  const key = valueOf(secret, "ssh-privatekey");
  if (key === undefined) throw keyNotFound(secret, '"ssh-privatekey"');
  return { id, privateKey: key.toString("utf8") };
}

/** What stands under the key, as it is: a line break at its end is part of it. */
async function readValue(need: ValueNeed, reader: Reader): Promise<ValueNeed & { value: string }> {
  const { kind, name, key } = need;
  if (kind === "secret") {
    const secret = await read(secrets, name, reader);
    const value = valueOf(secret, key);
    if (value === undefined) throw keyNotFound(secret, `"${key}"`);
    return { ...need, value: value.toString("utf8") };
  }
  const value = (await read(configMaps, name, reader)).data?.[key];
  if (value !== undefined) return { ...need, value };
  throw new KilnError({
    class: "User",
    reason: "ConfigMapKeyNotFound",
    message: `ConfigMap "${name}" has no key "${key}": add it, or name another one in a new run.`,
  });
}

async function archiveLogin(
  { secretName, host }: ArchiveNeed,
  reader: Reader,
): Promise<[id: string, value: Buffer]> {
  const secret = await read(secrets, secretName, reader);
  const token = valueOf(secret, "token");
  if (token !== undefined) return [`HTTP_AUTH_TOKEN_${host}`, trimmed(token)];
  const pair = basicPair(secret);
  if (pair === undefined) throw keyNotFound(secret, '"token", or "username" and "password"');
  return [`HTTP_AUTH_HEADER_${host}`, Buffer.from(`Basic ${pair}`)];
}

function basicPair(secret: Secret): string | undefined {
  const [username, password] = [valueOf(secret, "username"), valueOf(secret, "password")];
  if (username === undefined || password === undefined) return undefined;
  const pair = [trimmed(username), Buffer.from(":"), trimmed(password)];
  return Buffer.concat(pair).toString("base64");
}

async function hiddenAttrs(
  { list, index, name, attrs }: HiddenNeed,
  reader: Reader,
): Promise<HiddenAttrs> {
  const secret = await read(secrets, name, reader);
  const values = attrs.flatMap(({ attr, key, optional }): [string, string][] => {
    const value = valueOf(secret, key);
    if (value !== undefined) return [[attr, trimmed(value).toString("utf8")]];
    if (optional === true) return [];
    throw keyNotFound(secret, `"${key}"`);
  });
  return { list, index, attrs: Object.fromEntries(values) };
}

interface GitCredentials extends Pick<Credentials, "secrets" | "sshKeys"> {
  readonly knownHosts: readonly (readonly [secretName: string, hosts: string])[];
}

async function gitCredentials(
  { secretName, transport, host }: GitNeed,
  reader: Reader,
): Promise<GitCredentials> {
  const secret = await read(secrets, secretName, reader);
  if (transport === "ssh") {
    const key = valueOf(secret, "ssh-privatekey");
    if (key === undefined) throw keyNotFound(secret, '"ssh-privatekey", which an SSH URL needs');
    const knownHosts = valueOf(secret, "known_hosts")?.toString("utf8");
    const sshKeys = [{ id: "default", privateKey: key.toString("utf8") }];
    return {
      secrets: new Map(),
      sshKeys,
      knownHosts: knownHosts === undefined ? [] : [[secretName, knownHosts]],
    };
  }
  // BuildKit asks for these ids before the ones without a host: the token goes to no other server.
  const token = valueOf(secret, "token");
  if (token !== undefined)
    return {
      secrets: new Map([[`GIT_AUTH_TOKEN.${host}`, trimmed(token)]]),
      sshKeys: [],
      knownHosts: [],
    };
  const pair = basicPair(secret);
  if (pair === undefined)
    throw keyNotFound(secret, '"token", or "username" and "password", which an http(s) URL needs');
  return {
    secrets: new Map([[`GIT_AUTH_HEADER.${host}`, Buffer.from(`basic ${pair}`)]]),
    sshKeys: [],
    knownHosts: [],
  };
}

/** Files made by editors and `echo` end in a line break that is no part of a token. */
function trimmed(value: Buffer): Buffer {
  return Buffer.from(value.toString("utf8").replace(/[\r\n]+$/, ""));
}

function loginsOf(secret: Secret): DockerConfig {
  const raw = valueOf(secret, ".dockerconfigjson") ?? valueOf(secret, ".dockercfg");
  if (raw === undefined) throw keyNotFound(secret, '".dockerconfigjson"');
  try {
    return parseDockerConfig(raw.toString("utf8"));
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    const message = `Secret "${secret.metadata.name}": ${error.message}`;
    throw new KilnError({ class: error.class, reason: "SecretInvalid", message });
  }
}

/** A Secret with logins may have the authority of its registries beside them. */
function authoritiesOf(secret: Secret): [host: string, pem: string][] {
  const ca = valueOf(secret, "ca.crt")?.toString("utf8");
  const hosts = registriesOf(valueOf(secret, ".dockerconfigjson")?.toString("utf8") ?? "");
  return ca === undefined ? [] : hosts.map((host) => [host, ca]);
}

async function readLogins(
  needs: Needs,
  pullSecrets: readonly string[],
  reader: Reader,
): Promise<Pick<Credentials, "logins" | "authorities" | "hints">> {
  const objects = await Promise.all(
    needs.registryCredentials.map(async (name) => await read(secrets, name, reader)),
  );
  const named = objects.map(loginsOf);
  const pulls = await Promise.all(pullSecrets.map((name) => pullSecretLogins(name, reader)));
  // Later ones win in a merge: what the run names beats what its account brings along, and the first of each the rest.
  const logins = mergeDockerConfigs([
    ...pulls.map(({ logins: found }) => found).reverse(),
    ...named.reverse(),
  ]);
  const authorities = new Map(objects.flatMap(authoritiesOf).reverse());
  return {
    logins,
    authorities,
    hints: pulls.flatMap(({ hint }) => (hint === undefined ? [] : [hint])),
  };
}

// A service account's imagePullSecrets are often put there by the platform and not meant for builds: one that can't be
// read is no reason to fail, but it is worth a word when a registry refuses later.
async function pullSecretLogins(
  name: string,
  reader: Reader,
): Promise<{ logins: DockerConfig; hint?: string }> {
  try {
    return { logins: loginsOf(await read(secrets, name, reader)) };
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    return { logins: noLogins, hint: `The imagePullSecret was not used: ${error.message}` };
  }
}
