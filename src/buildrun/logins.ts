// A registry Secret as logins by host. Both forms that Kubernetes has: `.dockerconfigjson` and the older `.dockercfg`.

import type { RegistryLogin } from "../agent/agent.ts";
import { KilnError } from "../errors/index.ts";
import type { Secret } from "../kube/types.ts";

interface AuthJson {
  readonly auth?: unknown;
  readonly username?: unknown;
  readonly password?: unknown;
  readonly identitytoken?: unknown;
  readonly registrytoken?: unknown;
}

function invalid(secret: Secret, why: string): KilnError {
  return new KilnError({
    class: "User",
    reason: "SecretInvalid",
    message: `Secret "${secret.metadata.name}" is no registry credential: ${why}. Make one with "kubectl create secret docker-registry".`,
  });
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function loginOf(entry: AuthJson): RegistryLogin {
  const pair = Buffer.from(text(entry.auth) ?? "", "base64").toString("utf8");
  const colon = pair.indexOf(":");
  const username = text(entry.username) ?? (colon < 0 ? undefined : pair.slice(0, colon));
  const password = text(entry.password) ?? (colon < 0 ? undefined : pair.slice(colon + 1));
  const identityToken = text(entry.identitytoken);
  const registryToken = text(entry.registrytoken);
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(identityToken === undefined ? {} : { identityToken }),
    ...(registryToken === undefined ? {} : { registryToken }),
  };
}

/** The logins in a Secret, by host as it is written there. Throws `KilnError` `SecretInvalid`; never quotes its content. */
export function loginsOf(secret: Secret): [string, RegistryLogin][] {
  const modern = secret.data?.[".dockerconfigjson"];
  const raw = modern ?? secret.data?.[".dockercfg"];
  if (raw === undefined) throw invalid(secret, 'it has no key ".dockerconfigjson"');
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(raw, "base64").toString("utf8"));
  } catch {
    throw invalid(secret, "its content is not JSON");
  }
  const outer = parsed as { auths?: unknown } | null;
  const auths = modern === undefined ? outer : outer?.auths;
  if (typeof auths !== "object" || auths === null) throw invalid(secret, 'it has no "auths"');
  return Object.entries(auths).map(([host, entry]) => [host, loginOf((entry ?? {}) as AuthJson)]);
}
