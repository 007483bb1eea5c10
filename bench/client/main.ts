// Kiln's BuildKit client against buildctl on one buildkitd: alternating runs, medians, ratios.
//   node bench/client/main.ts [CASE…] [--runs 7] [--json FILE]      --list names the cases
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { cases, type Case } from "./cases.ts";
import { buildctlClient, kilnClient, kilnInProcess, type BenchClient } from "./clients.ts";
import { idleSessions } from "./idle.ts";
import type { Cost } from "./job.ts";
import { idleRows, summaryOf, tableHead, tableRows, type Summary } from "./report.ts";
import { compile, world as start, type World } from "./world.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "7" },
    json: { type: "string" },
    list: { type: "boolean", default: false },
  },
});
const runs = Number(values.runs);
const names = [...cases.map(({ name }) => name), "idle-200"];

function clientsOf(world: World, { asProgram }: Case): BenchClient[] {
  return [
    buildctlClient(world.buildctl),
    ...(asProgram === false ? [] : [kilnClient(world.kiln)]),
    kilnInProcess(world.kiln),
  ];
}

/** One run of each client that does not count, with its proof; then the runs that do, in turns. */
async function measure(world: World, one: Case): Promise<Summary> {
  const clients = clientsOf(world, one);
  const prepared = await one.prepare(world);
  const costs = new Map<BenchClient["name"], Cost[]>(clients.map(({ name }) => [name, []]));
  const checker = kilnClient(world.kiln);
  let count = 0;
  try {
    for (let round = 0; round <= runs; round += 1) {
      for (const client of clients) {
        const job = prepared.job(client.name, (count += 1));
        await prepared.before?.(count);
        const cost = await client.run(job);
        if (round > 0) costs.get(client.name)?.push(cost);
        else if (client.name !== "buildctl") await prepared.check?.(job, checker);
        await prepared.after?.(job);
      }
    }
  } finally {
    for (const client of clients) await client.stop();
    await prepared.stop?.();
  }
  return summaryOf({ name: one.name, goal: one.goal, runs: Object.fromEntries(costs) });
}

async function main(): Promise<void> {
  const unknown = positionals.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`no case "${unknown}"; there are ${names.join(", ")}`);
  const wanted = positionals.length === 0 ? names : positionals;
  await compile();
  const world = await start();
  const results: Summary[] = [];
  let idle: object | undefined;
  try {
    console.log(`${runs} runs of each, in turns, medians; ratios to buildctl\n${tableHead}`);
    for (const one of cases.filter(({ name }) => wanted.includes(name))) {
      const summary = await measure(world, one);
      results.push(summary);
      console.log(tableRows(summary));
      await world.clear();
    }
    if (wanted.includes("idle-200")) {
      const cost = await idleSessions(world);
      idle = cost;
      console.log(idleRows(cost));
    }
  } finally {
    await world.stop();
  }
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ runs, cases: results, idle }, undefined, 2)}\n`);
}

if (values.list) console.log(names.join("\n"));
else await main();
