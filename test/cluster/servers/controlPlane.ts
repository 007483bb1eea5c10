// How do etcd and kube-apiserver start within seconds, alone (integration tests) or as the head of
// the whole cluster?
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import https from "node:https";
import path from "node:path";
import { binaries } from "../base/binaries.ts";
import { type Authority, authority, leaf, signingKey } from "./certs.ts";
import { freePort } from "../base/ports.ts";
import { type RunningProcess, start, waitFor } from "../base/process.ts";
import { step } from "../base/progress.ts";
import { scratch } from "../base/scratch.ts";

const readyMs = 60_000;
const attempts = 3;

/** Where the API server listens and what its services may be called. */
export interface ControlPlaneNetwork {
  /** Address to listen on; pods of a cluster must reach it. */
  readonly address: string;
  readonly serviceCidr: string;
  /** First address of serviceCidr: the Service "kubernetes". */
  readonly serviceAddress: string;
}

/** A running etcd and kube-apiserver. */
export interface ControlPlane {
  /** Path of a kubeconfig with every right (group system:masters). */
  readonly kubeconfig: string;
  /** https://address:port */
  readonly server: string;
  /** Path of the certificate of the API server's authority. */
  readonly ca: string;
  readonly adminToken: string;
  /** Folder with pki/, logs/ and etcd's data. */
  readonly folder: string;
  readonly processes: readonly RunningProcess[];
  stop(): Promise<void>;
}

const loopback: ControlPlaneNetwork = {
  address: "127.0.0.1",
  serviceCidr: "10.96.0.0/16",
  serviceAddress: "10.96.0.1",
};

/** Files that the control plane and, in a cluster, the node's programs use to trust each other. */
export interface Pki {
  readonly ca: Authority;
  readonly frontProxyCa: Authority;
  readonly folder: string;
}

/** The two authorities of a control plane in `<folder>/pki`. */
export async function makePki(folder: string): Promise<Pki> {
  const pki = path.join(folder, "pki");
  const [ca, frontProxyCa] = await Promise.all([
    authority(pki, "ca"),
    authority(pki, "front-proxy-ca"),
  ]);
  return { ca, frontProxyCa, folder: pki };
}

/** Text of a kubeconfig for one user. */
export function kubeconfig(
  server: string,
  caFile: string,
  user: Readonly<Record<string, string>>,
): string {
  const ca = readFileSync(caFile).toString("base64");
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "kiln", cluster: { server, "certificate-authority-data": ca } }],
    users: [{ name: "user", user }],
    contexts: [{ name: "kiln", context: { cluster: "kiln", user: "user" } }],
    "current-context": "kiln",
  });
}

async function startEtcd(
  folder: string,
  survives: boolean,
): Promise<{ etcd: RunningProcess; url: string }> {
  const { etcd: program } = await binaries(["etcd"]);
  const client = `http://127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const etcd = await start({
    name: "etcd",
    folder,
    survives,
    command: [
      program,
      "--data-dir",
      path.join(folder, "etcd"),
      "--name",
      "kiln",
      "--log-level",
      "warn",
      "--listen-client-urls",
      client,
      "--advertise-client-urls",
      client,
      "--listen-peer-urls",
      peer,
      "--initial-advertise-peer-urls",
      peer,
      "--initial-cluster",
      `kiln=${peer}`,
      "--unsafe-no-fsync",
      "--snapshot-count",
      "10000",
      "--quota-backend-bytes",
      String(2 * 1024 ** 3),
    ],
  });
  return { etcd, url: client };
}

async function apiserverFlags(
  pki: Pki,
  network: ControlPlaneNetwork,
  etcdUrl: string,
): Promise<string[]> {
  const [serving, kubelet, proxy, tokens] = await Promise.all([
    leaf(pki.ca, {
      name: "apiserver",
      commonName: "kube-apiserver",
      dnsNames: ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
      ipAddresses: ["127.0.0.1", network.address, network.serviceAddress],
    }),
    leaf(pki.ca, {
      name: "apiserver-kubelet",
      commonName: "apiserver",
      organization: "system:masters",
    }),
    leaf(pki.frontProxyCa, { name: "front-proxy", commonName: "front-proxy-client" }),
    signingKey(pki.folder, "service-account"),
  ]);
  const own = network === loopback;
  return [
    `--etcd-servers=${etcdUrl}`,
    `--bind-address=${network.address}`,
    `--advertise-address=${network.address}`,
    // A loopback address is no valid endpoint of the Service "kubernetes": nobody needs it there.
    `--endpoint-reconciler-type=${own ? "none" : "lease"}`,
    `--service-cluster-ip-range=${network.serviceCidr}`,
    `--tls-cert-file=${serving.cert}`,
    `--tls-private-key-file=${serving.key}`,
    `--client-ca-file=${pki.ca.cert}`,
    `--kubelet-client-certificate=${kubelet.cert}`,
    `--kubelet-client-key=${kubelet.key}`,
    `--kubelet-certificate-authority=${pki.ca.cert}`,
    "--kubelet-preferred-address-types=InternalIP",
    `--proxy-client-cert-file=${proxy.cert}`,
    `--proxy-client-key-file=${proxy.key}`,
    `--requestheader-client-ca-file=${pki.frontProxyCa.cert}`,
    "--requestheader-allowed-names=front-proxy-client",
    "--requestheader-username-headers=X-Remote-User",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    // The API server runs outside the pod network's Services: it dials the pods themselves.
    "--enable-aggregator-routing=true",
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    `--service-account-key-file=${tokens.pub}`,
    `--service-account-signing-key-file=${tokens.key}`,
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    "--allow-privileged=true",
    "--profiling=false",
  ];
}

async function isReady(server: string, caFile: string, token: string): Promise<true | undefined> {
  const ca = readFileSync(caFile);
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${token}` };
    const request = https.get(
      `${server}/readyz`,
      { ca, headers, agent: false, timeout: 2_000 },
      (response) => {
        response.resume();
        resolve(response.statusCode === 200 ? true : undefined);
      },
    );
    request.once("timeout", () => request.destroy());
    request.once("error", () => resolve(undefined));
  });
}

