// Does the client leak? 2,000 builds, eight at once, some cancelled and some cut off, through a link that resets
// connections at random. Prints the slope of memory, what is open at the end, and every failure that nobody provoked.
//   node --expose-gc bench/client/soak.ts [--builds 2000] [--concurrency 8]
import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import {
  BuildkitError,
  connect,
  diskTree,
  exportReceiver,
  filesync,
  inMemoryTree,
  parseEndpoint,
  toFile,
  type Attachable,
  type SolveRequest,
} from "../../src/buildkit/index.ts";
import { smallFiles } from "./files.ts";
import { link, type Link } from "./link.ts";
import { localDefinition } from "./llb.ts";
import { slopePerThousand, type Sample } from "./slope.ts";
import { world as start, type World } from "./world.ts";

const { values } = parseArgs({
  options: {
    builds: { type: "string", default: "2000" },
    concurrency: { type: "string", default: "8" },
  },
});
const builds = Number(values.builds);
const concurrency = Number(values.concurrency);
const buildMs = 120_000;
const sampleEvery = 50;
/** Of the builds, one in so many is cancelled; and a connection is cut after each so many. */
const cancelOneIn = 6;
const cutEvery = 15;
/** The first tenth fills caches and compiles code: it says nothing about a leak. */
const warmUp = 0.1;

type Wish = "none" | "cancelled";

interface Outcome {
  readonly wish: Wish;
  /** Whether a connection was cut while it ran. */
  readonly cut: boolean;
  readonly failure?: Failure;
}

/** What is kept of a failure. Not the error: its stack may hold on to all that its build had. */
interface Failure {
  readonly class: string;
  readonly reason: string;
  readonly retryable: boolean;
  readonly text: string;
}

function failureOf(error: unknown): Failure {
  // Anything else is a bug, and ends the soak.
  if (!(error instanceof BuildkitError)) throw error;
  const { class: kind, reason, retryable, stack = "" } = error;
  return { class: kind, reason, retryable, text: stack };
}

interface Mix {
  readonly name: string;
  request(): Omit<SolveRequest, "ref">;
  attachables(index: number): readonly Attachable[];
}

const none = { exporters: [], cacheImports: [], cacheExports: [] } as const;

function mixes(folder: string, outputs: string): readonly Mix[] {
  const dockerfile = inMemoryTree(
    new Map([["Dockerfile", { data: "FROM busybox\nRUN echo soak > /f\n" }]]),
  );
  const local = (name: string) => ({
    frontend: "",
    frontendAttrs: {},
    definition: localDefinition(name),
    ...none,
  });
  return [
    {
      name: "no-op",
      request: () => ({ frontend: "dockerfile.v0", frontendAttrs: {}, ...none }),
      attachables: () => [filesync({ dockerfile, context: dockerfile })],
    },
    {
      name: "files from disk",
      request: () => local("files"),
      attachables: () => [filesync({ files: diskTree(folder) })],
    },
    {
      name: "a mebibyte from memory",
      request: () => local("large"),
      attachables: (index) => [
        filesync({
          large: inMemoryTree(new Map([["large", { data: Buffer.alloc(1 << 20, index) }]])),
        }),
      ],
    },
    {
      name: "a tar",
      request: () => ({ ...local("files"), exporters: [{ type: "tar", attrs: {} }] }),
      attachables: (index) => [
        filesync({ files: diskTree(folder) }),
        exportReceiver({ 0: toFile(path.join(outputs, `${index % concurrency}.tar`)) }),
      ],
    },
  ];
}

function collect(): void {
  if (globalThis.gc === undefined) throw new Error("run it with node --expose-gc");
  globalThis.gc();
}

function sample(build: number): Sample {
  collect();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { build, rss, heap: heapUsed + external };
}

/** Sockets, pipes, workers: what the client might forget. The link's and the daemon's own are there before. */
function handles(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo())
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

class Soak {
  readonly outcomes: Outcome[] = [];
  readonly samples: Sample[] = [];
  readonly #link: Link;
  readonly #mixes: readonly Mix[];
  readonly #cutsAt: number[] = [];
  #next = 0;

  constructor(way: Link, all: readonly Mix[]) {
    this.#link = way;
    this.#mixes = all;
  }

