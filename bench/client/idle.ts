// What does an idle session cost? Builds that all wait for one step: 200 in one process of Kiln's; of buildctl, which
// has a process for each, a few are as good as 200.
import { fork, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Job } from "./job.ts";
import { median } from "./measure.ts";
import type { World } from "./world.ts";

const sessions = 200;
const buildctls = 10;
const quietMs = 3_000;
const mostMs = 120_000;

/** Memory in MiB. */
export interface IdleCost {
  readonly sessions: number;
  /** Of one buildctl. */
  readonly buildctlMiB: number;
  /** Of one session more in a process of Kiln's. */
  readonly kilnMiB: number;
  /** Of Kiln's process with all sessions. */
  readonly kilnProcessMiB: number;
}

function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) / 1_024;
}

async function late(what: string): Promise<never> {
  await delay(mostMs, undefined, { ref: false });
  throw new Error(`${what}: not within ${mostMs} ms`);
}

async function kilnSessions(world: World, job: Job): Promise<{ each: number; all: number }> {
  const child = fork(world.kiln.runner, [world.kiln.module]);
  const pid = child.pid ?? 0;
  const answers = (count: number): Promise<void> =>
    new Promise((resolve, reject) => {
      let left = count;
      child.on("message", ({ error }: { error?: string }) => {
        if (error !== undefined) reject(new Error(error));
        left -= 1;
        if (left === 0) resolve();
      });
    });
  try {
    // One build first, so that what the process itself needs is not counted.
    const folder = job.locals["dockerfile"] ?? "";
    writeFileSync(path.join(folder, "Dockerfile"), "FROM busybox\n");
    child.send({ ...job, tellOutput: false, concurrent: 1 });
    await Promise.race([answers(1), late("one build")]);
    const before = residentMiB(pid);
    writeFileSync(path.join(folder, "Dockerfile"), waiting);
    child.send(job);
    await Promise.race([answers(sessions), late(`${sessions} builds that wait`)]);
    await delay(quietMs);
    const all = residentMiB(pid);
    return { each: (all - before) / sessions, all };
  } finally {
    child.kill("SIGKILL");
  }
}

async function buildctlSessions(world: World, folder: string): Promise<number> {
  const children = Array.from({ length: buildctls }, () =>
    spawn(
      world.buildctl,
      [
        ...["--addr", world.endpoint, "build", "--progress", "plain"],
        ...["--frontend", "dockerfile.v0"],
        ...["--local", `context=${folder}`, "--local", `dockerfile=${folder}`],
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    ),
  );
  try {
    const printed = children.map(
      (child) =>
        new Promise<void>((resolve) => {
          let text = "";
          child.stderr.on("data", (chunk: Buffer) => {
            text += chunk.toString();
            if (/ it waits$/m.test(text)) resolve();
          });
        }),
    );
    await Promise.race([Promise.all(printed), late(`${buildctls} of buildctl`)]);
    await delay(quietMs);
    return median(children.map(({ pid }) => residentMiB(pid ?? 0)));
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
}

/** One step for all builds: equal steps that run at once are one. */
const waiting = "FROM busybox\nRUN echo it waits && sleep 600\n";

/** Measures both. */
export async function idleSessions(world: World): Promise<IdleCost> {
  const folder = world.folder("idle");
  const job: Job = {
    endpoint: world.endpoint,
    frontend: "dockerfile.v0",
    locals: { context: folder, dockerfile: folder },
    concurrent: sessions,
    tellOutput: true,
  };
  const { each, all } = await kilnSessions(world, job);
  const buildctlMiB = await buildctlSessions(world, folder);
  return { sessions, buildctlMiB, kilnMiB: each, kilnProcessMiB: all };
}
