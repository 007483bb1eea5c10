// Logins exchanged for scoped tokens, and what a registry asks for.
import {
  parseChallenges,
  parseToken,
  tokenRequests,
  type RegistryToken,
  type TokenWish,
} from "./challenge.ts";
import type { RegistryLogin } from "./docker-config.ts";
import { send, type HttpOptions } from "./http.ts";
import { refused, unreachable } from "./registry-errors.ts";

/** A host that docker takes plain http from: this machine. */
export function isLocalHost(host: string): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/.test(host);
}

/** How a registry wants its clients to log in. */
export type Login =
  | { readonly kind: "none" }
  | { readonly kind: "basic" }
  | { readonly kind: "bearer"; readonly realm: string; readonly service: string };

/** The first Bearer challenge, else Basic, else nothing that we know. */
export function loginWanted(challenge: string): Login {
  const challenges = parseChallenges(challenge);
  const bearer = challenges.find(({ scheme }) => scheme === "bearer")?.parameters;
  if (bearer?.["realm"] !== undefined) {
    return { kind: "bearer", realm: bearer["realm"], service: bearer["service"] ?? "" };
  }
  return { kind: challenges.some(({ scheme }) => scheme === "basic") ? "basic" : "none" };
}

/** The addresses of a registry, the safest first; plain http only where it is allowed. */
export function baseUrls(host: string, insecure: boolean): string[] {
  const plain = insecure || isLocalHost(host);
  return plain ? [`https://${host}`, `http://${host}`] : [`https://${host}`];
}

/** Asks a registry how it wants to be logged in to. Throws KilnError Registry/… when it does not answer. */
export async function probe(host: string, options: HttpOptions): Promise<Login> {
  let failure: unknown;
  for (const base of baseUrls(host, options.insecure === true)) {
    try {
      const { status, challenge } = await send({ method: "GET", url: `${base}/v2/` }, options);
      return status === 401 ? loginWanted(challenge) : { kind: "none" };
    } catch (error) {
      options.signal.throwIfAborted();
      failure = error;
    }
  }
  throw unreachable(host, failure);
}

/**
 * Gets a token for exactly the wished scopes. The login is sent to the realm and nowhere else: the caller
 * must know that the registry itself named that realm. Throws KilnError Registry/….
 */
export async function fetchToken(
  host: string,
  wish: TokenWish,
  login: RegistryLogin | undefined,
  options: HttpOptions,
): Promise<RegistryToken> {
  if (login?.kind === "registryToken") return { token: login.token, expiresInSeconds: 60 };
  let status = 0;
  for (const request of tokenRequests(wish, login)) {
    const response = await send(request, options).catch((error: unknown) => {
      options.signal.throwIfAborted();
      throw unreachable(new URL(wish.realm).host, error);
    });
    const token = response.status === 200 ? parseToken(response.body.toString("utf8")) : undefined;
    if (token !== undefined) return token;
    status = response.status;
    // Another form may be understood; anything else is an answer.
    if (![401, 404, 405].includes(status)) break;
  }
  throw refused(host, status, `a token for ${wish.scopes.join(" ") || "its API"}`);
}
