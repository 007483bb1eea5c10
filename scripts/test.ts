// `make test`: the checks, the programs that suites start, every suite, then what failed and one line that sums
// what ran. A suite that fails does not hide the ones after it.

import { spawn } from "node:child_process";
import path from "node:path";

interface Tally {
  readonly passed: number;
  readonly failed: number;
  /** What to say of each failure when all suites have ended: the title, and the first lines below it. */
  readonly failures: readonly string[];
}

function sum(tallies: readonly Tally[]): Tally {
  return {
    passed: tallies.reduce((all, { passed }) => all + passed, 0),
    failed: tallies.reduce((all, { failed }) => all + failed, 0),
    failures: tallies.flatMap(({ failures }) => failures),
  };
}

/** The commands of a suite, which run at the same time. */
const suites: Record<string, readonly string[][]> = {
  unit: [["mocha", "--config", "test/unit/.mocharc.json"]],
  fuzz: [["mocha", "--config", "test/fuzz/.mocharc.json"]],
  // The client's tests wait for deadlines more than they work.
  integration: [
    integration("--ignore", "test/integration/buildkit/**"),
    integration("--ignore", "test/integration/!(buildkit)/**"),
  ],
  e2e: [["mocha", "--config", "test/e2e/.mocharc.json"]],
};

function integration(...more: string[]): string[] {
  return ["mocha", "--config", "test/integration/.mocharc.json", ...more];
}

const checks: readonly (readonly string[])[] = [
  ["tsc", "-b"],
  ["oxlint", "--type-aware", "--deny-warnings"],
  ["biome", "format"],
  ["node", "scripts/generate.ts", "--check"],
];

/** Programs of packages begin with `env node`: that has to be the Node that runs this. */
const ourPrograms = [path.dirname(process.execPath), process.env["PATH"]].join(path.delimiter);

/** Node keeps compiled code there: a third of the unit suite's time is the loading of its files. */
const compiled = process.env["NODE_COMPILE_CACHE"] ?? path.resolve("node_modules/.cache/node");

/** How a command ended, and what it printed. */
interface Ended {
  readonly code: number;
  readonly output: string;
}

/** Runs a command. `shown`: what it prints is passed through as it comes. */
async function run(argv: readonly string[], shown = true): Promise<Ended> {
  const [command, ...args] = argv;
  if (command === undefined) throw new Error("an empty command was asked for");
  return await new Promise((resolve, reject) => {
    const child = spawn(`node_modules/.bin/${command}`, args, {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        PATH: ourPrograms,
        FORCE_COLOR: "0",
        NODE_COMPILE_CACHE: compiled,
      },
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (shown) process.stdout.write(chunk);
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

function countOf(output: string, word: "passing" | "failing"): number {
  const counts = [...output.matchAll(new RegExp(`^\\s+(\\d+) ${word}\\b`, "gm"))];
  return Number(counts.at(-1)?.[1] ?? 0);
}

/**
 * Mocha's report of failures: each numbered block without the empty lines and the stack, so that the
 * end of a long log says all that is needed.
 */
function failuresOf(output: string): string[] {
  const [, report] = output.split(/^\s+\d+ failing$/m);
  const blocks = (report ?? "").split(/^(?= {2}\d+\) )/m).slice(1);
  return blocks.map((block) => {
    const lines = block.split("\n").filter((line) => line.trim() !== "" && !/^\s+at /.test(line));
    return lines.slice(0, 14).join("\n");
  });
}

/** One check counts as one test, so that a stale file fails the sum and not only the exit code. */
async function runChecks(): Promise<Tally> {
  const failures: string[] = [];
  for (const check of checks) {
    console.log(`check: ${check.join(" ")}`);
    const { code } = await run(check);
    if (code !== 0) failures.push(`  check: ${check.join(" ")}`);
  }
  return { passed: checks.length - failures.length, failed: failures.length, failures };
}

/**
 * Builds what the suites start. In a test that is the first to need a program, compiling it would
 * come off that test's deadline.
 */
async function runBuild(): Promise<Tally> {
  const started = Date.now();
  console.log("\nprograms and images of the suites");
  const { code } = await run(["node", "test/cluster/main.ts", "build"]);
  console.log(`programs and images: ${Math.round((Date.now() - started) / 1000)} s`);
  const failures = code === 0 ? [] : [`  building programs and images ended with code ${code}`];
  return { passed: 0, failed: failures.length, failures };
}

/** What a command of a suite counted. One that broke before it counted, or that ran nothing, is a failure of its own. */
function tallyOf({ code, output }: Ended): Tally {
  const passed = countOf(output, "passing");
  const failed = countOf(output, "failing");
  const broke = (code !== 0 && failed === 0) || passed + failed === 0;
  const failures = failuresOf(output);
  if (broke) failures.push(`  it ended with code ${code}`);
  return { passed, failed: failed + (broke ? 1 : 0), failures };
}

/** Commands at once print one after the other. */
async function runSuite(
  name: string,
  [first = [], ...others]: readonly string[][],
): Promise<Tally> {
  const started = Date.now();
  console.log(`\nsuite: ${name}`);
  const behind = others.map((argv) => run(argv, false));
  const ended = [await run(first)];
  for (const one of behind) {
    const { code, output } = await one;
    process.stdout.write(output);
    ended.push({ code, output });
  }
  const { passed, failed, failures } = sum(ended.map(tallyOf));
  console.log(`suite ${name}: ${passed} passed in ${Math.round((Date.now() - started) / 1000)} s`);
  return { passed, failed, failures: failures.map((failure) => `${name}:\n${failure}`) };
}

const only = process.argv.slice(2);
const wanted = only.length === 0 ? ["checks", ...Object.keys(suites)] : only;
const tallies: Tally[] = [];
let isBuilt = false;
for (const name of wanted) {
  const suite = suites[name];
  if (name !== "checks" && suite === undefined) throw new Error(`there is no suite "${name}"`);
  if (!isBuilt && name !== "checks" && name !== "unit") {
    isBuilt = true;
    tallies.push(await runBuild());
  }
  tallies.push(suite === undefined ? await runChecks() : await runSuite(name, suite));
}
const total = sum(tallies);
if (total.failures.length > 0) console.log(`\nfailed:\n${total.failures.join("\n")}`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
