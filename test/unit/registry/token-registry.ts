// A registry's API and its token server in this process, over plain http or https. Honours: the Bearer challenge, Basic and
// OAuth logins, manifests. Does not honour: pushes, blobs, expiry of tokens.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { createHash } from "node:crypto";

/** Who may log in. */
export interface Account {
  readonly username: string;
  readonly password: string;
  readonly identityToken: string;
}

/** A request that came in; `agent` tells the daemon from us. */
export interface SeenRequest {
  readonly path: string;
  readonly authorization: string;
  readonly agent: string;
}

/** The running fake, and what it saw. */
export interface TokenRegistry {
  readonly host: string;
  readonly realm: string;
  readonly manifest: Buffer;
  readonly requests: SeenRequest[];
  /** Scopes that tokens were made for. */
  readonly scopes: string[];
  /** Settles at the first connection's request. */
  readonly asked: Promise<void>;
  /** From now on GET of a token is answered with this. */
  refuseGet(status: number): void;
  /** From now on nothing is answered. */
  hang(): void;
  stop(): Promise<void>;
}

class Fake {
  readonly manifest = Buffer.from(
    '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}',
  );
  readonly requests: SeenRequest[] = [];
  readonly scopes: string[] = [];
  readonly #account: Account;
  refusal = 0;
  hangs = false;
  realm = "";

  constructor(account: Account) {
    this.#account = account;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://fake");
    const { authorization = "", "user-agent": agent = "" } = request.headers;
    this.requests.push({ path: url.pathname, authorization, agent });
    if (this.hangs) return;
    let body = "";
    for await (const chunk of request) body += String(chunk);
    if (url.pathname === "/token")
      this.#token(request, new URLSearchParams(body), { url, response });
    else this.#api(request, url, response);
  }

  #token(
    request: IncomingMessage,
    form: URLSearchParams,
    { url, response }: { url: URL; response: ServerResponse },
  ): void {
    if (request.method === "GET" && this.refusal !== 0) {
      response.writeHead(this.refusal, { location: "/elsewhere" }).end();
      return;
    }
    const { username, password, identityToken } = this.#account;
    const basic = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
    const known =
      request.method === "GET"
        ? request.headers.authorization === basic
        : (form.get("grant_type") === "password" && form.get("password") === password) ||
          form.get("refresh_token") === identityToken;
    if (!known) {
      response.writeHead(401).end();
      return;
    }
    const scope = url.searchParams.get("scope") ?? form.get("scope") ?? "";
    this.scopes.push(scope);
    response.end(JSON.stringify({ token: `token for ${scope}`, expires_in: 120 }));
  }

  #api(request: IncomingMessage, url: URL, response: ServerResponse): void {
    const name = /^\/v2\/(.+)\/manifests\//.exec(url.pathname)?.[1];
    if (
      name === undefined ||
      request.headers.authorization !== `Bearer token for repository:${name}:pull`
    ) {
      response
        .writeHead(401, { "www-authenticate": `Bearer realm="${this.realm}",service="fake"` })
        .end();
      return;
    }
    if (name === "nothing") {
      response.writeHead(404).end();
      return;
    }
    const digest = `sha256:${createHash("sha256").update(this.manifest).digest("hex")}`;
    response.writeHead(200, { "docker-content-digest": digest });
    response.end(request.method === "HEAD" ? undefined : this.manifest);
  }
}

/** Starts it on a free port of this machine; with a certificate it is `localhost` and speaks TLS. PEM texts. */
export async function tokenRegistry(
  account: Account,
  tls?: { readonly cert: string; readonly key: string },
): Promise<TokenRegistry> {
  const fake = new Fake(account);
  const { promise: asked, resolve: wasAsked } = Promise.withResolvers<void>();
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    wasAsked();
    void fake.answer(request, response);
  };
  const server = tls === undefined ? createServer(handle) : https.createServer(tls, handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const host = `${tls === undefined ? "127.0.0.1" : "localhost"}:${port}`;
  fake.realm = `${tls === undefined ? "http" : "https"}://${host}/token`;
  return {
    host,
    realm: fake.realm,
    manifest: fake.manifest,
    requests: fake.requests,
    scopes: fake.scopes,
    asked,
    refuseGet: (status) => void (fake.refusal = status),
    hang: () => void (fake.hangs = true),
    async stop() {
      if (!server.listening) return;
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
