// What a registry asks for in WWW-Authenticate (RFC 9110 §11.6.1), and the token request it leads to. Pure.
import type { RegistryLogin } from "./docker-config.ts";

/** One challenge; names of scheme and parameters in lower case. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

const parameter = /^\s*,?\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/;
const scheme = /^\s*,?\s*([A-Za-z][\w-]*)(?=\s|,|$)(?!\s*=)/;

/** Reads a header value; what comes after something unreadable is dropped. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  let rest = header;
  for (;;) {
    const start = scheme.exec(rest);
    if (start === null) return challenges;
    rest = rest.slice(start[0].length);
    const parameters: Record<string, string> = {};
    for (let found = parameter.exec(rest); found !== null; found = parameter.exec(rest)) {
      rest = rest.slice(found[0].length);
      const value = found[2]?.replaceAll(/\\(.)/g, "$1") ?? found[3] ?? "";
      parameters[(found[1] ?? "").toLowerCase()] = value;
    }
    challenges.push({ scheme: (start[1] ?? "").toLowerCase(), parameters });
  }
}

/** A token that is wanted, as a Bearer challenge states it. */
export interface TokenWish {
  readonly realm: string;
  readonly service: string;
  /** "repository:team/app:pull,push". */
  readonly scopes: readonly string[];
}

/** An HTTP request in parts. */
export interface TokenRequest {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

const clientId = "kiln";

/** "Basic …" of a user and password. */
export function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`, "utf8").toString("base64")}`;
}

/**
 * The requests to try, in order: GET with the login is understood everywhere but by some that want the OAuth
 * form; an identity token has that form only. Throws TypeError when the realm is no http(s) URL.
 */
export function tokenRequests(wish: TokenWish, login: RegistryLogin | undefined): TokenRequest[] {
  const realm = new URL(wish.realm);
  if (realm.protocol !== "https:" && realm.protocol !== "http:") {
    throw new TypeError("the realm of a token is not an http URL");
  }
  switch (login?.kind) {
    case undefined:
    case "registryToken":
      return [getRequest(realm, wish, {})];
    case "identityToken":
      return [
        postRequest(realm, wish, { grant_type: "refresh_token", refresh_token: login.token }),
      ];
    case "basic": {
      const { username, password } = login;
      const headers = { authorization: basicAuthorization(username, password) };
      return [
        getRequest(realm, wish, headers, username),
        postRequest(realm, wish, { grant_type: "password", username, password }),
      ];
    }
  }
}

function getRequest(
  realm: URL,
  wish: TokenWish,
  headers: Record<string, string>,
  account?: string,
): TokenRequest {
  const url = new URL(realm);
  if (wish.service !== "") url.searchParams.set("service", wish.service);
  for (const scope of wish.scopes) url.searchParams.append("scope", scope);
  if (account !== undefined) url.searchParams.set("account", account);
  return { method: "GET", url: url.href, headers };
}

function postRequest(realm: URL, wish: TokenWish, grant: Record<string, string>): TokenRequest {
  const form = new URLSearchParams({
    ...grant,
    service: wish.service,
    client_id: clientId,
    ...(wish.scopes.length === 0 ? {} : { scope: wish.scopes.join(" ") }),
  });
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  return { method: "POST", url: realm.href, headers, body: form.toString() };
}

/** A token and how long it holds. */
export interface RegistryToken {
  readonly token: string;
  readonly expiresInSeconds: number;
  readonly issuedAt?: Date;
}

const defaultLifetimeSeconds = 60; // the distribution spec's default

/** Reads the answer of a token server; undefined when it holds no token. */
export function parseToken(body: string): RegistryToken | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const fields = value as Record<string, unknown>;
  const token = [fields["token"], fields["access_token"]].find(
    (text): text is string => typeof text === "string" && text !== "",
  );
  if (token === undefined) return undefined;
  const expires = Number(fields["expires_in"] ?? 0);
  const issued = new Date(typeof fields["issued_at"] === "string" ? fields["issued_at"] : NaN);
  return {
    token,
    expiresInSeconds: expires > 0 ? Math.floor(expires) : defaultLifetimeSeconds,
    ...(Number.isNaN(issued.getTime()) ? {} : { issuedAt: issued }),
  };
}
