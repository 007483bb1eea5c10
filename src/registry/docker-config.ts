// Registry logins as docker writes them (config.json, kubernetes.io/dockerconfigjson). Pure.
import { KilnError } from "../errors/index.ts";

/** A login. An identity token is exchanged for access tokens; a registry token is one. */
export type RegistryLogin =
  | { readonly kind: "basic"; readonly username: string; readonly password: string }
  | { readonly kind: "identityToken"; readonly username: string; readonly token: string }
  | { readonly kind: "registryToken"; readonly token: string };

/** Logins by key: "registry.example:5000", "registry.example/team", "docker.io". */
export type DockerConfig = ReadonlyMap<string, RegistryLogin>;

/** No login at all: everything is anonymous. */
export const noLogins: DockerConfig = new Map();

const hubNames = new Set([
  "index.docker.io",
  "registry-1.docker.io",
  "docker.io",
  "registry.docker.io",
]);

function invalid(why: string): KilnError {
  return new KilnError({
    class: "User",
    reason: "InvalidDockerConfig",
    message: `The docker config is not usable: ${why}; make it with \`docker login\` or \`kubectl create secret docker-registry\`.`,
  });
}

/** Scheme, API version and Docker Hub's aliases away: "https://index.docker.io/v1/" → "docker.io". */
export function loginKey(name: string): string {
  const bare = name
    .replace(/^https?:\/\//, "")
    .replace(/\/+$/, "")
    .replace(/\/v[12]$/, "");
  const slash = bare.indexOf("/");
  const host = (slash === -1 ? bare : bare.slice(0, slash)).toLowerCase();
  const path = slash === -1 ? "" : bare.slice(slash);
  return (hubNames.has(host) ? "docker.io" : host) + path;
}

function stringField(entry: Record<string, unknown>, field: string): string {
  const value = entry[field];
  return typeof value === "string" ? value : "";
}

function decodeAuth(key: string, auth: string): { username: string; password: string } {
  const text = Buffer.from(auth, "base64").toString("utf8").replaceAll("\0", "");
  const colon = text.indexOf(":");
  if (colon < 1) throw invalid(`"auth" of "${key}" is not base64 of user:password`);
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

function loginOf(key: string, entry: unknown): RegistryLogin | undefined {
  if (typeof entry !== "object" || entry === null)
    throw invalid(`the login of "${key}" is not an object`);
  const fields = entry as Record<string, unknown>;
  const registryToken = stringField(fields, "registrytoken");
  if (registryToken !== "") return { kind: "registryToken", token: registryToken };
  const auth = stringField(fields, "auth");
  const pair = auth === "" ? undefined : decodeAuth(key, auth);
  const username = pair?.username ?? stringField(fields, "username");
  const identity = stringField(fields, "identitytoken");
  if (identity !== "") return { kind: "identityToken", username, token: identity };
  // The user name that docker gives a login by token.
  const password = pair?.password ?? stringField(fields, "password");
  if (username === "<token>") return { kind: "identityToken", username, token: password };
  return username === "" ? undefined : { kind: "basic", username, password };
}

/**
 * Reads config.json: `auths` only (stores and helpers are programs of another machine). The old
 * form of .dockercfg, without `auths` around it, is read too. Throws KilnError User/InvalidDockerConfig;
 * no message holds a login.
 */
export function parseDockerConfig(json: string): DockerConfig {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw invalid("it is not JSON"); // the parser's message may quote a password
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid("it is not an object");
  const auths: unknown = "auths" in value ? value.auths : legacyAuths(value);
  if (auths === null || auths === undefined) return noLogins;
  if (typeof auths !== "object" || Array.isArray(auths)) throw invalid('"auths" is not an object');
  const logins = new Map<string, RegistryLogin>();
  for (const [key, entry] of Object.entries(auths)) {
    const login = loginOf(key, entry);
    if (login !== undefined) logins.set(loginKey(key), login);
  }
  return logins;
}

function legacyAuths(value: object): Record<string, unknown> {
  const entries = Object.entries(value).filter(
    ([, entry]) => typeof entry === "object" && entry !== null && "auth" in entry,
  );
  return Object.fromEntries(entries);
}

/** One config out of several; where two know the same registry, the later one holds. */
export function mergeDockerConfigs(configs: readonly DockerConfig[]): DockerConfig {
  return new Map(configs.flatMap((config) => [...config]));
}

/** Host labels compare one by one, "*" stands within one label (as the kubelet reads pull secrets). */
function hostMatches(pattern: string, host: string): boolean {
  if (!pattern.includes("*")) return pattern === host;
  const wanted = pattern.split(".");
  const given = host.split(".");
  return (
    wanted.length === given.length &&
    wanted.every((label, index) => labelMatches(label, given[index] ?? ""))
  );
}

function labelMatches(pattern: string, label: string): boolean {
  const [head = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return head === label;
  const tail = rest.pop() ?? "";
  if (!label.startsWith(head) || !label.endsWith(tail) || label.length < head.length + tail.length)
    return false;
  let from = head.length;
  for (const part of rest) {
    const found = label.indexOf(part, from);
    if (found === -1 || found + part.length > label.length - tail.length) return false;
    from = found + part.length;
  }
  return true;
}

/**
 * The login for a registry, and for one of its repositories when given: the longest key whose host
 * matches and whose path is a prefix. Docker Hub is found under each of its names.
 */
export function loginFor(
  config: DockerConfig,
  host: string,
  repository = "",
): RegistryLogin | undefined {
  const wanted = loginKey(host);
  let best: { key: string; login: RegistryLogin } | undefined;
  for (const [key, login] of config) {
    const slash = key.indexOf("/");
    const keyHost = slash === -1 ? key : key.slice(0, slash);
    const path = slash === -1 ? "" : key.slice(slash + 1);
    const covers = path === "" || repository === path || repository.startsWith(`${path}/`);
    if (!covers || !hostMatches(keyHost, wanted)) continue;
    if (best === undefined || better(key, best.key, wanted)) best = { key, login };
  }
  return best?.login;
}

/**
 * The login for a registry when the repository is not known: the one for the whole host, else the one for a
 * part of it when there is just one.
 */
export function loginForHost(config: DockerConfig, host: string): RegistryLogin | undefined {
  const whole = loginFor(config, host);
  if (whole !== undefined) return whole;
  const prefix = `${loginKey(host)}/`;
  const [only, second] = [...config].filter(([key]) => key.startsWith(prefix));
  return second === undefined ? only?.[1] : undefined;
}

function better(key: string, than: string, host: string): boolean {
  const depth = key.split("/").length - than.split("/").length;
  if (depth !== 0) return depth > 0;
  if (key === host || than === host) return key === host;
  return key.length > than.length;
}
