// How does the whole cluster start, and what does it take to remove every trace of it? `up` records
// before it creates; `down` trusts the record, the processes' environment and the kernel, and works
// after any crash.
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { binaries, cacheRoot, repositoryRoot } from "../base/binaries.ts";
import { removeCgroups } from "../base/cgroups.ts";
import { debianPackages, packagesFor } from "../base/debian.ts";
import { childrenOf, identify, stillRuns } from "../base/identity.ts";
import { withLock } from "../base/lock.ts";
import { endAll, recorded, start, waitFor } from "../base/process.ts";
import { say, step } from "../base/progress.ts";
import { emulateArm64 } from "../images/binfmt.ts";
import { builderImages, corednsImage, ensureClusterImages, pauseImage } from "../images/images.ts";
import { registrySections } from "../servers/buildkitdProcess.ts";
import {
  type ControlPlane,
  makePki,
  type Pki,
  startControlPlane,
} from "../servers/controlPlane.ts";
import { startControllers } from "../servers/controllers.ts";
import { applyManifests, kubectl } from "../servers/kubectl.ts";
import { startRegistry } from "../servers/registry.ts";
import { addons } from "./addons.ts";
import {
  enter,
  makeFixedFolders,
  type NodeNamespaces,
  removeFolders,
  startNamespaces,
} from "./container.ts";
import { ctr, type NodeRegistries, startContainerd } from "./containerd.ts";
import { nodeName, startNode } from "./kubelet.ts";
import { anyClusterLink, type ClusterNetwork, connectNode } from "./network.ts";
import { disconnectNode, freeOctet, ipForward, networkOf } from "./network.ts";
import { readState, writeState } from "./state.ts";

const readyMs = 120_000;
const ports = { main: 5000, mirror: 5001 };

/** The state folder of the cluster of this checkout: $KILN_STATE or .kiln. */
export function defaultFolder(): string {
  return path.resolve(process.env["KILN_STATE"] ?? path.join(repositoryRoot, ".kiln"));
}

function registriesOf(network: ClusterNetwork): NodeRegistries {
  const { hostAddress } = network;
  return { main: `${hostAddress}:${ports.main}`, mirror: `${hostAddress}:${ports.mirror}` };
}

/** True when everything that `up` started in a folder still runs. */
export function isUp(folder: string): boolean {
  const names = ["node", "etcd", "kube-apiserver", "kubelet", "containerd", "registry"];
  const alive = names.every((name) => {
    const identity = recorded(folder, name);
    return identity !== undefined && stillRuns(identity);
  });
  return alive && readState(folder)?.complete === true;
}

async function removeCluster(folder: string): Promise<void> {
  const state = readState(folder);
  if (state === undefined && !existsSync(folder)) return;
  await step("ending the cluster", async () => {
    // The node first: with its first process everything inside ends at once.
    const node = recorded(folder, "node");
    const inner = node === undefined ? [] : childrenOf(node.pid).map(identify);
    if (node !== undefined && stillRuns(node)) process.kill(node.pid, "SIGKILL");
    await waitFor(
      "the end of the node",
      async () => (inner.some((p) => p && stillRuns(p)) ? undefined : true),
      {
        deadlineMs: readyMs,
      },
    );
    await endAll(folder);
    if (state !== undefined) {
      const network = networkOf(state.octet);
      await disconnectNode(network, state.ipForward);
      removeCgroups(network.link);
      if (!anyClusterLink()) removeFolders(state.madeFolders);
    }
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  });
}

/**
 * Removes a cluster and every trace of it, whatever state it is in. Waits for an `up` that is at work
 * in the same folder.
 */
export async function down(folder: string): Promise<void> {
  await withLock(`${folder}.lock`, () => removeCluster(folder));
}

async function prepare(): Promise<string> {
  await debianPackages(packagesFor.cluster);
  await binaries(["kubelet", "kube-proxy", "containerd", "kubectl", "helm", "buildctl"]);
  await emulateArm64();
  return ensureClusterImages();
}

/** Claims addresses and wires an empty node to the machine. */
async function startNetwork(
  folder: string,
): Promise<{ network: ClusterNetwork; namespaces: NodeNamespaces }> {
  return withLock(path.join(cacheRoot(), "locks", "network"), async () => {
    const forward = anyClusterLink() ? "1" : ipForward();
    const network = networkOf(await freeOctet());
    const state = {
      octet: network.octet,
      ipForward: forward,
      madeFolders: [] as string[],
      complete: false,
    };
    writeState(folder, state);
    writeState(folder, { ...state, madeFolders: makeFixedFolders() });
    const namespaces = await startNamespaces(folder);
    await connectNode(network, namespaces.pid);
    return { network, namespaces };
  });
}

async function startRegistries(
  folder: string,
  network: ClusterNetwork,
  images: string,
): Promise<void> {
  const common = { folder, address: network.hostAddress, survives: true };
  await Promise.all([
    startRegistry({ ...common, name: "registry", port: ports.main }),
    startRegistry({ ...common, name: "mirror", port: ports.mirror, data: images, readOnly: true }),
  ]);
}

