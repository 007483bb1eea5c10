// `kiln agent`: what it may be told. The process itself is src/agent-process.ts.

import { Command, InvalidArgumentError, Option } from "commander";
import { type AgentConfig, agentDefaults } from "../agent-config.ts";
import { logLevels } from "../log-level.ts";

function milliseconds(text: string): number {
  const seconds = Number(text);
  if (!Number.isInteger(seconds) || seconds < 1)
    throw new InvalidArgumentError("Give a whole number of seconds, at least 1.");
  return seconds * 1000;
}

/** The subcommand. `run` loads what it needs only then. */
export function agentCommand(): Command {
  return new Command("agent")
    .description("Hold builds for the controller, beside a buildkitd, until SIGTERM.")
    .requiredOption("--buildkitd <unix:///path>", "socket of the buildkitd beside it")
    .option("--address <host:port>", "where the controller calls", agentDefaults.address)
    .option("--tls <folder>", "holds ca.crt, tls.crt and tls.key", agentDefaults.tls)
    .option("--data <folder>", "logs of jobs; survives a restart", agentDefaults.data)
    .option("--volume <folder>", "volume with buildkitd's state, for its size")
    .option("--caches <folder>", "caches of kind local; without it they are refused")
    .option("--probe-address <host:port>", "healthz, readyz, metrics", agentDefaults.probeAddress)
    .option("--grace <seconds>", "how long SIGTERM waits for running builds", milliseconds)
    .addOption(
      new Option("--log-level <level>", "least severe level that is logged")
        .choices(logLevels)
        .default(agentDefaults.logLevel),
    )
    .action(async ({ grace, ...flags }: Partial<AgentConfig> & { grace?: number }) => {
      const { runAgent } = await import("../agent-process.ts");
      const graceMs = grace ?? agentDefaults.graceMs;
      await runAgent({ ...agentDefaults, buildkitd: "", ...flags, graceMs });
    });
}
