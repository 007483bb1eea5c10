// The flags of `kiln solve`. What it does is in run.ts, which is loaded when it runs.
import { Command, Option } from "commander";
import { addEndpointFlags } from "../endpoint-flags.ts";
import type { EndpointFlags } from "../endpoint.ts";

/** How progress may be shown. */
export const progressModes = ["auto", "plain", "tty", "rawjson", "quiet"] as const;

/** Values of the flags. */
export interface SolveFlags extends EndpointFlags {
  readonly frontend: string;
  readonly opt: readonly string[];
  readonly local: readonly string[];
  readonly ociLayout: readonly string[];
  readonly output: readonly string[];
  readonly exportCache: readonly string[];
  readonly importCache: readonly string[];
  readonly secret: readonly string[];
  readonly ssh: readonly string[];
  readonly allow: readonly string[];
  readonly sourcePolicyFile?: string;
  readonly proxyNetwork?: boolean;
  readonly metadataFile?: string;
  readonly refFile?: string;
  readonly progress: (typeof progressModes)[number];
  /** `--no-cache` makes it false. */
  readonly cache: boolean;
}

const nothing: SolveFlags = {
  ...{ addr: "", frontend: "", progress: "auto", cache: true },
  ...{ opt: [], local: [], ociLayout: [], output: [], exportCache: [], importCache: [] },
  ...{ secret: [], ssh: [], allow: [] },
};

/** `kiln solve`. */
export function solveCommand(): Command {
  const command = new Command("solve").description(
    "Build on any buildkitd, with the flags of buildctl build. Without --frontend, LLB is read from standard input.",
  );
  const many = (flags: string, description: string): void => {
    const collect = (value: string, before: readonly string[] = []): string[] => [...before, value];
    command.addOption(new Option(flags, description).argParser(collect));
  };
  addEndpointFlags(command).option("--frontend <name>", "such as dockerfile.v0 or gateway.v0");
  many("--opt <key=value>", "option of the frontend, such as target=x or build-arg:x=y");
  many("--local <name=folder>", "a folder that the build may read");
  many("--oci-layout <name=folder>", "an OCI layout that the build may read");
  many("-o, --output <csv>", "such as type=image,name=x,push=true or type=local,dest=folder");
  many("--export-cache <csv>", "such as type=registry,ref=x or type=local,dest=folder");
  many("--import-cache <csv>", "such as type=registry,ref=x or type=local,src=folder");
  many("--secret <csv>", "id=x,src=file or id=x,env=NAME");
  many("--ssh <id[=paths]>", "default, or id=socket|key[,key…][,raw=true]");
  many("--allow <entitlement>", "network.host, security.insecure or device");
  return command
    .option("--source-policy-file <file>", "JSON of what the build may take in")
    .option("--proxy-network", "let steps reach the network only through the daemon's proxy")
    .option("--metadata-file <file>", "write digests and the like there, as JSON")
    .option("--ref-file <file>", "write the ref of the build there")
    .addOption(
      new Option("--progress <mode>", "on standard error").choices(progressModes).default("auto"),
    )
    .option("--no-cache", "run every step again")
    .action(async (given: Partial<SolveFlags>) => {
      const { runSolve } = await import("./run.ts");
      process.exitCode = await runSolve({ ...nothing, ...given });
    });
}
