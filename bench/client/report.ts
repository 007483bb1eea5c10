// The benchmark's table, and its ratios. Pure.
import type { BenchClient } from "./clients.ts";
import type { Case } from "./cases.ts";
import type { IdleCost } from "./idle.ts";
import type { Cost } from "./job.ts";
import { medianCost } from "./measure.ts";

/** All runs of a case, by client. */
export interface CaseResult {
  readonly name: string;
  readonly goal: Case["goal"];
  readonly runs: Readonly<Partial<Record<BenchClient["name"], readonly Cost[]>>>;
}

/** A case as one object for the JSON file: medians, and ratios to buildctl. */
export interface Summary {
  readonly name: string;
  readonly goal: Case["goal"];
  readonly medians: Readonly<Partial<Record<BenchClient["name"], Cost>>>;
  readonly ratios: Readonly<
    Partial<Record<BenchClient["name"], { wall: number; cpu: number; memory: number }>>
  >;
}

/** Medians and ratios of a case. */
export function summaryOf({ name, goal, runs }: CaseResult): Summary {
  const medians: Partial<Record<BenchClient["name"], Cost>> = {};
  const ratios: Summary["ratios"] = {};
  for (const [client, costs] of Object.entries(runs) as [BenchClient["name"], Cost[]][])
    medians[client] = medianCost(costs);
  const peer = medians.buildctl;
  if (peer === undefined) return { name, goal, medians, ratios };
  const found = Object.fromEntries(
    (Object.entries(medians) as [BenchClient["name"], Cost][])
      .filter(([client]) => client !== "buildctl")
      .map(([client, cost]) => [
        client,
        {
          wall: cost.wallMs / peer.wallMs,
          cpu: cost.cpuMs / peer.cpuMs,
          memory: cost.rssMiB / peer.rssMiB,
        },
      ]),
  );
  return { name, goal, medians, ratios: found };
}

function seconds(ms: number): string {
  return ms < 1_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1_000).toFixed(2)} s`;
}

function verdict(ratio: number, goal: number | undefined): string {
  if (goal === undefined) return ratio.toFixed(2);
  return `${ratio.toFixed(2)} ${ratio <= goal ? "≤" : "> goal"} ${goal}`;
}

const columns = [16, 17, 10, 10, 9, 16, 16, 8] as const;

function line(cells: readonly string[]): string {
  return cells
    .map((cell, index) => cell.padEnd(columns[index] ?? 0))
    .join(" ")
    .trimEnd();
}

/** The head of the table. */
export const tableHead: string = line([
  ...["case", "client", "wall", "CPU", "memory"],
  ...["wall ratio", "CPU ratio", "memory"],
]);

/** One line for each client of a case. */
export function tableRows({ name, goal, medians, ratios }: Summary): string {
  const rows = (Object.entries(medians) as [BenchClient["name"], Cost][]).map(([client, cost]) => {
    const ratio = ratios[client];
    const wallGoal = client === "kiln in process" ? (goal.inProcess ?? goal.wall) : goal.wall;
    return line([
      client === "buildctl" ? name : "",
      client,
      seconds(cost.wallMs),
      seconds(cost.cpuMs),
      `${cost.rssMiB.toFixed(0)} MiB`,
      ratio === undefined ? "1" : verdict(ratio.wall, wallGoal),
      ratio === undefined ? "1" : verdict(ratio.cpu, goal.cpu),
      ratio === undefined ? "1" : ratio.memory.toFixed(1),
    ]);
  });
  return rows.join("\n");
}

/** The lines about idle sessions. */
export function idleRows(cost: IdleCost): string {
  return [
    `idle sessions    buildctl          ${cost.buildctlMiB.toFixed(1)} MiB each`,
    `                 kiln in process   ${cost.kilnMiB.toFixed(2)} MiB each, ${cost.kilnProcessMiB.toFixed(0)} MiB with ${cost.sessions}`,
  ].join("\n");
}
