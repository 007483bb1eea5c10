// Kiln's run controller put together in this process against a real API server: what operator.ts does, with the parts
// that a test wants to hold in its hands.

import { readFileSync } from "node:fs";
import { Writable } from "node:stream";
import { Registry } from "prom-client";
import { customResourceDefinitions } from "../../../src/api/crd.ts";
import { bakeKind, buildRunKind } from "../../../src/api/kinds.ts";
import type { Bake, BuildRun } from "../../../src/api/v1alpha1/index.ts";
import type { Agent } from "../../../src/agent/agent.ts";
import { bakeOf, bakes } from "../../../src/bake/index.ts";
import type { Fleet } from "../../../src/builder/index.ts";
import { buildRuns, type BuildRuns, type RunLimits } from "../../../src/buildrun/index.ts";
import { ResourceCache } from "../../../src/kube/cache.ts";
import { EventRecorder } from "../../../src/kube/events.ts";
import { loadKubeConfig } from "../../../src/kube/http/credentials.ts";
import { kubeClient, type OwnedClient } from "../../../src/kube/rest.ts";
import {
  customResourceDefinitions as crds,
  namespaces,
  resourceType,
  serviceAccounts,
} from "../../../src/kube/types.ts";
import { rootLogger } from "../../../src/log.ts";
import { controllerMetrics } from "../../../src/runtime/metrics.ts";
import { type ControlPlane, controlPlane } from "../../cluster/index.ts";

export const buildRunType = resourceType<BuildRun>(buildRunKind);
export const bakeType = resourceType<Bake>(bakeKind);
export const never: AbortSignal = new AbortController().signal;

/** An API server with Kiln's CRDs, and a client with every right. */
export interface Server {
  readonly plane: ControlPlane;
  readonly client: OwnedClient;
  stop(): Promise<void>;
}

/** Starts an API server; ready for BuildRuns when it resolves. */
export async function startServer(): Promise<Server> {
  const plane = await controlPlane();
  const client = kubeClient(loadKubeConfig(plane.kubeconfig));
  for (const definition of customResourceDefinitions())
    await client.apply(crds, definition as never, {}, never);
  await until("BuildRuns to be served", async () => {
    await client.list(buildRunType, {}, never);
    await client.list(bakeType, {}, never);
    return true;
  });
  const stop = async (): Promise<void> => {
    client.close();
    await plane.stop();
  };
  return { plane, client, stop };
}

/** A namespace with its `default` ServiceAccount, which no controller makes here. */
export async function aNamespace(client: OwnedClient, prefix: string): Promise<string> {
  const name = `${prefix}-${Math.random().toString(36).slice(2, 8)}`;
  await client.create(namespaces, { metadata: { name } }, never);
  await client.create(serviceAccounts, { metadata: { name: "default", namespace: name } }, never);
  return name;
}

/** Waits for a condition; the error says what was waited for and what was seen last. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  deadlineMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline)
      throw new Error(`waited ${deadlineMs} ms for ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** One controller process, as far as runs go. */
export interface Kiln {
  readonly runs: BuildRuns;
  /** Everything that was logged, as text. */
  log(): string;
  /** What a scrape says. */
  metrics(): Promise<string>;
  stop(): Promise<void>;
}

/** What a Kiln is started with. */
export interface KilnParts {
  readonly server: Server;
  readonly agent: Agent;
  readonly fleet: Fleet;
  readonly limits?: Partial<RunLimits>;
}

