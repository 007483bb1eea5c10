// Runs jobs with Kiln's client as they come from a parent, as a controller would.
//   fork("runner.mjs", [MODULE])     each message is a job, each answer its cost; MODULE: src/buildkit/index.ts as tsc
//                                    compiled it
// Imports nothing but types of its own folder: the benchmark runs it with its types stripped, as a program is installed.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { pathToFileURL } from "node:url";
import type * as Buildkit from "../../src/buildkit/index.ts";
import type { Cost, Job } from "./job.ts";

const jobMs = 300_000;
/** What is unchanged under this name is not sent again. */
const sharedKey = "bench";
const [, , file = ""] = process.argv;
enableCompileCache();
const buildkit = (await import(pathToFileURL(file).href)) as typeof Buildkit;

async function one(client: Buildkit.BuildkitClient, job: Job): Promise<void> {
  const trees = Object.entries(job.locals).map(
    ([name, folder]) => [name, buildkit.diskTree(folder)] as const,
  );
  const receivers =
    job.output === undefined
      ? []
      : [
          buildkit.exportReceiver({
            0:
              job.output.type === "tar"
                ? buildkit.toFile(job.output.dest)
                : buildkit.toDirectory(job.output.dest),
          }),
        ];
  await client.solve(
    {
      ref: randomUUID(),
      frontend: job.frontend,
      frontendAttrs: {},
      ...(job.definition === undefined
        ? {}
        : { definition: Buffer.from(job.definition, "base64") }),
      exporters: job.output === undefined ? [] : [{ type: job.output.type, attrs: {} }],
      cacheImports: [],
      cacheExports: [],
    },
    {
      attachables: [buildkit.filesync(Object.fromEntries(trees)), ...receivers],
      sharedKey,
      onEvent(event) {
        if (event.kind === "log" && job.tellOutput === true) process.send?.({ output: true });
      },
      signal: AbortSignal.timeout(jobMs),
    },
  );
}

async function run(job: Job): Promise<Cost> {
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const client = buildkit.connect(buildkit.parseEndpoint(job.endpoint));
  try {
    await Promise.all(Array.from({ length: job.concurrent ?? 1 }, () => one(client, job)));
  } finally {
    client.close();
  }
  const wallMs = performance.now() - begun;
  const { user, system } = process.cpuUsage(cpu);
  // What the kernel calls maxRSS begins, after a fork, with the parent's.
  const peak = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"));
  return { wallMs, cpuMs: (user + system) / 1_000, rssMiB: Number(peak?.[1]) / 1_024 };
}

process.on("message", (job: Job) => {
  run(job).then(
    (cost) => process.send?.({ cost }),
    (error: unknown) =>
      process.send?.({ error: error instanceof Error ? error.stack : String(error) }),
  );
});
process.on("disconnect", () => process.exit());
