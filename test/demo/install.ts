// Kiln in the test cluster: its image, and the chart with what this cluster needs.

import { readFileSync } from "node:fs";
import path from "node:path";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { repositoryRoot } from "../cluster/base/binaries.ts";
import { step } from "../cluster/base/progress.ts";
import { loadImage } from "../cluster/node/cluster.ts";
import { kilnImage } from "./image.ts";

const run = promisify(execFile);

/** What `up` wrote for people to source, as a program reads it. */
export interface ClusterEnvironment {
  readonly kubeconfig: string;
  /** `address:port` of the cluster's registry, which speaks plain HTTP. */
  readonly registry: string;
  /** Path of a buildkitd.toml that knows the registry and the mirror of docker.io. */
  readonly buildkitdConfig: string;
  /** The machine's address as pods see it. */
  readonly hostAddress: string;
  readonly kubectl: string;
  readonly helm: string;
}

/** Reads the `env` file of a cluster's folder. Throws when there is none: the cluster is not up. */
export function environmentOf(folder: string): ClusterEnvironment {
  const text = readFileSync(path.join(folder, "env"), "utf8");
  const read = (name: string): string => {
    const found = new RegExp(`^export ${name}='(.*)'$`, "m").exec(text)?.[1];
    if (found === undefined) throw new Error(`${folder}/env has no ${name}: run make down and up`);
    return found;
  };
  return {
    kubeconfig: read("KUBECONFIG"),
    registry: read("KILN_REGISTRY"),
    buildkitdConfig: read("KILN_BUILDKITD_CONFIG"),
    hostAddress: read("KILN_HOST_ADDRESS"),
    kubectl: path.join(folder, "bin", "kubectl"),
    helm: path.join(folder, "bin", "helm"),
  };
}

/** Installs or upgrades Kiln from this checkout and waits until it works. */
export async function installKiln(folder: string): Promise<ClusterEnvironment> {
  const environment = environmentOf(folder);
  const image = await kilnImage();
  await loadImage(image.archive, folder);
  await step("installing the Helm chart", async () => {
    await run(environment.helm, [
      ...["upgrade", "--install", "kiln", path.join(repositoryRoot, "helm")],
      ...["--kubeconfig", environment.kubeconfig],
      ...["--namespace", "kiln-system", "--create-namespace"],
      ...["--set", `image.repository=${image.repository}`, "--set", `image.tag=${image.tag}`],
      ...["--set-file", `buildkit.config=${environment.buildkitdConfig}`],
      ...["--wait", "--timeout", "120s"],
    ]);
  });
  return environment;
}
