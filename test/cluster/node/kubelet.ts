// How are the node's Kubernetes programs set up: kubelet and kube-proxy, in the node's namespaces?
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { binaries } from "../base/binaries.ts";
import { makeCgroups } from "../base/cgroups.ts";
import type { RunningProcess } from "../base/process.ts";
import { leaf } from "../servers/certs.ts";
import { kubeconfig, type Pki } from "../servers/controlPlane.ts";
import type { NodeNamespaces } from "./container.ts";
import { containerdSocket } from "./containerd.ts";
import type { ClusterNetwork } from "./network.ts";

/** Name of the one node. */
export const nodeName = "kiln";

/** What the node's programs need to know. */
export interface NodeOptions {
  readonly folder: string;
  readonly namespaces: NodeNamespaces;
  readonly network: ClusterNetwork;
  readonly pki: Pki;
  /** URL of the API server. */
  readonly server: string;
}

/** Writes a kubeconfig with a client certificate for a user; gives its path. */
export async function writeKubeconfig(
  options: Pick<NodeOptions, "folder" | "pki" | "server">,
  who: { readonly name: string; readonly user: string; readonly group?: string },
): Promise<string> {
  const organization = who.group === undefined ? {} : { organization: who.group };
  const pair = await leaf(options.pki.ca, {
    name: who.name,
    commonName: who.user,
    ...organization,
  });
  const file = path.join(options.folder, `${who.name}.kubeconfig`);
  const user = { "client-certificate": pair.cert, "client-key": pair.key };
  writeFileSync(file, kubeconfig(options.server, options.pki.ca.cert, user), { mode: 0o600 });
  return file;
}

/** A resolv.conf that pods can use: name servers on the machine's loopback are not reachable there. */
function resolvConf(): string {
  const own = readFileSync("/etc/resolv.conf", "utf8");
  const behindStub = "/run/systemd/resolve/resolv.conf";
  const loopbackOnly = !/^nameserver\s+(?!127\.)/m.test(own);
  return loopbackOnly && existsSync(behindStub) ? readFileSync(behindStub, "utf8") : own;
}

async function kubeletConfig(options: NodeOptions): Promise<object> {
  const { network, pki, folder } = options;
  const serving = await leaf(pki.ca, {
    name: "kubelet-serving",
    commonName: `system:node:${nodeName}`,
    dnsNames: [nodeName],
    ipAddresses: [network.nodeAddress],
  });
  const resolv = path.join(folder, "node", "resolv.conf");
  writeFileSync(resolv, resolvConf());
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: network.nodeAddress,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: pki.ca.cert },
    },
    authorization: { mode: "Webhook" },
    tlsCertFile: serving.cert,
    tlsPrivateKeyFile: serving.key,
    clusterDNS: [network.dnsAddress],
    clusterDomain: "cluster.local",
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    resolvConf: resolv,
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${network.link}`,
    failCgroupV1: false,
    enforceNodeAllocatable: [],
    oomScoreAdj: 0,
    failSwapOn: false,
    // A test machine's disk is often nearly full; nothing is gained by evicting for it.
    evictionHard: {
      "memory.available": "50Mi",
      "nodefs.available": "0%",
      "nodefs.inodesFree": "0%",
      "imagefs.available": "0%",
    },
    imageGCHighThresholdPercent: 100,
    serializeImagePulls: false,
    registryPullQPS: 0,
    eventRecordQPS: 0,
    nodeStatusUpdateFrequency: "10s",
  };
}

async function startKubelet(options: NodeOptions): Promise<RunningProcess> {
  const { folder, namespaces, network } = options;
  const { kubelet } = await binaries(["kubelet"]);
  makeCgroups(network.link);
  const who = { name: "kubelet", user: `system:node:${nodeName}`, group: "system:nodes" };
  const credentials = await writeKubeconfig(options, who);
  const config = path.join(folder, "node", "kubelet.json");
  writeFileSync(config, JSON.stringify(await kubeletConfig(options)));
  return namespaces.run("kubelet", [
    kubelet,
    `--config=${config}`,
    `--kubeconfig=${credentials}`,
    `--hostname-override=${nodeName}`,
    `--node-ip=${network.nodeAddress}`,
    "--root-dir=/var/lib/kubelet",
    "--v=1",
  ]);
}

async function startKubeProxy(options: NodeOptions): Promise<RunningProcess> {
  const { folder, namespaces, network } = options;
  const { "kube-proxy": program } = await binaries(["kube-proxy"]);
  const credentials = await writeKubeconfig(options, {
    name: "kube-proxy",
    user: "system:kube-proxy",
  });
  const config = path.join(folder, "node", "kube-proxy.json");
  const content = {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "iptables",
    clusterCIDR: network.podCidr,
    hostnameOverride: nodeName,
    bindAddress: network.nodeAddress,
    clientConnection: { kubeconfig: credentials },
    // These are limits of the whole machine; zero leaves them as they are.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
    iptables: { minSyncPeriod: "100ms", syncPeriod: "30s" },
  };
  writeFileSync(config, JSON.stringify(content));
  return namespaces.run("kube-proxy", [program, `--config=${config}`]);
}

/** Starts kubelet and kube-proxy; the node becomes Ready a few seconds later. */
export async function startNode(options: NodeOptions): Promise<RunningProcess[]> {
  mkdirSync(path.join(options.folder, "node"), { recursive: true });
  return [await startKubelet(options), await startKubeProxy(options)];
}
