// How is the node's container runtime set up: containerd with a static runc, a bridge for pods, and
// docker.io answered by the images made here?
import { execFile } from "node:child_process";
import { linkSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { binaries } from "../base/binaries.ts";
import { type RunningProcess, waitFor } from "../base/process.ts";
import { pauseImage } from "../images/images.ts";
import type { NodeNamespaces } from "./container.ts";
import type { ClusterNetwork } from "./network.ts";

const run = promisify(execFile);
const readyMs = 30_000;

/** Address of containerd inside the node. */
export const containerdSocket = "/run/containerd/containerd.sock";

/** Registries that the node reaches. */
export interface NodeRegistries {
  /** address:port that answers for docker.io. */
  readonly mirror: string;
  /** address:port of the registry for pushes, plain http. */
  readonly main: string;
}

function networkConfig(network: ClusterNetwork): object {
  const bridge = {
    type: "bridge",
    bridge: "cni0",
    isGateway: true,
    hairpinMode: true,
    ipam: {
      type: "host-local",
      ranges: [[{ subnet: network.podCidr }]],
      routes: [{ dst: "0.0.0.0/0" }],
    },
  };
  const portmap = { type: "portmap", capabilities: { portMappings: true } };
  return { cniVersion: "1.0.0", name: "kiln", plugins: [bridge, portmap] };
}

function hostsFile(server: string, host?: string): string {
  const lines = [`server = "${server}"`];
  if (host !== undefined) lines.push(`[host."${host}"]`, `  capabilities = ["pull", "resolve"]`);
  return `${lines.join("\n")}\n`;
}

function place(file: string, folder: string, name: string): void {
  const target = path.join(folder, name);
  if (existsSync(target)) return;
  try {
    linkSync(file, target);
  } catch {
    copyFileSync(file, target);
  }
}

function mainConfig(node: string, runc: string): string {
  return `version = 3
root = "${node}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "${containerdSocket}"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "${pauseImage}"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "${node}/certs.d"

[plugins.'io.containerd.cri.v1.runtime']
  # Machines without CAP_SYS_RESOURCE refuse to lower the OOM score.
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["${node}/cni/bin"]
  conf_dir = "${node}/cni/net.d"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = "${runc}"
  SystemdCgroup = false
`;
}

/** Starts containerd in the node and returns when it answers. */
export async function startContainerd(
  folder: string,
  namespaces: NodeNamespaces,
  network: ClusterNetwork,
  registries: NodeRegistries,
): Promise<RunningProcess> {
  const node = path.join(folder, "node");
  const programs = await binaries(["containerd", "containerd-shim-runc-v2", "runc", "ctr"]);
  const plugins = await binaries(["bridge", "loopback", "host-local", "portmap"]);
  for (const sub of [
    "bin",
    "cni/bin",
    "cni/net.d",
    "certs.d/docker.io",
    `certs.d/${registries.main}`,
  ]) {
    mkdirSync(path.join(node, sub), { recursive: true });
  }
  for (const [name, file] of Object.entries(programs)) place(file, path.join(node, "bin"), name);
  for (const [name, file] of Object.entries(plugins)) place(file, path.join(node, "cni/bin"), name);
  writeFileSync(
    path.join(node, "cni/net.d/10-kiln.conflist"),
    JSON.stringify(networkConfig(network)),
  );
  const hosts = (host: string, text: string): void =>
    writeFileSync(path.join(node, "certs.d", host, "hosts.toml"), text);
  hosts("docker.io", hostsFile("https://registry-1.docker.io", `http://${registries.mirror}`));
  hosts(registries.main, hostsFile(`http://${registries.main}`));
  const config = path.join(node, "containerd.toml");
  writeFileSync(config, mainConfig(node, programs.runc));
  const env = { PATH: `${path.join(node, "bin")}:${process.env["PATH"] ?? ""}` };
  const command = [programs.containerd, "--config", config, "--log-level", "info"];
  const daemon = await namespaces.run("containerd", command, env);
  await waitFor("containerd", () => ctr(namespaces, ["version"]), {
    deadlineMs: readyMs,
    processes: [daemon],
  });
  return daemon;
}

/** Runs ctr in the node, in the namespace of Kubernetes' images. */
export async function ctr(
  namespaces: Pick<NodeNamespaces, "inside">,
  args: readonly string[],
): Promise<string> {
  const { ctr: program } = await binaries(["ctr"]);
  const line = namespaces.inside([program, "-a", containerdSocket, "-n", "k8s.io", ...args]);
  const [first, ...rest] = line;
  return (await run(first, rest, { maxBuffer: 64 << 20 })).stdout;
}
