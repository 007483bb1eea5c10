// The flags of `kiln controller`. The operator is loaded when it runs.
import { Command, InvalidArgumentError, Option } from "commander";
import { defaultConfig, type ControllerConfig } from "../config.ts";
import { logLevels } from "../log-level.ts";

function positive(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) {
    throw new InvalidArgumentError("Give a whole number of at least 1.");
  }
  return number;
}

/** `--no-leader-elect` and the flags of `ControllerConfig`, with the environment's defaults. */
export function controllerCommand(): Command {
  const defaults = defaultConfig(process.env);
  return new Command("controller")
    .description("Reconcile Builders and BuildRuns until SIGTERM.")
    .option("--kubeconfig <path>", "kubeconfig file (default: $KUBECONFIG, else the pod's account)")
    .option("--namespace <name>", "Kiln's own namespace", defaults.namespace)
    .option("--identity <name>", "name of this process in the Lease", defaults.identity)
    .option("--no-leader-elect", "do not compete for the Lease; only where no other process runs")
    .option("--buildkit-image <ref>", "image of Privileged builders", defaults.buildkitImage)
    .option(
      "--buildkit-rootless-image <ref>",
      "image of Rootless builders",
      defaults.buildkitRootlessImage,
    )
    .option("--agent-image <ref>", "image of the agent beside buildkitd", defaults.agentImage)
    .option(
      "--buildkitd-config <path>",
      "buildkitd.toml of managed Builders that bring none of their own",
    )
    .option(
      "--namespaced-sockets",
      "let Builders, not only ClusterBuilders, use sockets in this container",
    )
    .option("--probe-address <host:port>", "healthz, readyz and metrics", defaults.probeAddress)
    .addOption(
      new Option("--log-level <level>", "least severe level that is logged")
        .choices(logLevels)
        .default(defaults.logLevel),
    )
    .option("--concurrency <n>", "reconciles at once, per kind", positive, defaults.concurrency)
    .option(
      "--shutdown-grace-ms <n>",
      "milliseconds that SIGTERM waits for reconciles in flight",
      positive,
      defaults.shutdownGraceMs,
    )
    .action(async (flags: Partial<ControllerConfig>) => {
      const { runController } = await import("../operator.ts");
      await runController(Object.freeze({ ...defaults, ...flags }));
    });
}
