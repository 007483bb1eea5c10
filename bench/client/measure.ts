// What did a program cost? Wall time by us, user and system time by the kernel, memory by polling its peak.
import { spawn, type SpawnOptions } from "node:child_process";
import { readFileSync } from "node:fs";
import type { Cost } from "./job.ts";

const pollMs = 5;

/** What a program is given to read, and where it runs. */
export interface MeasureOptions {
  readonly stdin?: Buffer;
  readonly env?: NodeJS.ProcessEnv;
}

/** Peak resident memory in MiB so far; 0 when the process has gone. */
export function peakRss(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1_024;
  } catch {
    return 0;
  }
}

/**
 * Runs a program to its end. Its times come from bash's `time`, to the millisecond; `exec` and a pipe keep bash's own
 * cost (some 2 ms) out of the wall time.
 * Rejects with what the program printed when it fails.
 */
export async function measured(
  command: readonly string[],
  options: MeasureOptions = {},
): Promise<Cost> {
  // The line of times goes to descriptor 3, so that the program's own stderr stays its own.
  const script = 'TIMEFORMAT="%R %U %S"; { time "$@" 2>&4; } 4>&2 2>&3';
  const spawned: SpawnOptions = {
    stdio: ["pipe", "ignore", "pipe", "pipe"],
    env: options.env ?? process.env,
  };
  const child = spawn("bash", ["-c", script, "bash", ...command], spawned);
  let [errors, times] = ["", ""];
  child.stderr?.on("data", (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4_000)));
  const report = child.stdio[3];
  if (report !== null && report !== undefined && "on" in report)
    report.on("data", (chunk: Buffer) => (times += chunk.toString()));
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(options.stdin);
  let rssMiB = 0;
  const timer = setInterval(() => {
    for (const pid of childrenOf(child.pid ?? 0)) rssMiB = Math.max(rssMiB, peakRss(pid));
  }, pollMs);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  clearInterval(timer);
  if (code !== 0) throw new Error(`${command[0] ?? ""} exited with ${code}:\n${errors}`);
  const [real = 0, user = 0, system = 0] = times.trim().split(" ").map(Number);
  return { wallMs: real * 1_000, cpuMs: (user + system) * 1_000, rssMiB };
}

function childrenOf(pid: number): number[] {
  try {
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return list.trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** The middle one; of an even number the mean of the middle two. NaN of none. */
export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** Median of each part. */
export function medianCost(costs: readonly Cost[]): Cost {
  return {
    wallMs: median(costs.map(({ wallMs }) => wallMs)),
    cpuMs: median(costs.map(({ cpuMs }) => cpuMs)),
    rssMiB: median(costs.map(({ rssMiB }) => rssMiB)),
  };
}