/** Starts a controller and returns when it works on what is there. */
export async function startKiln({ server, agent, fleet, limits }: KilnParts): Promise<Kiln> {
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _, done) {
      lines.push(chunk.toString("utf8"));
      done();
    },
  });
  const log = rootLogger("debug", sink);
  const client = kubeClient(loadKubeConfig(server.plane.kubeconfig));
  const cache = new ResourceCache<BuildRun>({ client: client as never, type: buildRunType, log });
  const events = new EventRecorder({ client, instance: "test", log });
  const registry = new Registry();
  const shared = { events, log, metrics: controllerMetrics(registry) };
  const runs = buildRuns({
    ...shared,
    type: buildRunType,
    cache,
    client,
    fleet,
    agents: { at: () => agent },
    image: "kiln:test",
    limits: { missingGraceMs: 0, recallSettleMs: 300, recallGraceMs: 3_000, ...limits },
  });
  const bakeCache = new ResourceCache<Bake>({ client: client as never, type: bakeType, log });
  const baking = bakes({
    ...{ type: bakeType, runType: buildRunType, cache: bakeCache, runs: cache },
    ...{ ...shared, client, missingGraceMs: limits?.missingGraceMs ?? 0 },
  });
  cache.onChange(({ key, initial }) => runs.changed(key, initial === true ? "low" : "normal"));
  cache.onChange(({ object }) => {
    const bake = bakeOf(object);
    if (bake !== undefined) baking.changed(bake);
  });
  bakeCache.onChange(({ key }) => baking.changed(key));
  cache.start();
  bakeCache.start();
  await Promise.all([cache.synced, bakeCache.synced]);
  runs.start();
  baking.start();
  const stop = async (): Promise<void> => {
    await baking.stop(2_000);
    await runs.stop(2_000);
    await bakeCache.stop();
    await cache.stop();
    await events.stop(2_000);
    client.close();
  };
  const metrics = async (): Promise<string> => await registry.metrics();
  return { runs, stop, metrics, log: () => lines.join("") };
}

/** A run's manifest. */
export function aRunOf(namespace: string, name: string, spec: Record<string, unknown> = {}) {
  return {
    metadata: { namespace, name },
    spec: { context: { none: {} }, dockerfile: { inline: "FROM scratch\n" }, ...spec },
  };
}

/** Creates a run, as a person would, and returns it as stored. */
export async function create(
  { client }: Server,
  run: ReturnType<typeof aRunOf>,
): Promise<BuildRun> {
  return await client.create(buildRunType, run as never, never);
}

/** The run as it is now; undefined when it is gone. */
export async function current({ client }: Server, run: BuildRun): Promise<BuildRun | undefined> {
  const found = await client.get(buildRunType, run.metadata, never);
  return found?.metadata.uid === run.metadata.uid ? found : undefined;
}

/** Cancels a run, as a person would. */
export async function cancel({ client }: Server, { metadata }: BuildRun): Promise<void> {
  const { namespace, name } = metadata;
  const wish = { metadata: { namespace, name }, spec: { cancel: true } };
  await client.apply(buildRunType, wish as never, { fieldManager: "person" }, never);
}

/** Deletes a run, as a person would: by name. */
export async function remove({ client }: Server, { metadata }: BuildRun): Promise<void> {
  await client.delete(buildRunType, { namespace: metadata.namespace, name: metadata.name }, never);
}

/** Waits until a run's status satisfies a condition. */
export async function reaches(
  server: Server,
  run: BuildRun,
  what: string,
  holds: (run: BuildRun) => boolean,
): Promise<BuildRun> {
  let seen: BuildRun | undefined;
  const found = await until(
    `run ${run.metadata.name} to be ${what}`,
    async () => {
      seen = await current(server, run);
      return seen !== undefined && holds(seen) ? seen : undefined;
    },
    90_000,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}; its status: ${JSON.stringify(seen?.status)}`, {
      cause: error,
    });
  });
  return found;
}

/** Waits for the terminal state, with our finalizer gone. */
export async function ends(server: Server, run: BuildRun): Promise<BuildRun> {
  return await reaches(
    server,
    run,
    "finished",
    ({ status, metadata }) =>
      status?.completionTime !== undefined && (metadata.finalizers ?? []).length === 0,
  );
}

/** The reason of a condition, or undefined. */
export function reason(run: BuildRun, type = "Succeeded"): string | undefined {
  return run.status?.conditions?.find((condition) => condition.type === type)?.reason;
}

/** Text of a file that the test cluster made. */
export function textOf(file: string): string {
  return readFileSync(file, "utf8");
}
