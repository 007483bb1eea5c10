// The cluster of the e2e suite: one of its own, beside any that `make up` started, with Kiln in it,
// a registry with a password, and nothing left of it afterwards.

import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { down, up } from "../cluster/node/cluster.ts";
import { registry, type Registry } from "../cluster/index.ts";
import { environmentOf, installKiln } from "../demo/install.ts";

/** What `mochaGlobalSetup` made and `mochaGlobalTeardown` ends. */
interface Made {
  readonly folder: string;
  readonly registry: Registry;
}

const made: Made[] = [];

/** Starts the cluster once for the whole suite. */
export async function mochaGlobalSetup(): Promise<void> {
  const parent = mkdtempSync(path.join(tmpdir(), "kiln-e2e-"));
  const folder = path.join(parent, "cluster");
  try {
    await up(folder);
    const { hostAddress: address, buildkitdConfig } = environmentOf(folder);
    const locked = await registry({ auth: { user: "kiln", password: "right" }, address });
    made.push({ folder, registry: locked });
    appendFileSync(buildkitdConfig, `\n[registry."${locked.host}"]\n  http = true\n`);
    const environment = await installKiln(folder);
    process.env["KILN_E2E_KUBECTL"] = environment.kubectl;
    process.env["KILN_E2E_KUBECONFIG"] = environment.kubeconfig;
    process.env["KILN_E2E_REGISTRY"] = environment.registry;
    process.env["KILN_E2E_PRIVATE_REGISTRY"] = locked.host;
  } catch (error) {
    await mochaGlobalTeardown();
    await down(folder);
    rmSync(parent, { recursive: true, force: true });
    throw error;
  }
}

/** Ends it. */
export async function mochaGlobalTeardown(): Promise<void> {
  for (const { folder, registry: locked } of made.splice(0)) {
    await locked.stop();
    await down(folder);
    rmSync(path.dirname(folder), { recursive: true, force: true });
  }
}