  async worker(): Promise<void> {
    for (let index = this.#next++; index < builds; index = this.#next++) {
      this.outcomes.push(await this.#build(index));
      const done = this.outcomes.length;
      if (done % cutEvery === 0) {
        this.#cutsAt.push(performance.now());
        await this.#link.cut();
      }
      if (done % sampleEvery === 0) this.samples.push(sample(done));
      if (done % 200 === 0) console.log(`${done} builds`);
    }
  }

  async #build(index: number): Promise<Outcome> {
    const mix = this.#mixes[index % this.#mixes.length];
    if (mix === undefined) throw new RangeError("there is nothing to build");
    const wish: Wish = Math.floor(Math.random() * cancelOneIn) === 0 ? "cancelled" : "none";
    const stop = new AbortController();
    const timer = wish === "none" ? undefined : setTimeout(() => stop.abort(), Math.random() * 200);
    const begun = performance.now();
    const client = connect(parseEndpoint(this.#link.endpoint));
    try {
      await client.solve(
        { ref: randomUUID(), ...mix.request() },
        {
          attachables: mix.attachables(index),
          sharedKey: "soak",
          onEvent: () => undefined,
          signal: AbortSignal.any([stop.signal, AbortSignal.timeout(buildMs)]),
        },
      );
      return { wish, cut: this.#cutSince(begun) };
    } catch (error) {
      return { wish, cut: this.#cutSince(begun), failure: failureOf(error) };
    } finally {
      clearTimeout(timer);
      client.close();
    }
  }

  #cutSince(begun: number): boolean {
    return this.#cutsAt.some((at) => at >= begun);
  }
}

/** A cancelled build is Cancelled; one whose connection was cut fails in a way that can be tried again. */
function provoked({ wish, cut, failure }: Outcome): boolean {
  if (failure === undefined) return true;
  if (wish === "cancelled" && failure.reason === "Cancelled") return true;
  return cut && failure.retryable && ["Builder", "Infra"].includes(failure.class);
}

function count<T>(values: readonly T[], keyOf: (value: T) => string): [string, number][] {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(keyOf(value), (counts.get(keyOf(value)) ?? 0) + 1);
  return [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

async function leftOpen(before: Map<string, number>, ms: number): Promise<string[]> {
  const end = performance.now() + ms;
  for (;;) {
    const left = [...handles()]
      .filter(([kind, now]) => now > (before.get(kind) ?? 0))
      .map(([kind, now]) => `${now - (before.get(kind) ?? 0)} ${kind}`);
    if (left.length === 0 || performance.now() > end) return left;
    await delay(250);
  }
}

function report(soak: Soak, left: readonly string[], connections: number): boolean {
  const { outcomes, samples } = soak;
  const steady = samples.filter(({ build }) => build > builds * warmUp);
  const unprovoked = outcomes.filter((outcome) => !provoked(outcome));
  const mebibytes = (bytes: number): string => (bytes / (1 << 20)).toFixed(2);
  console.log(
    [
      `${outcomes.length} builds, ${concurrency} at once: ${outcomes.filter(({ failure }) => failure === undefined).length} succeeded`,
      ...count(
        outcomes.filter(({ failure }) => failure !== undefined),
        ({ failure, cut, wish }) =>
          `${failure?.class}/${failure?.reason} (${wish === "cancelled" ? "cancelled" : cut ? "a cut at the time" : "not provoked"})`,
      ).map(([what, many]) => `  ${many} failed with ${what}`),
      `memory after collection, per 1,000 builds: RSS ${mebibytes(slopePerThousand(steady, "rss"))} MiB, heap ${mebibytes(slopePerThousand(steady, "heap"))} MiB`,
      `RSS at the end: ${mebibytes(samples.at(-1)?.rss ?? 0)} MiB`,
      `open at the end: ${left.length === 0 ? "nothing" : left.join(", ")}; connections at the link: ${connections}`,
      ...unprovoked.slice(0, 10).map(({ failure }) => `NOT PROVOKED: ${failure?.text}`),
    ].join("\n"),
  );
  return unprovoked.length === 0 && left.length === 0 && connections === 0;
}

async function run(world: World): Promise<boolean> {
  const folder = world.folder("soak");
  smallFiles(folder, 300, 2_048);
  const outputs = world.folder("tars");
  const way = await link(world.socket, 0);
  const soak = new Soak(way, mixes(folder, outputs));
  const before = handles();
  try {
    await Promise.all(Array.from({ length: concurrency }, () => soak.worker()));
    const left = await leftOpen(before, 30_000);
    rmSync(outputs, { recursive: true });
    return report(soak, left, await way.connections());
  } finally {
    await way.stop();
  }
}

const world = await start();
try {
  if (!(await run(world))) process.exitCode = 1;
} finally {
  await world.stop();
}