async function pullImages(folder: string, namespaces: NodeNamespaces): Promise<void> {
  const { rootful, rootless } = builderImages();
  const hosts = ["--hosts-dir", path.join(folder, "node", "certs.d")];
  for (const image of [pauseImage, corednsImage, rootless, rootful]) {
    await ctr(namespaces, ["images", "pull", ...hosts, image]);
  }
}

async function whenReady(controlPlane: ControlPlane): Promise<void> {
  const wait = async (what: string, args: readonly string[]): Promise<void> => {
    await step(`waiting for ${what}`, () =>
      waitFor(
        what,
        async () => {
          const result = await kubectl(controlPlane.kubeconfig, args);
          return result.code === 0 && result.stdout.trim() !== "" ? true : undefined;
        },
        { deadlineMs: readyMs, processes: controlPlane.processes },
      ),
    );
  };
  const timeout = `--timeout=${readyMs / 1000}s`;
  await wait("the node to register", ["get", "node", nodeName, "-o", "name"]);
  await wait("a Ready node", ["wait", "--for=condition=Ready", `node/${nodeName}`, timeout]);
  await wait("the default service account", ["get", "serviceaccount", "default", "-o", "name"]);
  const dns = ["rollout", "status", "deployment/coredns", "-n", "kube-system", timeout];
  await wait("cluster DNS", dns);
}

/** Text of buildkitd.toml that builders in the cluster need: the mirror and the plain http registry. */
function builderToml(registries: NodeRegistries): string {
  return `${registrySections(registries.mirror, [registries.main])}\n`;
}

async function writeEnvironment(
  folder: string,
  controlPlane: ControlPlane,
  network: ClusterNetwork,
): Promise<void> {
  const registries = registriesOf(network);
  const bin = path.join(folder, "bin");
  mkdirSync(bin, { recursive: true });
  const programs = await binaries(["kubectl", "helm", "buildctl"]);
  for (const [name, file] of Object.entries(programs)) symlinkSync(file, path.join(bin, name));
  const toml = path.join(folder, "buildkitd.toml");
  writeFileSync(toml, builderToml(registries));
  const variables = {
    KUBECONFIG: controlPlane.kubeconfig,
    KILN_REGISTRY: registries.main,
    KILN_MIRROR: registries.mirror,
    KILN_BUILDKITD_CONFIG: toml,
    KILN_HOST_ADDRESS: network.hostAddress,
  };
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}='${value}'`);
  lines.push(`export PATH='${bin}':"$PATH"`);
  writeFileSync(path.join(folder, "env"), `${lines.join("\n")}\n`);
}

async function startControl(
  folder: string,
  network: ClusterNetwork,
  pki: Pki,
): Promise<ControlPlane> {
  const { hostAddress: address, serviceCidr, serviceAddress } = network;
  return startControlPlane({
    folder,
    pki,
    survives: true,
    network: { address, serviceCidr, serviceAddress },
  });
}

async function startAll(folder: string): Promise<void> {
  const images = await prepare();
  const { network, namespaces } = await step("making the node's namespaces and network", () =>
    startNetwork(folder),
  );
  const pki = await makePki(folder);
  const runtime = async (): Promise<void> => {
    await startRegistries(folder, network, images);
    await startContainerd(folder, namespaces, network, registriesOf(network));
  };
  const [controlPlane] = await Promise.all([
    startControl(folder, network, pki),
    step("starting registries and containerd", runtime),
  ]);
  await startNode({ folder, namespaces, network, pki, server: controlPlane.server });
  await startControllers(controlPlane, pki);
  const program = path.join(import.meta.dirname, "volumes.ts");
  await start({
    name: "volumes",
    folder,
    survives: true,
    command: [
      process.execPath,
      program,
      controlPlane.kubeconfig,
      path.join(folder, "node", "volumes"),
    ],
  });
  const pulled = step("loading the images of pods", () => pullImages(folder, namespaces));
  await Promise.all([applyManifests(controlPlane.kubeconfig, addons(network)), pulled]);
  await whenReady(controlPlane);
  await writeEnvironment(folder, controlPlane, network);
}

/** Starts the cluster in a folder; does nothing when it is up; removes the remains of a broken one. */
export async function up(folder: string): Promise<void> {
  await withLock(`${folder}.lock`, async () => {
    if (isUp(folder)) return say("the cluster is up already");
    await removeCluster(folder);
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o711);
    await step("starting the cluster", () => startAll(folder));
    const state = readState(folder);
    if (state !== undefined) writeState(folder, { ...state, complete: true });
    return undefined;
  });
}

/** Brings an image (a docker or OCI archive) into the containerd of the cluster in a folder. */
export async function loadImage(archive: string, folder = defaultFolder()): Promise<void> {
  const node = recorded(folder, "node");
  const [pid] = node === undefined ? [] : childrenOf(node.pid);
  if (pid === undefined) throw new Error(`no cluster runs in ${folder}: start one with make up`);
  const inside = enter(pid);
  await step(`loading ${path.basename(archive)} into the cluster`, () =>
    ctr({ inside }, ["images", "import", "--local", path.resolve(archive)]),
  );
}
