// Which addresses does a cluster use, and how is its node wired to the machine? One veth pair between
// the machine and the node's network namespace; routes to pods and Services; masquerade to the world.
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";

const run = promisify(execFile);
const octets = { first: 210, last: 250 };
const forwardFile = "/proc/sys/net/ipv4/ip_forward";

/** The addresses of one cluster. */
export interface ClusterNetwork {
  readonly octet: number;
  /** The link on the machine's side; also the name of the cluster's control group. */
  readonly link: string;
  /** The machine, as pods and the node reach it: registries and the API server listen here. */
  readonly hostAddress: string;
  readonly nodeAddress: string;
  readonly podCidr: string;
  readonly serviceCidr: string;
  readonly serviceAddress: string;
  readonly dnsAddress: string;
}

/** The addresses that belong to a number. */
export function networkOf(octet: number): ClusterNetwork {
  return {
    octet,
    link: `kiln${octet}`,
    hostAddress: `10.${octet}.0.1`,
    nodeAddress: `10.${octet}.0.2`,
    podCidr: `10.${octet}.64.0/20`,
    serviceCidr: `10.${octet}.128.0/20`,
    serviceAddress: `10.${octet}.128.1`,
    dnsAddress: `10.${octet}.128.10`,
  };
}

async function ip(args: readonly string[]): Promise<string> {
  return (await run("ip", [...args])).stdout;
}

/** A number whose addresses nobody on this machine uses. */
export async function freeOctet(): Promise<number> {
  const routes = await ip(["-4", "route", "show", "table", "all"]);
  const addresses = await ip(["-4", "address", "show"]);
  for (let octet = octets.first; octet <= octets.last; octet += 1) {
    const taken = new RegExp(`\\b10\\.${octet}\\.`);
    if (!taken.test(routes) && !taken.test(addresses)) return octet;
  }
  throw new Error(
    `every network from 10.${octets.first}.0.0/16 to 10.${octets.last}.0.0/16 is in use`,
  );
}

/** The value of ip_forward now. */
export function ipForward(): string {
  return readFileSync(forwardFile, "utf8").trim();
}

function rules(network: ClusterNetwork): string[][] {
  const { link } = network;
  const cluster = `10.${network.octet}.0.0/16`;
  const mark = ["-m", "comment", "--comment", link];
  return [
    ["-t", "nat", "POSTROUTING", "-s", cluster, "!", "-d", cluster, ...mark, "-j", "MASQUERADE"],
    ["-t", "filter", "FORWARD", "-i", link, ...mark, "-j", "ACCEPT"],
    ["-t", "filter", "FORWARD", "-o", link, ...mark, "-j", "ACCEPT"],
  ];
}

/** Wires the node, whose first process is `nodePid`, to the machine. */
export async function connectNode(network: ClusterNetwork, nodePid: number): Promise<void> {
  const { link, hostAddress, nodeAddress } = network;
  const peer = ["peer", "name", "eth0", "netns", String(nodePid)];
  await ip(["link", "add", link, "type", "veth", ...peer]);
  await ip(["address", "add", `${hostAddress}/30`, "dev", link]);
  await ip(["link", "set", link, "up"]);
  const inNode = (args: readonly string[]): Promise<unknown> =>
    run("nsenter", ["-t", String(nodePid), "--net", "--", "ip", ...args]);
  await inNode(["link", "set", "lo", "up"]);
  await inNode(["address", "add", `${nodeAddress}/30`, "dev", "eth0"]);
  await inNode(["link", "set", "eth0", "up"]);
  await inNode(["route", "add", "default", "via", hostAddress]);
  for (const cidr of [network.podCidr, network.serviceCidr]) {
    await ip(["route", "add", cidr, "via", nodeAddress, "dev", link]);
  }
  writeFileSync(forwardFile, "1");
  for (const [flag = "", table = "", chain = "", ...rule] of rules(network)) {
    await run("iptables", ["-w", flag, table, "-A", chain, ...rule]);
  }
}

/** True while a link of any cluster of this tool exists. */
export function anyClusterLink(): boolean {
  return readdirSync("/sys/class/net").some((name) => /^kiln\d+$/.test(name));
}

/** Undoes `connectNode`, however far it came. */
export async function disconnectNode(
  network: ClusterNetwork,
  forwardBefore: string,
): Promise<void> {
  if (existsSync(`/sys/class/net/${network.link}`)) {
    await ip(["link", "delete", network.link]).catch(() => "");
  }
  for (const [flag = "", table = "", chain = "", ...rule] of rules(network)) {
    // More than one when an earlier clean-up was cut short.
    const remove = (): Promise<boolean> =>
      run("iptables", ["-w", flag, table, "-D", chain, ...rule]).then(
        () => true,
        () => false,
      );
    while (await remove());
  }
  if (!anyClusterLink()) writeFileSync(forwardFile, forwardBefore);
}
