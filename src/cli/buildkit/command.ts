// The flags of `kiln buildkit …`: what a buildkitd is, has and remembers. What they do is in run.ts.
import { Command } from "commander";
import { addEndpointFlags } from "../endpoint-flags.ts";
import type { EndpointFlags } from "../endpoint.ts";

/** Flags of most of these commands. */
export interface AskFlags extends EndpointFlags {
  readonly json?: boolean;
  readonly filter?: readonly string[];
}

/** Flags of `prune`. */
export interface PruneFlags extends AskFlags {
  readonly all?: boolean;
  readonly keepDuration?: string;
  readonly reservedSpace?: string;
  readonly maxUsedSpace?: string;
  readonly minFreeSpace?: string;
}

/** Flags of `history ls`. */
export interface HistoryFlags extends AskFlags {
  readonly limit?: string;
  readonly active?: boolean;
}

type Runner = typeof import("./run.ts");

function ask(name: string, description: string): Command {
  return addEndpointFlags(new Command(name).description(description));
}

function withJson(command: Command): Command {
  return command.option("--json", "print JSON");
}

function withFilter(command: Command): Command {
  const collect = (value: string, before: readonly string[] = []): string[] => [...before, value];
  return command.option("--filter <filter>", "containerd filter; of several any may hold", collect);
}

/** Loads the client, runs, and leaves the exit code. */
async function run(work: (runner: Runner) => Promise<number>): Promise<void> {
  process.exitCode = await work(await import("./run.ts"));
}

function pruneCommand(): Command {
  return withJson(withFilter(ask("prune", "Remove what is in the cache and not in use.")))
    .option("--all", "internal and frontend records too")
    .option("--keep-duration <time>", "keep what was used in this time, such as 24h")
    .option("--reserved-space <size>", "keep so much whatever else is said, such as 10GB")
    .option("--max-used-space <size>", "cut the cache down to this size")
    .option("--min-free-space <size>", "until so much of the disk is free")
    .action(async (flags: PruneFlags) => await run((runner) => runner.prune(flags)));
}

function historyCommand(): Command {
  const withRef = (name: string, description: string): Command =>
    ask(name, description).argument(
      "<ref>",
      "ref of the build; kiln solve writes it with --ref-file",
    );
  return new Command("history")
    .description("Builds that the daemon remembers.")
    .addCommand(
      withJson(withFilter(ask("ls", "List builds, the latest first.")))
        .option("--limit <n>", "so many")
        .option("--active", "only those that run")
        .action(async (flags: HistoryFlags) => await run((runner) => runner.listHistory(flags))),
    )
    .addCommand(
      withJson(withRef("inspect", "Show one build.")).action(
        async (ref: string, flags: AskFlags) => await run((runner) => runner.inspect(ref, flags)),
      ),
    )
    .addCommand(
      withRef("logs", "Show the progress of a build, of one that runs to its end.").action(
        async (ref: string, flags: AskFlags) => await run((runner) => runner.logs(ref, flags)),
      ),
    )
    .addCommand(
      withRef("rm", "Forget a build.").action(
        async (ref: string, flags: AskFlags) => await run((runner) => runner.forget(ref, flags)),
      ),
    );
}

/** `kiln buildkit`. */
export function buildkitCommand(): Command {
  return new Command("buildkit")
    .description("Look into a buildkitd.")
    .addCommand(
      withJson(ask("info", "Which BuildKit answers.")).action(
        async (flags: AskFlags) => await run((runner) => runner.info(flags)),
      ),
    )
    .addCommand(
      withJson(withFilter(ask("workers", "Its workers, their platforms and rules."))).action(
        async (flags: AskFlags) => await run((runner) => runner.workers(flags)),
      ),
    )
    .addCommand(
      withJson(withFilter(ask("du", "What its cache takes up."))).action(
        async (flags: AskFlags) => await run((runner) => runner.diskUsage(flags)),
      ),
    )
    .addCommand(pruneCommand())
    .addCommand(historyCommand());
}
