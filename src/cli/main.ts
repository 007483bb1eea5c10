#!/usr/bin/env node
// The `kiln` command. Each subcommand loads what it needs only when it runs, so that `kiln --help`
// does not pay for the operator's imports.

import { readFileSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { Command, InvalidArgumentError, Option } from "commander";
import type { ControllerConfig } from "../config.ts";
import { defaultConfig } from "../config.ts";
import { logLevels } from "../log.ts";
import { version } from "../version.ts";
import { buildkitCommand } from "./buildkit/command.ts";
import { solveCommand } from "./solve/command.ts";

function positive(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) {
    throw new InvalidArgumentError("Give a whole number of at least 1.");
  }
  return number;
}

/** `--no-leader-elect` and the flags of `ControllerConfig`, with the environment's defaults. */
function controllerCommand(): Command {
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
    .option(
      "--buildkitd-config <path>",
      "buildkitd.toml of managed Builders that bring none of their own",
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

/** Exit code 1 when a file is not as it should be; every finding on a line of its own. */
function lintCommand(): Command {
  return new Command("lint")
    .description("Check manifests of Kiln without a cluster, as far as the schemas can tell.")
    .argument("<file...>", "YAML files; - is standard input")
    .action(async (files: readonly string[]) => {
      const { lint } = await import("./lint.ts");
      for (const file of files) {
        const { checked, findings } = lint(readFileSync(file === "-" ? 0 : file, "utf8"));
        for (const { line, object, message } of findings) {
          console.log(`${file}:${line}: ${object === "" ? "" : `${object}: `}${message}`);
        }
        if (findings.length > 0) process.exitCode = 1;
        else console.log(`${file}: ${checked} objects of Kiln, nothing wrong`);
      }
    });
}

enableCompileCache();
await new Command("kiln")
  .description("BuildKit as a build farm inside Kubernetes.")
  .version(version, "--version", "print the version")
  .addCommand(controllerCommand())
  .addCommand(lintCommand())
  .addCommand(solveCommand())
  .addCommand(buildkitCommand())
  .parseAsync();
