// How is a real image registry (distribution v3) started for a test: plain, with TLS, with a password?
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import path from "node:path";
import { binary } from "../base/binaries.ts";
import { authority, leaf } from "./certs.ts";
import { debianPackages, packagesFor } from "../base/debian.ts";
import { freePort } from "../base/ports.ts";
import { start, type RunningProcess, waitFor } from "../base/process.ts";
import { scratch } from "../base/scratch.ts";

const readyMs = 20_000;

/** What the registry asks of its clients, and where its data lives. */
export interface RegistryOptions {
  /** Serve https with a certificate of a throw-away authority. */
  readonly tls?: boolean;
  /** Ask for this user and password (basic auth, htpasswd). */
  readonly auth?: { readonly user: string; readonly password: string };
  /** Address to listen on. Default 127.0.0.1. */
  readonly address?: string;
}

/** A running registry. */
export interface Registry {
  /** address:port, the first part of an image reference. */
  readonly host: string;
  /** http(s)://address:port */
  readonly url: string;
  /** Path of the authority's certificate, with TLS only. */
  readonly ca?: string;
  stop(): Promise<void>;
}

/** All that `startRegistry` can be told. */
export interface StartRegistryOptions extends RegistryOptions {
  /** Folder of records, logs and certificates. */
  readonly folder: string;
  readonly name?: string;
  readonly port?: number;
  /** Folder of the images; default `<folder>/<name>`. */
  readonly data?: string;
  /** Refuse pushes: many may share the data. */
  readonly readOnly?: boolean;
  readonly survives?: boolean;
}

async function htpasswd(file: string, user: string, password: string): Promise<void> {
  await debianPackages(packagesFor.registry);
  const made = spawnSync("htpasswd", ["-niBC", "4", user], { input: `${password}\n` });
  if (made.status !== 0) throw new Error(`htpasswd failed: ${made.stderr.toString()}`);
  writeFileSync(file, `${made.stdout.toString().trim()}\n`);
}

async function tlsSection(options: StartRegistryOptions, address: string): Promise<object> {
  if (options.tls !== true) return {};
  const ca = await authority(path.join(options.folder, `${options.name ?? "registry"}-pki`), "ca");
  const dnsNames = ["localhost"];
  const pair = await leaf(ca, {
    name: "server",
    commonName: "registry",
    dnsNames,
    ipAddresses: [address],
  });
  return { tls: { certificate: pair.cert, key: pair.key } };
}

async function writeConfig(
  options: StartRegistryOptions,
  address: string,
  port: number,
): Promise<string> {
  const name = options.name ?? "registry";
  const rootdirectory = options.data ?? path.join(options.folder, name);
  mkdirSync(rootdirectory, { recursive: true });
  const readonly = { enabled: options.readOnly === true };
  const config: Record<string, unknown> = {
    version: 0.1,
    log: { level: "warn", accesslog: { disabled: options.readOnly === true } },
    storage: {
      filesystem: { rootdirectory },
      delete: { enabled: true },
      maintenance: { readonly, uploadpurging: { enabled: false } },
    },
    http: { addr: `${address}:${port}`, ...(await tlsSection(options, address)) },
  };
  if (options.auth !== undefined) {
    const file = path.join(options.folder, `${name}.htpasswd`);
    await htpasswd(file, options.auth.user, options.auth.password);
    config["auth"] = { htpasswd: { realm: "kiln", path: file } };
  }
  const file = path.join(options.folder, `${name}.yml`);
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}

async function answers(url: string, ca: string | undefined): Promise<true | undefined> {
  const client = ca === undefined ? http : https;
  const trust = ca === undefined ? {} : { ca: readFileSync(ca) };
  return new Promise((resolve) => {
    const options = { ...trust, agent: false, timeout: 2_000 };
    const request = client.get(`${url}/v2/`, options, (response) => {
      response.resume();
      resolve(response.statusCode === 200 || response.statusCode === 401 ? true : undefined);
    });
    request.once("timeout", () => request.destroy());
    request.once("error", () => resolve(undefined));
  });
}

/** Starts a registry in a folder and returns when it answers. */
export async function startRegistry(
  options: StartRegistryOptions,
): Promise<Registry & { process: RunningProcess }> {
  const name = options.name ?? "registry";
  const program = await binary("registry");
  const address = options.address ?? "127.0.0.1";
  const port = options.port ?? (await freePort(address));
  const config = await writeConfig(options, address, port);
  const server = await start({
    name,
    folder: options.folder,
    survives: options.survives ?? false,
    env: { OTEL_TRACES_EXPORTER: "none" },
    command: [program, "serve", config],
  });
  const host = `${address}:${port}`;
  const url = `${options.tls === true ? "https" : "http"}://${host}`;
  const ca = options.tls === true ? path.join(options.folder, `${name}-pki`, "ca.crt") : undefined;
  await waitFor("answering registry", () => answers(url, ca), {
    deadlineMs: readyMs,
    processes: [server],
  });
  const trust = ca === undefined ? {} : { ca };
  return { host, url, ...trust, process: server, stop: () => server.stop() };
}

/**
 * A registry for a test, on a free port with its data in a temporary folder. It dies with the test's
 * process; `stop` ends it and removes the folder.
 */
export async function registry(options: RegistryOptions = {}): Promise<Registry> {
  const place = scratch("registry");
  const running = await startRegistry({ ...options, folder: place.folder }).catch(
    (error: unknown) => {
      place.remove();
      throw error;
    },
  );
  return { ...running, stop: () => running.stop().finally(() => place.remove()) };
}
