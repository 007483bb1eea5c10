// Asking a repository for something to read: at the first address of its registry that answers, without a login and then
// with what the registry wants.
import { KilnError } from "../errors/index.ts";
import { basicAuthorization } from "./challenge.ts";
import { type DockerConfig, loginFor } from "./docker-config.ts";
import type { HttpOptions, HttpResponse } from "./http.ts";
import { type ImageReference, registryHost } from "./reference.ts";
import { unreachable } from "./registry-errors.ts";
import { baseUrls, fetchToken, loginWanted } from "./token.ts";

/** How a registry is read. `insecure`: plain http and any certificate are fine. */
export interface ReadOptions extends HttpOptions {
  readonly logins: DockerConfig;
}

/**
 * The registry's answer. `ask` sends one request below an address, with a value for `authorization` when it is asked again.
 * Throws KilnError Registry/… when no address answers, or a token is refused.
 */
export async function askToRead(
  reference: ImageReference,
  options: ReadOptions,
  ask: (base: string, authorization?: string) => Promise<HttpResponse>,
): Promise<HttpResponse> {
  const host = registryHost(reference.domain);
  let failure: unknown;
  for (const base of baseUrls(host, options.insecure === true)) {
    try {
      const first = await ask(base);
      if (first.status !== 401) return first;
      const authorization = await authorizationFor(first.challenge, reference, options);
      return authorization === undefined ? first : await ask(base, authorization);
    } catch (error) {
      options.signal.throwIfAborted();
      if (error instanceof KilnError) throw error;
      failure = error;
    }
  }
  throw unreachable(host, failure);
}

/** The header for what the registry asked for; undefined: there is no login for it. Throws as `fetchToken`. */
export async function authorizationFor(
  challenge: string,
  { domain, repository }: ImageReference,
  options: ReadOptions,
  actions: "pull" | "pull,push" = "pull",
): Promise<string | undefined> {
  const login = loginFor(options.logins, domain, repository);
  const wanted = loginWanted(challenge);
  if (wanted.kind === "bearer") {
    const scopes = [`repository:${repository}:${actions}`];
    const host = registryHost(domain);
    return `Bearer ${(await fetchToken(host, { ...wanted, scopes }, login, options)).token}`;
  }
  if (wanted.kind === "basic" && login?.kind === "basic") {
    return basicAuthorization(login.username, login.password);
  }
  return undefined;
}
