// Where do certificates live? The authority in a Secret of Kiln's namespace, a server certificate in a
// Secret of each namespace that has Builders, the controller's own in memory.

import { randomBytes } from "node:crypto";
import { KilnError } from "../../errors/index.ts";
import type { KubeClient } from "../../kube/client.ts";
import { isApiError } from "../../kube/errors.ts";
import type { OwnerReference } from "../../kube/object.ts";
import { secrets, type Secret } from "../../kube/types.ts";
import { serverSecret, type ServerCertificate } from "../kubernetes/access.ts";
import {
  authoritySecret,
  manager,
  managedByLabel,
  serverNamePattern,
  serverTlsSecret,
} from "../names.ts";
import {
  fingerprint,
  isDue,
  isGoodServer,
  issueClient,
  issueServer,
  newAuthority,
  renewed,
  type Authority,
  type ClientCertificate,
} from "./authority.ts";

/** What `Identities` is made of. */
export interface IdentitiesOptions {
  readonly client: KubeClient;
  /** Kiln's own. */
  readonly namespace: string;
  readonly now: () => Date;
}

/** The authority is read again after this long, to notice one that another replica renewed. */
const authorityFreshMs = 10 * 60_000;

/** Issues, stores and renews the certificates of Kiln and its Builders. */
export class Identities {
  readonly #o: IdentitiesOptions;
  #authority: { readonly value: Authority; readonly readAtMs: number } | undefined;
  #client: { readonly value: ClientCertificate; readonly bundle: string } | undefined;
  #pending: Promise<Authority> | undefined;
  /** The last call of `server` for a namespace: several Builders of one must not issue a certificate each. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(o: IdentitiesOptions) {
    this.#o = o;
  }

  /** The controller's certificate; a new one once most of its life is over or the authority changed. */
  async client(signal: AbortSignal): Promise<ClientCertificate> {
    const authority = await this.authority(signal);
    const now = this.#o.now();
    const held = this.#client;
    if (
      held !== undefined &&
      held.bundle === authority.bundle &&
      !isDue(held.value.certificate, now)
    ) {
      return held.value;
    }
    const value = await issueClient(authority, now);
    this.#client = { value, bundle: authority.bundle };
    return value;
  }

  /**
   * Sees to it that the Secret of `namespace` holds a good server certificate owned by `owners`, and
   * returns its fingerprint. Call from the leader only.
   */
  async server(
    namespace: string,
    owners: readonly OwnerReference[],
    signal: AbortSignal,
  ): Promise<string> {
    const before = this.#turns.get(namespace) ?? Promise.resolve();
    const turn = before.then(async () => await this.#server(namespace, owners, signal));
    const settled = turn.catch(() => undefined);
    this.#turns.set(namespace, settled);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(namespace) === settled) this.#turns.delete(namespace);
    }
  }

  async #server(
    namespace: string,
    owners: readonly OwnerReference[],
    signal: AbortSignal,
  ): Promise<string> {
    const authority = await this.authority(signal);
    const dnsName = serverNamePattern(namespace);
    const stored = await this.#o.client.get(secrets, { namespace, name: serverTlsSecret }, signal);
    const held = stored === undefined ? undefined : certificateIn(stored);
    const isGood =
      held !== undefined && (await isGoodServer(held, authority, dnsName, this.#o.now()));
    if (isGood && stored !== undefined && ownedByAll(stored, owners)) return fingerprint(held);
    const tls = isGood ? held : await issueServer(authority, dnsName, this.#o.now());
    await this.#o.client.apply(secrets, serverSecret(namespace, tls, owners), {}, signal);
    return fingerprint(tls);
  }

  /** Reads the authority, makes it if there is none, renews it when due. Concurrent callers share one try. */
  async authority(signal: AbortSignal): Promise<Authority> {
    const held = this.#authority;
    if (held !== undefined && this.#o.now().getTime() - held.readAtMs < authorityFreshMs)
      return held.value;
    // A caller that gives up takes the shared try with it; the others then begin their own.
    this.#pending ??= this.#ensure(signal).finally(() => {
      this.#pending = undefined;
    });
    return await this.#pending;
  }

  async #ensure(signal: AbortSignal): Promise<Authority> {
    const stored = await this.#read(signal);
    const value = stored ?? (await this.#write(await newAuthority(this.#o.now()), false, signal));
    const wanted = await renewed(value, this.#o.now());
    const current = wanted === value ? value : await this.#write(wanted, true, signal);
    this.#authority = { value: current, readAtMs: this.#o.now().getTime() };
    return current;
  }

  async #read(signal: AbortSignal): Promise<Authority | undefined> {
    const at = { namespace: this.#o.namespace, name: authoritySecret };
    const stored = await this.#o.client.get(secrets, at, signal);
    return stored === undefined ? undefined : authorityIn(stored, this.#o.namespace);
  }

  /** Whoever is second gets a conflict (each try has a field manager of its own) and takes the first one's. */
  async #write(made: Authority, force: boolean, signal: AbortSignal): Promise<Authority> {
    const options = { fieldManager: `kiln-ca-${randomBytes(4).toString("hex")}`, force };
    try {
      await this.#o.client.apply(
        secrets,
        authorityObject(this.#o.namespace, made),
        options,
        signal,
      );
      return made;
    } catch (error) {
      if (!isApiError(error, "Conflict")) throw error;
      const theirs = await this.#read(signal);
      if (theirs === undefined) throw error;
      return theirs;
    }
  }
}

function authorityObject(namespace: string, authority: Authority): Secret {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: authoritySecret, namespace, labels: { [managedByLabel]: manager } },
    type: "kubernetes.io/tls",
    data: {
      "tls.crt": base64(authority.certificate),
      "tls.key": base64(authority.key),
      "ca.crt": base64(authority.bundle),
      // Always there: who writes without a successor takes an old one away.
      "next.crt": base64(authority.next?.certificate ?? ""),
      "next.key": base64(authority.next?.key ?? ""),
    },
  } as Secret;
}

function authorityIn(secret: Secret, namespace: string): Authority {
  const certificate = text(secret, "tls.crt");
  const key = text(secret, "tls.key");
  if (certificate === undefined || key === undefined) {
    throw new KilnError({
      class: "Infra",
      reason: "AuthorityUnreadable",
      message: `Secret ${namespace}/${authoritySecret} has no tls.crt and tls.key: delete it and Kiln makes a new authority.`,
    });
  }
  const bundle = text(secret, "ca.crt") ?? certificate;
  const [next, nextKey] = [text(secret, "next.crt"), text(secret, "next.key")];
  if (next === undefined || nextKey === undefined) return { certificate, key, bundle };
  return { certificate, key, bundle, next: { certificate: next, key: nextKey } };
}

function certificateIn(secret: Secret): ServerCertificate | undefined {
  const ca = text(secret, "ca.crt");
  const certificate = text(secret, "tls.crt");
  const key = text(secret, "tls.key");
  if (ca === undefined || certificate === undefined || key === undefined) return undefined;
  return { ca, certificate, key };
}

function ownedByAll(secret: Secret, owners: readonly OwnerReference[]): boolean {
  const uids = new Set((secret.metadata.ownerReferences ?? []).map(({ uid }) => uid));
  return uids.size === owners.length && owners.every(({ uid }) => uids.has(uid));
}

function text(secret: Secret, key: string): string | undefined {
  const value = secret.data?.[key];
  return value === undefined || value === ""
    ? undefined
    : Buffer.from(value, "base64").toString("utf8");
}

function base64(value: string): string {
  return Buffer.from(value, "utf8").toString("base64");
}
