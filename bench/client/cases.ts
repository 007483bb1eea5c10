// What is compared. Each case prepares itself and stands alone; every client does the same work in it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import type { BenchClient } from "./clients.ts";
import { digestOfFile, digestOfTree, largeFile, smallFiles } from "./files.ts";
import type { Job } from "./job.ts";
import { link } from "./link.ts";
import { localDefinition } from "./llb.ts";
import type { World } from "./world.ts";

const exec = promisify(execFile);

/** A prepared case. */
export interface Prepared {
  /** The job of one run; `run` counts all runs of all clients. */
  job(client: BenchClient["name"], run: number): Job;
  /** What is done before a run and not measured. */
  before?(run: number): Promise<void>;
  /** Throws when what arrived is not what was sent. Comes after the first run of each client. */
  check?(job: Job, kiln: BenchClient): Promise<void>;
  /** What is done after a run and not measured. */
  after?(job: Job): Promise<void>;
  /** Ends what the case has started. */
  stop?(): Promise<void>;
}

/** A case. Goals are ratios to buildctl that the client shall not exceed. */
export interface Case {
  readonly name: string;
  readonly goal: { readonly wall?: number; readonly cpu?: number; readonly inProcess?: number };
  /** False: builds at once are for a process that stays. */
  readonly asProgram?: false;
  prepare(world: World): Promise<Prepared>;
}

/** Fetches a local directory and does nothing with it. */
function fetching(endpoint: string, name: string, folder: string): Job {
  const definition = localDefinition(name).toString("base64");
  return { endpoint, frontend: "", definition, locals: { [name]: folder } };
}

/** Has the daemon send back what it holds of a directory, and compares. */
async function sameTree(job: Job, kiln: BenchClient, dest: string): Promise<void> {
  const [source = ""] = Object.values(job.locals);
  await kiln.run({ ...job, output: { type: "local", dest } });
  assert.equal(await digestOfTree(dest), await digestOfTree(source), "the daemon has other files");
  rmSync(dest, { recursive: true });
}

/** Uploads under a name that the daemon has never seen; afterwards it forgets it. */
function coldUploads(world: World, endpoint: string, folder: string): Prepared {
  return {
    job: (_client, run) => fetching(endpoint, `cold-${run}`, folder),
    async check(job, kiln) {
      await sameTree(job, kiln, path.join(world.folder("back"), "tree"));
    },
    after: () => world.prune(),
  };
}

/** Uploads again what the daemon has. */
function warmUploads(world: World, folder: string): Prepared {
  return {
    job: () => fetching(world.endpoint, "warm", folder),
    check: (job, kiln) => sameTree(job, kiln, path.join(world.folder("back"), "tree")),
  };
}

async function noop(world: World, concurrent?: number): Promise<Prepared> {
  const folder = world.folder("noop");
  writeFileSync(path.join(folder, "Dockerfile"), "FROM busybox\nRUN echo cached > /f\n");
  const job: Job = {
    endpoint: world.endpoint,
    frontend: "dockerfile.v0",
    locals: { context: folder, dockerfile: folder },
    ...(concurrent === undefined ? {} : { concurrent }),
  };
  return { job: () => job };
}

/** An image of one random file and its sha256, both made by the daemon. */
async function outputs(world: World, endpoint: string, type: "tar" | "local"): Promise<Prepared> {
  const folder = world.folder("output");
  const dest = path.join(world.folder("outputs"), "out");
  writeFileSync(
    path.join(folder, "Dockerfile"),
    [
      "FROM busybox AS made",
      "RUN head -c 524288000 /dev/urandom > /large && sha256sum /large | cut -c1-64 > /sum",
      "FROM scratch",
      "COPY --from=made /large /sum /",
    ].join("\n"),
  );
  return {
    job: () => ({
      endpoint,
      frontend: "dockerfile.v0",
      locals: { context: folder, dockerfile: folder },
      output: { type, dest },
    }),
    before: async () => rmSync(dest, { recursive: true, force: true }),
    async check() {
      const from = type === "tar" ? world.folder("unpacked") : dest;
      if (type === "tar") await exec("tar", ["-xf", dest, "-C", from]);
      const sum = readFileSync(path.join(from, "sum"), "utf8").trim();
      assert.equal(await digestOfFile(path.join(from, "large")), sum, "other bytes arrived");
      if (type === "tar") rmSync(from, { recursive: true });
    },
    after: async () => rmSync(dest, { recursive: true, force: true }),
  };
}

/** The same case over a link of 20 ms there and back. */
async function overLink(
  world: World,
  prepare: (endpoint: string) => Promise<Prepared>,
): Promise<Prepared> {
  const way = await link(world.socket, 10);
  const prepared = await prepare(way.endpoint);
  return { ...prepared, stop: () => way.stop() };
}

const unchanged = { wall: 0.6 };
const uploads = { wall: 0.6, cpu: 0.45 };
const downloads = { wall: 0.6 };

/** All that main.ts can run, in the order of its table. */
export const cases: readonly Case[] = [
  { name: "noop", goal: { inProcess: 0.7 }, prepare: (world) => noop(world) },
  {
    name: "noop-50",
    goal: { inProcess: 0.7 },
    asProgram: false,
    prepare: (world) => noop(world, 50),
  },
  {
    name: "20k-cold",
    goal: { wall: 0.75 },
    async prepare(world) {
      const folder = world.folder("20k");
      smallFiles(folder, 20_000, 4_096);
      return coldUploads(world, world.endpoint, folder);
    },
  },
  {
    name: "20k-unchanged",
    goal: unchanged,
    async prepare(world) {
      const folder = world.folder("20k");
      smallFiles(folder, 20_000, 4_096);
      return warmUploads(world, folder);
    },
  },
  {
    name: "20k-one-changed",
    goal: unchanged,
    async prepare(world) {
      const folder = world.folder("20k");
      smallFiles(folder, 20_000, 4_096);
      return {
        ...warmUploads(world, folder),
        before: async (run) =>
          writeFileSync(path.join(folder, "d77", "f7777"), `changed for run ${run}`),
      };
    },
  },
  {
    name: "100k-unchanged",
    goal: unchanged,
    async prepare(world) {
      const folder = world.folder("100k");
      smallFiles(folder, 100_000, 64);
      return warmUploads(world, folder);
    },
  },
  {
    name: "1g-file",
    goal: uploads,
    async prepare(world) {
      const folder = world.folder("1g");
      await largeFile(path.join(folder, "large"), 1_024);
      return coldUploads(world, world.endpoint, folder);
    },
  },
  {
    name: "tar-out",
    goal: downloads,
    prepare: (world) => outputs(world, world.endpoint, "tar"),
  },
  {
    name: "local-out",
    goal: downloads,
    prepare: (world) => outputs(world, world.endpoint, "local"),
  },
  {
    name: "up-20ms",
    goal: uploads,
    prepare: (world) =>
      overLink(world, async (endpoint) => {
        const folder = world.folder("500m");
        await largeFile(path.join(folder, "large"), 500);
        return coldUploads(world, endpoint, folder);
      }),
  },
  {
    name: "down-20ms",
    goal: { wall: 0.25 },
    prepare: (world) => overLink(world, (endpoint) => outputs(world, endpoint, "tar")),
  },
];
