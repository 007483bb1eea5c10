// The subcommands of `kiln`. Each loads what it needs only when it runs, so that `kiln --help`
// does not pay for the operator's imports.

import { Command } from "commander";
import { version } from "../version.ts";
import { agentCommand } from "./agent-command.ts";
import { buildkitCommand } from "./buildkit/command.ts";
import { controllerCommand } from "./controller-command.ts";
import { lintCommand } from "./lint-command.ts";
import { receiveCommand } from "./receive-command.ts";
import { solveCommand } from "./solve/command.ts";

/** Runs the subcommand that the process's arguments name. */
export async function runCommand(): Promise<void> {
  await new Command("kiln")
    .description("BuildKit as a build farm inside Kubernetes.")
    .version(version, "--version", "print the version")
    .addCommand(controllerCommand())
    .addCommand(agentCommand())
    .addCommand(receiveCommand(), { hidden: true })
    .addCommand(lintCommand())
    .addCommand(solveCommand())
    .addCommand(buildkitCommand())
    .parseAsync();
}
