// Who we are to the API server: client-node's KubeConfig finds and refreshes the credentials (files,
// in-cluster token, exec plugins); this file caches what it says for a few seconds and notices when
// certificates were replaced.

import type { Agent, RequestOptions } from "node:https";
import { KubeConfig } from "@kubernetes/client-node";
import type { Clock } from "../../runtime/clock.ts";

/** Everything a socket to the API server needs. */
export interface Access {
  /** With the path prefix that some proxies in front of API servers have. */
  readonly server: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsMaterial;
  /** Set when the kubeconfig names a proxy: client-node knows how to get through it. */
  readonly proxy: Agent | undefined;
}

/** TLS options, PEM as read. */
export interface TlsMaterial {
  readonly ca?: RequestOptions["ca"];
  readonly cert?: RequestOptions["cert"];
  readonly key?: RequestOptions["key"];
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** Where a `Credentials` gets its answer; KubeConfig is one. */
export type AccessSource = Pick<
  KubeConfig,
  "applyToHTTPSOptions" | "getCurrentCluster" | "getCurrentUser"
>;

/** Reads the kubeconfig at `path`, or, without one, what the environment says (KUBECONFIG, then the pod). */
export function loadKubeConfig(path?: string): KubeConfig {
  const config = new KubeConfig();
  if (path === undefined) config.loadFromDefault();
  else config.loadFromFile(path);
  return config;
}

/** How long an answer is used before KubeConfig is asked again (it reads files at each question). */
const freshMs = 10_000;

/** The current credentials. `renew` after a 401. */
export class Credentials {
  readonly #source: AccessSource;
  readonly #clock: Clock;
  #known: Promise<Access> | undefined;
  #knownAt = Number.NEGATIVE_INFINITY;

  constructor(source: AccessSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** Rejects when there is no current cluster, or a credential plugin fails. */
  current(): Promise<Access> {
    const now = this.#clock.now();
    if (this.#known === undefined || now - this.#knownAt > freshMs) {
      this.#knownAt = now;
      const asked = this.#ask();
      this.#known = asked;
      asked.catch(() => {
        if (this.#known === asked) this.#known = undefined;
      });
    }
    return this.#known;
  }

  /** The next `current` asks anew. */
  renew(): void {
    this.#known = undefined;
  }

  async #ask(): Promise<Access> {
    const cluster = this.#source.getCurrentCluster();
    if (cluster === null) {
      throw new Error("the kubeconfig has no current cluster; set current-context in it");
    }
    const options: RequestOptions = {};
    await this.#source.applyToHTTPSOptions(options);
    const { ca, cert, key, rejectUnauthorized, servername } = options;
    return {
      server: new URL(cluster.server),
      headers: headersOf(options),
      tls: {
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
        ...(servername === undefined ? {} : { servername }),
        ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
      },
      proxy: cluster.proxyUrl === undefined ? undefined : (options.agent as Agent),
    };
  }
}

function headersOf(options: RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    // A token file may end in a newline, which no header may hold.
    if (typeof value === "string") headers[name.toLowerCase()] = value.trim();
  }
  if (typeof options.auth === "string" && headers["authorization"] === undefined) {
    headers["authorization"] = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  }
  return headers;
}

/** Whether a new connection with `b` would be set up like one with `a`. */
export function sameTls(a: TlsMaterial, b: TlsMaterial): boolean {
  return fingerprint(a) === fingerprint(b);
}

function fingerprint(tls: TlsMaterial): string {
  const pem = [tls.ca, tls.cert, tls.key].map((part) =>
    Buffer.isBuffer(part) ? part.toString("latin1") : part,
  );
  return JSON.stringify([...pem, tls.servername ?? "", tls.rejectUnauthorized ?? true]);
}
