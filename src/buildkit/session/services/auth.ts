// Registry logins for the daemon (moby.filesync.v1.Auth): scoped tokens where we can get them, else the login.
// The daemon asks GetTokenAuthority first. A public key says "we fetch tokens for this registry": from then on
// it only ever sees tokens. UNIMPLEMENTED says "fetch them yourself": it asks Credentials (v0.34.2,
// util/resolver/authorizer.go). We say the former when the registry answers us, too, with a Bearer challenge.
import { grpcStatus } from "../../errors/grpc-status.ts";
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  randomBytes,
  sign,
  type KeyObject,
} from "node:crypto";
import { Auth } from "../../../gen/moby/filesync/v1/auth_pb.ts";
import { KilnError } from "../../../errors/index.ts";
import {
  loginFor,
  loginForHost,
  type DockerConfig,
  type RegistryLogin,
} from "../../../registry/docker-config.ts";
import { fetchToken, probe } from "../../../registry/token.ts";
import { SessionError, type Attachable } from "../attachable.ts";
import { unaryMethod } from "../unary.ts";

const probeMs = 5_000;

/** How logins are given out. */
export interface AuthOptions {
  /** Get scoped tokens ourselves where the registry answers us. Default: true. */
  readonly scopedTokens?: boolean;
  /**
   * Secret bytes: sessions with the same bytes and the same login share their tokens on a daemon. Default:
   * random, nothing is shared.
   */
  readonly tokenSharingKey?: Uint8Array;
  /** PEM of further authorities that a registry (`host:port`) and its token server may be signed by. Default: none. */
  readonly authority?: (host: string) => string | undefined;
}

// PKCS #8 of an Ed25519 key is this head and the 32 bytes of its seed (RFC 8410 §10.3).
const pkcs8Head = Buffer.from("302e020100300506032b657004220420", "hex");
const spkiHeadBytes = 12;

/** Different logins must have different keys: the daemon takes equal keys as leave to share tokens. */
function authorityKey(secret: Uint8Array, salt: Uint8Array, about: string): KeyObject {
  const seed = createHmac("sha256", secret).update(salt).update("\0").update(about).digest();
  return createPrivateKey({ key: Buffer.concat([pkcs8Head, seed]), format: "der", type: "pkcs8" });
}

function rawPublicKey(key: KeyObject): Uint8Array<ArrayBuffer> {
  const der = createPublicKey(key).export({ format: "der", type: "spki" });
  return Uint8Array.from(der.subarray(spkiHeadBytes));
}

/** What a daemon may know without a token exchange. A static token never leaves this way. */
function credentialsOf(login: RegistryLogin | undefined): { username: string; secret: string } {
  if (login?.kind === "basic") return { username: login.username, secret: login.password };
  if (login?.kind === "identityToken") return { username: "", secret: login.token };
  return { username: "", secret: "" };
}

/** The repository that scopes are about, to choose among logins for parts of a registry. */
function repositoryOf(scopes: readonly string[]): string {
  const names = scopes.map((scope) => /^repository:(.+):[^:]*$/.exec(scope)?.[1]);
  return names.find((name) => name !== undefined) ?? "";
}

/** One session's knowledge of who may be told what. */
class TokenAuthority {
  readonly #config: DockerConfig;
  readonly #options: AuthOptions;
  readonly #secret: Uint8Array;
  /** Realm by host, as the registry itself named it. */
  readonly #realms = new Map<string, string>();

  constructor(config: DockerConfig, options: AuthOptions) {
    this.#config = config;
    this.#options = options;
    this.#secret = options.tokenSharingKey ?? randomBytes(32);
  }

  async publicKey(host: string, salt: Uint8Array, signal: AbortSignal) {
    const login = loginForHost(this.#config, host);
    const ours = login !== undefined && (await this.#weFetchTokens(host, login, signal));
    if (!ours)
      throw new SessionError(
        grpcStatus.unimplemented,
        `tokens for ${host} are for the daemon to fetch`,
      );
    return { publicKey: rawPublicKey(this.#key(host, salt)) };
  }

  verify(host: string, salt: Uint8Array, payload: Uint8Array) {
    const signature = sign(null, payload, this.#key(host, salt));
    return { signed: Uint8Array.from(Buffer.concat([signature, payload])) };
  }

  async token(
    wish: { host: string; realm: string; service: string; scopes: string[] },
    signal: AbortSignal,
  ) {
    const login = loginFor(this.#config, wish.host, repositoryOf(wish.scopes));
    // A daemon, or a registry that lies to it, must not have our login sent to a server of its choice.
    if (login?.kind !== "registryToken" && this.#realms.get(wish.host) !== wish.realm) {
      throw new SessionError(
        grpcStatus.permissionDenied,
        `registry ${wish.host} has not named this realm to us`,
      );
    }
    try {
      const found = await fetchToken(wish.host, wish, login, { signal, ...this.#trust(wish.host) });
      const issuedAt = BigInt(Math.floor((found.issuedAt?.getTime() ?? 0) / 1000));
      return { token: found.token, expiresIn: BigInt(found.expiresInSeconds), issuedAt };
    } catch (error) {
      if (!(error instanceof KilnError)) throw error;
      throw new SessionError(
        error.retryable ? grpcStatus.unavailable : grpcStatus.unauthenticated,
        tokenFailure(error),
      );
    }
  }

  async #weFetchTokens(host: string, login: RegistryLogin, signal: AbortSignal): Promise<boolean> {
    if (login.kind === "registryToken") return true;
    if (this.#options.scopedTokens === false) return false;
    try {
      const wanted = await probe(host, { signal, deadlineMs: probeMs, ...this.#trust(host) });
      if (wanted.kind !== "bearer") return false;
      this.#realms.set(host, wanted.realm);
      return true;
    } catch {
      return false; // the daemon reaches it, we do not: it gets the login
    }
  }

  /** Equal only for equal configs: whoever knows all our logins may share our tokens. */
  #key(host: string, salt: Uint8Array): KeyObject {
    const logins = [...this.#config].sort(([a], [b]) => (a < b ? -1 : 1));
    return authorityKey(this.#secret, salt, JSON.stringify([host, logins]));
  }

  #trust(host: string): { ca?: string } {
    const ca = this.#options.authority?.(host);
    return ca === undefined ? {} : { ca };
  }
}

/** The words that the error table reads back when the daemon returns them. */
function tokenFailure(error: KilnError): string {
  return error.retryable
    ? `failed to do request: ${error.message}`
    : `failed to fetch oauth token: unauthorized: ${error.message}`;
}

/** Serves registry logins out of a docker config. Hosts without a login are anonymous. */
export function authProvider(config: DockerConfig, options: AuthOptions = {}): Attachable {
  const authority = new TokenAuthority(config, options);
  return {
    methods: Object.fromEntries([
      unaryMethod(Auth.method.credentials, ({ host }) =>
        Promise.resolve(credentialsOf(loginForHost(config, host))),
      ),
      unaryMethod(Auth.method.fetchToken, (wish, signal) => authority.token(wish, signal)),
      unaryMethod(Auth.method.getTokenAuthority, ({ host, salt }, signal) =>
        authority.publicKey(host, salt, signal),
      ),
      unaryMethod(Auth.method.verifyTokenAuthority, ({ host, salt, payload }) =>
        Promise.resolve(authority.verify(host, salt, payload)),
      ),
    ]),
  };
}
