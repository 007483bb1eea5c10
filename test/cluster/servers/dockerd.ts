// How does a test get a real Docker engine: on a unix socket and behind mutual TLS, in namespaces of its own, with a
// registry inside that answers for docker.io?
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createConnection, createServer, type AddressInfo, type Server } from "node:net";
import path from "node:path";
import { binaries } from "../base/binaries.ts";
import { debianPackages, packagesFor } from "../base/debian.ts";
import { type RunningProcess, start, waitFor } from "../base/process.ts";
import { step } from "../base/progress.ts";
import { scratch } from "../base/scratch.ts";
import { ensureClusterImages } from "../images/images.ts";
import type { ClientTls } from "./buildkitdProcess.ts";
import { authority, leaf } from "./certs.ts";

const readyMs = 60_000;
/** The engine's bridge, and with it the registry as containers see it. */
const gateway = "172.30.0.1";
const mirror = `${gateway}:5001`;
const tlsPort = 2376;

/** What a test may choose about its engine. */
export interface DockerdOptions {
  /** Default true: images are in containerd's store. */
  readonly containerdStore?: boolean;
  /** Port of a registry at 127.0.0.1 here, which answers at the same address inside of the engine's network too. */
  readonly registryPort?: number;
}

/** A running Docker engine. */
export interface Dockerd {
  readonly socket: string;
  /** tcp://127.0.0.1:port, behind TLS. */
  readonly tcp: string;
  readonly tls: ClientTls;
  /** Control group that everything has to be below. */
  readonly cgroup: string;
  /** host:port of the registry that answers for docker.io, as containers see it. */
  readonly mirror: string;
  readonly process: RunningProcess;
  /** Asks its API and reads the JSON answer. Throws for an HTTP status of 400 or above. */
  ask(method: string, path: string): Promise<unknown>;
  stop(): Promise<void>;
}

/** Bytes from one socket to another, as long as both are there. */
function relay(
  listen: { path: string } | { port: number; host: string },
  to: { path: string } | { port: number; host: string },
): Promise<Server> {
  const server = createServer((near) => {
    const far = createConnection(to);
    near.pipe(far).pipe(near);
    near.on("error", () => far.destroy()).on("close", () => far.destroy());
    far.on("error", () => near.destroy()).on("close", () => near.destroy());
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen, () => resolve(server));
  });
}

/** `relay` as a program of Node's, to be run inside of the engine's network. */
const relaying = (listen: object, to: object): string =>
  `const net = require("node:net");
net.createServer((near) => {
  const far = net.createConnection(${JSON.stringify(to)});
  near.pipe(far).pipe(near);
  near.on("error", () => far.destroy()).on("close", () => far.destroy());
  far.on("error", () => near.destroy()).on("close", () => near.destroy());
}).listen(${JSON.stringify(listen)});`;

function asker(socketPath: string): Dockerd["ask"] {
  return (method, where) =>
    new Promise((resolve, reject) => {
      const request = http.request({ socketPath, method, path: where }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => {
          if ((response.statusCode ?? 0) >= 400)
            reject(new Error(`${response.statusCode}: ${text}`));
          else resolve(text === "" ? undefined : JSON.parse(text));
        });
      });
      request.on("error", reject);
      request.end();
    });
}

/** A Docker engine for a test, with its state in a temporary folder. It dies with the test's process. */
export async function dockerd(options: DockerdOptions = {}): Promise<Dockerd> {
  await debianPackages(packagesFor.dockerd);
  const programs = await binaries([
    "dockerd",
    "containerd",
    "containerd-shim-runc-v2",
    "runc",
    "registry",
  ]);
  const images = await ensureClusterImages();
  const place = scratch("dockerd");
  const { folder } = place;
  const at = (...names: string[]): string => path.join(folder, ...names);
  mkdirSync(at("bin"));
  for (const [name, file] of Object.entries(programs)) symlinkSync(file, at("bin", name));
  symlinkSync("/usr/bin/tini-static", at("bin", "docker-init"));
  const ca = await authority(at("pki"), "ca");
  const ipAddresses = ["127.0.0.1"];
  const server = await leaf(ca, {
    name: "server",
    commonName: "dockerd",
    dnsNames: ["localhost"],
    ipAddresses,
  });
  const client = await leaf(ca, { name: "client", commonName: "client" });
  writeFileSync(at("registry.yml"), registryConfig(images));
  writeFileSync(
    at("daemon.json"),
    JSON.stringify(daemonConfig(place.id, at, { ca: ca.cert, ...server }, options)),
  );
  const local = (port: number) => ({ port, host: "127.0.0.1" });
  const { registryPort } = options;
  const inside = [
    relaying({ path: at("tls.sock") }, local(tlsPort)),
    ...(registryPort === undefined
      ? []
      : [relaying(local(registryPort), { path: at("registry.sock") })]),
  ];
  const script = [
    "set -e",
    "ip link set lo up",
    `ip link add docker0 type bridge && ip address add ${gateway}/16 dev docker0 && ip link set docker0 up`,
    "mount -t tmpfs -o mode=755 tmpfs /run",
    `registry serve '${at("registry.yml")}' >'${at("registry.log")}' 2>&1 &`,
    ...inside.map((program) => `'${process.execPath}' -e '${program}' &`),
    `exec dockerd --config-file '${at("daemon.json")}'`,
  ];
  const daemon = await start({
    name: "dockerd",
    folder,
    isolate: "network",
    env: { PATH: `${at("bin")}:${process.env["PATH"] ?? ""}`, OTEL_TRACES_EXPORTER: "none" },
    command: ["bash", "-c", script.join("\n")],
  });
  const ask = asker(at("docker.sock"));
  try {
    await step("starting dockerd", () =>
      waitFor("dockerd", () => ask("GET", "/info"), { deadlineMs: readyMs, processes: [daemon] }),
    );
  } catch (error) {
    await daemon.stop();
    place.remove();
    throw error;
  }
  const outer = await relay(local(0), { path: at("tls.sock") });
  const lent =
    registryPort === undefined
      ? undefined
      : await relay({ path: at("registry.sock") }, local(registryPort));
  const stop = async (): Promise<void> => {
    outer.close();
    lent?.close();
    await daemon.stop();
    place.remove();
  };
  return {
    socket: at("docker.sock"),
    tcp: `tcp://127.0.0.1:${(outer.address() as AddressInfo).port}`,
    tls: { ca: ca.cert, ...client },
    cgroup: place.id,
    mirror,
    process: daemon,
    ask,
    stop,
  };
}

function registryConfig(data: string): string {
  return JSON.stringify({
    version: "0.1",
    log: { level: "warn", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: data }, maintenance: { readonly: { enabled: true } } },
    http: { addr: "0.0.0.0:5001" },
  });
}

function daemonConfig(
  id: string,
  at: (...names: string[]) => string,
  tls: ClientTls,
  { containerdStore = true }: DockerdOptions,
): object {
  return {
    hosts: [`unix://${at("docker.sock")}`, `tcp://127.0.0.1:${tlsPort}`],
    tlsverify: true,
    tlscacert: tls.ca,
    tlscert: tls.cert,
    tlskey: tls.key,
    "data-root": at("data"),
    "exec-root": at("exec"),
    pidfile: at("dockerd.pid"),
    bridge: "docker0",
    "fixed-cidr": "172.30.1.0/24",
    iptables: false,
    ip6tables: false,
    "ip-masq": false,
    "userland-proxy": false,
    "cgroup-parent": `/${id}`,
    "registry-mirrors": [`http://${mirror}`],
    "insecure-registries": [mirror],
    features: { "containerd-snapshotter": containerdStore },
  };
}