/** What a control plane is made of. */
export interface ControlPlaneOptions {
  readonly folder: string;
  readonly network?: ControlPlaneNetwork;
  readonly pki?: Pki;
  /** Lives on when this tool ends. */
  readonly survives?: boolean;
}

async function startOnce(options: ControlPlaneOptions, pki: Pki): Promise<ControlPlane> {
  const { folder, network = loopback, survives = false } = options;
  const { "kube-apiserver": program } = await binaries(["kube-apiserver"]);
  const { etcd, url } = await startEtcd(folder, survives);
  const adminToken = randomBytes(24).toString("hex");
  const tokens = path.join(pki.folder, "tokens.csv");
  writeFileSync(tokens, `${adminToken},admin,admin,"system:masters"\n`, { mode: 0o600 });
  const port = await freePort(network.address);
  const server = `https://${network.address}:${port}`;
  const flags = await apiserverFlags(pki, network, url);
  const apiserver = await start({
    name: "kube-apiserver",
    folder,
    survives,
    command: [program, `--secure-port=${port}`, `--token-auth-file=${tokens}`, ...flags],
  });
  const processes = [apiserver, etcd];
  const stop = async (): Promise<void> => {
    for (const process of processes) await process.stop();
  };
  try {
    await waitFor("ready API server", () => isReady(server, pki.ca.cert, adminToken), {
      deadlineMs: readyMs,
      processes,
    });
  } catch (error) {
    await stop();
    throw error;
  }
  const file = path.join(folder, "kubeconfig");
  writeFileSync(file, kubeconfig(server, pki.ca.cert, { token: adminToken }), { mode: 0o600 });
  return { kubeconfig: file, server, ca: pki.ca.cert, adminToken, folder, processes, stop };
}

/** Starts etcd and kube-apiserver in a folder and returns when the API server is ready. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const pki = options.pki ?? (await makePki(options.folder));
  return step("starting etcd and kube-apiserver", async () => {
    for (let n = 1; ; n += 1) {
      try {
        return await startOnce(options, pki);
      } catch (error) {
        // Another program may take a port between its choice and its use.
        const taken = /address already in use/.test(String(error));
        if (!taken || n >= attempts) throw error;
      }
    }
  });
}

/**
 * A control plane for a test: etcd and kube-apiserver on free ports in a temporary folder, ready
 * when this returns. It dies with the test's process; `stop` ends it and removes the folder.
 */
export async function controlPlane(): Promise<ControlPlane> {
  const place = scratch("cp");
  try {
    const running = await startControlPlane({ folder: place.folder });
    return { ...running, stop: () => running.stop().finally(() => place.remove()) };
  } catch (error) {
    place.remove();
    throw error;
  }
}
