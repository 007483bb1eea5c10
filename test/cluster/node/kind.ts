// How does `make up CLUSTER=kind` work on a machine with Docker? The published kind node and registry
// images instead of what is built here; the same .kiln/env at the end.
import { execFile } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { binaries, binary, repositoryRoot } from "../base/binaries.ts";
import { step } from "../base/progress.ts";

const run = promisify(execFile);
const name = "kiln";
const registryName = "kiln-registry";
const registryImage = "docker.io/library/registry:3";
const registryPort = 5000;

/** The configuration file of the kind cluster. */
export const kindConfig: string = path.join(repositoryRoot, "kind-config.yaml");

async function docker(args: readonly string[]): Promise<string> {
  try {
    return (await run("docker", [...args])).stdout;
  } catch (error) {
    throw new Error(`CLUSTER=kind needs a running Docker engine: docker ${args[0] ?? ""} failed`, {
      cause: error,
    });
  }
}

async function startRegistry(): Promise<void> {
  const running = await docker(["ps", "-q", "-f", `name=^${registryName}$`]);
  if (running.trim() !== "") return;
  await docker(["rm", "-f", registryName]);
  const publish = `127.0.0.1:${registryPort}:5000`;
  await docker([
    "run",
    "-d",
    "--restart=always",
    "-p",
    publish,
    "--name",
    registryName,
    registryImage,
  ]);
}

/** Lets the node's containerd pull from the registry by plain http under the name that pods use. */
async function trustRegistry(): Promise<void> {
  const host = `${registryName}:5000`;
  const folder = `/etc/containerd/certs.d/${host}`;
  const script = `mkdir -p ${folder} && echo 'server = "http://${host}"' >${folder}/hosts.toml`;
  await docker(["exec", `${name}-control-plane`, "sh", "-c", script]);
}

/** Creates the kind cluster and its registry, and writes the environment file. */
export async function kindUp(folder: string): Promise<void> {
  await docker(["version"]);
  mkdirSync(path.join(folder, "bin"), { recursive: true });
  const kubeconfig = path.join(folder, "kubeconfig");
  const kind = await binary("kind");
  await step("starting the registry", startRegistry);
  const existing = (await run(kind, ["get", "clusters"])).stdout.split("\n");
  if (!existing.includes(name)) {
    const flags = [
      "--name",
      name,
      "--config",
      kindConfig,
      "--kubeconfig",
      kubeconfig,
      "--wait",
      "120s",
    ];
    await step("creating the kind cluster", () => run(kind, ["create", "cluster", ...flags]));
  } else await run(kind, ["export", "kubeconfig", "--name", name, "--kubeconfig", kubeconfig]);
  // Fails when it is connected already.
  await run("docker", ["network", "connect", "kind", registryName]).catch(() => undefined);
  await trustRegistry();
  for (const [program, file] of Object.entries(await binaries(["kubectl", "helm", "buildctl"]))) {
    const link = path.join(folder, "bin", program);
    rmSync(link, { force: true });
    symlinkSync(file, link);
  }
  const toml = path.join(folder, "buildkitd.toml");
  writeFileSync(toml, `[registry."${registryName}:5000"]\n  http = true\n`);
  const lines = [
    `export KUBECONFIG='${kubeconfig}'`,
    `export KILN_REGISTRY='${registryName}:5000'`,
    // The same registry as this machine reaches it.
    `export KILN_REGISTRY_LOCAL='127.0.0.1:${registryPort}'`,
    `export KILN_BUILDKITD_CONFIG='${toml}'`,
    `export PATH='${path.join(folder, "bin")}':"$PATH"`,
  ];
  writeFileSync(path.join(folder, "env"), `${lines.join("\n")}\n`);
}

/** Deletes the kind cluster and its registry. */
export async function kindDown(folder: string): Promise<void> {
  await run(await binary("kind"), ["delete", "cluster", "--name", name]);
  await docker(["rm", "-f", "-v", registryName]);
  rmSync(folder, { recursive: true, force: true });
}
