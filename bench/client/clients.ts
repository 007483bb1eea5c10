// The clients that are compared: buildctl, `kiln solve` as it is shipped, and Kiln's client in a running process.
import { fork, type ChildProcess } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import path from "node:path";
import type { Cost, Job } from "./job.ts";
import { measured } from "./measure.ts";

/** One way of running a job. */
export interface BenchClient {
  readonly name: "buildctl" | "kiln" | "kiln in process";
  run(job: Job): Promise<Cost>;
  stop(): Promise<void>;
}

/** The flags of a build, which both programs have. */
function buildFlags(job: Job): string[] {
  const args = ["--progress", "plain"];
  if (job.frontend !== "") args.push("--frontend", job.frontend);
  for (const [name, folder] of Object.entries(job.locals))
    args.push("--local", `${name}=${folder}`);
  if (job.output !== undefined)
    args.push("--output", `type=${job.output.type},dest=${job.output.dest}`);
  return args;
}

function measuredWithInput(command: readonly string[], { definition }: Job): Promise<Cost> {
  return measured(
    command,
    definition === undefined ? {} : { stdin: Buffer.from(definition, "base64") },
  );
}

/** buildctl. Many builds at once are many processes: wall time is that of the last, CPU the sum. */
export function buildctlClient(program: string): BenchClient {
  const one = (job: Job): Promise<Cost> =>
    measuredWithInput([program, "--addr", job.endpoint, "build", ...buildFlags(job)], job);
  return {
    name: "buildctl",
    async run(job) {
      const begun = performance.now();
      const costs = await Promise.all(Array.from({ length: job.concurrent ?? 1 }, () => one(job)));
      const [first] = costs;
      if (costs.length === 1 && first !== undefined) return first;
      return {
        wallMs: performance.now() - begun,
        cpuMs: costs.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
        rssMiB: costs.reduce((sum, { rssMiB }) => sum + rssMiB, 0),
      };
    },
    stop: async () => undefined,
  };
}

/** What Kiln's clients are made of. */
export interface KilnProgram {
  /** JavaScript that runs jobs. */
  readonly runner: string;
  /** src/buildkit as it is installed. */
  readonly module: string;
  /** The command as it is shipped. */
  readonly program: string;
}

/** Writes the runner as JavaScript into a folder: reading types is no cost of an installed program. */
export function kilnProgram(folder: string, dist: string): KilnProgram {
  const source = readFileSync(path.join(import.meta.dirname, "runner.ts"), "utf8");
  const runner = path.join(folder, "runner.mjs");
  writeFileSync(runner, stripTypeScriptTypes(source));
  return {
    runner,
    module: path.join(dist, "buildkit/index.js"),
    program: path.join(dist, "bin/kiln.js"),
  };
}

/** `kiln solve`, a process of its own for each job. */
export function kilnClient({ program }: KilnProgram): BenchClient {
  return {
    name: "kiln",
    async run(job) {
      if (job.concurrent !== undefined) throw new TypeError("one process runs one build");
      const command = [program, "solve", "--addr", job.endpoint, ...buildFlags(job)];
      return measuredWithInput([process.execPath, ...command], job);
    },
    stop: async () => undefined,
  };
}

/** Kiln's client in one process that stays. Its memory is the peak since its start. */
export function kilnInProcess({ runner, module }: KilnProgram): BenchClient {
  let child: ChildProcess | undefined;
  const ask = (process: ChildProcess, job: Job): Promise<Cost> =>
    new Promise((resolve, reject) => {
      const gone = (code: number | null): void => reject(new Error(`the runner exited: ${code}`));
      process.once("exit", gone);
      process.once("message", ({ cost, error }: { cost?: Cost; error?: string }) => {
        process.off("exit", gone);
        if (cost === undefined) reject(new Error(error));
        else resolve(cost);
      });
      process.send(job);
    });
  return {
    name: "kiln in process",
    run(job) {
      child ??= fork(runner, [module]);
      return ask(child, job);
    },
    async stop() {
      if (child === undefined) return;
      const over = new Promise((resolve) => child?.once("exit", resolve));
      child.disconnect();
      await over;
      child = undefined;
    },
  };
}
