// A registry that asks for tokens: a real one behind a gate that issues tokens of short life for a password, and lets nothing
// through without one that is valid and of the right scope. It can be slow, so that tokens end while a push goes on.

import { randomUUID } from "node:crypto";
import http from "node:http";
import { serve } from "../../../cluster/index.ts";
import { setTimeout as delay } from "node:timers/promises";

/** What was asked of the registry behind the gate, or refused before it. */
export interface Passage {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly status: number;
  /** Whether the token had been valid before. */
  readonly expired: boolean;
}

/** A running gate. */
export interface TokenGate {
  readonly host: string;
  /** Scopes of the tokens that were issued, in order: "repository:app:pull,push". */
  readonly scopes: string[];
  readonly passages: Passage[];
  /** The registry that it is before. */
  behind(url: string): void;
  stop(): Promise<void>;
}

/** How a gate behaves. */
export interface TokenGateOptions {
  readonly user: string;
  readonly password: string;
  /** Life of a token in milliseconds. */
  readonly lifeMs: number;
  /** Milliseconds that each request that writes takes at least. */
  readonly slowMs: number;
}

interface Token {
  readonly scopes: readonly string[];
  readonly until: number;
}

/** What a request needs: pull to read, push to write, and pull of what it mounts. */
function needs({ method, url = "" }: http.IncomingMessage): string[] {
  const { pathname, searchParams } = new URL(url, "http://gate");
  const name = /^\/v2\/(.+?)\/(?:blobs|manifests|tags)\//.exec(pathname)?.[1];
  if (name === undefined) return [];
  const from = searchParams.get("from");
  const reads = method === "GET" || method === "HEAD";
  return [
    `repository:${name}:${reads ? "pull" : "pull,push"}`,
    ...(from === null ? [] : [`repository:${from}:pull`]),
  ];
}

function grants(token: Token, need: string): boolean {
  const [, name, wanted = ""] = need.split(":");
  return wanted.split(",").every((action) =>
    token.scopes.some((scope) => {
      const [, of, actions = ""] = scope.split(":");
      return of === name && actions.split(",").includes(action);
    }),
  );
}

/** Starts it on a free port. */
export async function tokenGate(o: TokenGateOptions): Promise<TokenGate> {
  const tokens = new Map<string, Token>();
  const scopes: string[] = [];
  const passages: Passage[] = [];
  const basic = `Basic ${Buffer.from(`${o.user}:${o.password}`).toString("base64")}`;
  let target = "";
  let host = "";

  async function issue(request: http.IncomingMessage, response: http.ServerResponse) {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    const asked = new URL(request.url ?? "", "http://gate").searchParams;
    const own = form.get("username") === o.user && form.get("password") === o.password;
    if (request.headers.authorization !== basic && !own) {
      response.writeHead(401).end("{}");
      return;
    }
    const wanted = [...asked.getAll("scope"), ...form.getAll("scope")].flatMap((all) =>
      all.split(" "),
    );
    scopes.push(...wanted);
    const token = randomUUID();
    tokens.set(token, { scopes: wanted, until: Date.now() + o.lifeMs });
    // Clients that fetch a new one shortly before the end do not meet an expired one: this says that it lives on.
    const said = { token, access_token: token, expires_in: 300 };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(said));
  }

  /** In the words of RFC 6750, as registries say it: what is wrong with the token, if there was one. */
  function refuse(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    fault: string | undefined,
  ): void {
    const scope = needs(request).join(" ");
    const challenge = [
      `Bearer realm="http://${host}/token"`,
      'service="gate"',
      ...(scope === "" ? [] : [`scope="${scope}"`]),
      ...(fault === undefined ? [] : [`error="${fault}"`]),
    ].join(",");
    request.resume();
    const body = JSON.stringify({ errors: [{ code: "UNAUTHORIZED", message: "no token" }] });
    response.writeHead(401, { "www-authenticate": challenge }).end(body);
  }

  async function pass(request: http.IncomingMessage, response: http.ServerResponse) {
    const { method = "GET", url = "", headers } = request;
    const token = tokens.get((headers.authorization ?? "").replace(/^Bearer /, ""));
    const expired = token !== undefined && token.until < Date.now();
    const tell = (status: number) => passages.push({ method, path: url, status, expired });
    const isGood = token !== undefined && !expired;
    if (!isGood || !needs(request).every((need) => grants(token, need))) {
      tell(401);
      const fault = isGood ? "insufficient_scope" : "invalid_token";
      refuse(request, response, token === undefined ? undefined : fault);
      return;
    }
    if (method !== "GET" && method !== "HEAD") await delay(o.slowMs);
    const { authorization: _, ...rest } = headers;
    const sent = http.request(`${target}${url}`, { method, headers: rest }, (answer) => {
      tell(answer.statusCode ?? 0);
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    sent.on("error", () => response.destroy());
    request.pipe(sent);
  }

  const served = await serve((request, response) => {
    const work = request.url?.startsWith("/token") === true ? issue : pass;
    work(request, response).catch(() => response.destroy());
  });
  host = served.host;
  const { stop } = served;
  return { host, scopes, passages, behind: (url) => void (target = url), stop };
}
