// The controller process, put together. Reads as a table of contents: connect, cache, slices, probes,
// then wait to lead, work, and stop in reverse order.

import { readFileSync } from "node:fs";
import type { Logger } from "pino";
import { Registry, collectDefaultMetrics } from "prom-client";
import { InProcessAgent } from "./agent/in-process.ts";
import { InstanceAgents } from "./agent/instance-agents.ts";
import { bakeKind, buildRunKind } from "./api/kinds.ts";
import type { Bake, BuildRun } from "./api/v1alpha1/index.ts";
import { bakeOf, bakes } from "./bake/index.ts";
import { builderCaches, builderFeeds, createBuilders } from "./builder/index.ts";
import type { BuilderCaches } from "./builder/index.ts";
import { buildRuns } from "./buildrun/index.ts";
import { connect } from "./buildkit/index.ts";
import type { ControllerConfig } from "./config.ts";
import { ResourceCache } from "./kube/cache.ts";
import { EventRecorder } from "./kube/events.ts";
import { loadKubeConfig } from "./kube/http/credentials.ts";
import { leasePort } from "./kube/leases.ts";
import { leaseName } from "./kube/rbac.ts";
import { kubeClient } from "./kube/rest.ts";
import type { OwnedClient } from "./kube/rest.ts";
import { KilnOperator } from "./kube/shell.ts";
import type { KeySink } from "./kube/shell.ts";
import { resourceType } from "./kube/types.ts";
import { cacheMetrics } from "./kube/watch/metrics.ts";
import { rootLogger } from "./log.ts";
import { asError } from "./runtime/clock.ts";
import { LeaderElection } from "./runtime/lease.ts";
import { Lifecycle } from "./runtime/lifecycle.ts";
import { controllerMetrics } from "./runtime/metrics.ts";
import { eventLoopDelay, startProbes } from "./runtime/probes.ts";
import { version } from "./version.ts";

const buildRunType = resourceType<BuildRun>(buildRunKind);
const bakeType = resourceType<Bake>(bakeKind);

/** What the parts of the process share. */
interface Ground {
  readonly config: ControllerConfig;
  readonly log: Logger;
  readonly client: OwnedClient;
  readonly registry: Registry;
  readonly lifecycle: Lifecycle;
}

/** Caches of every kind that the process watches. */
interface Caches {
  readonly runs: ResourceCache<BuildRun>;
  readonly bakes: ResourceCache<Bake>;
  readonly builders: BuilderCaches;
}

/** Runs the controller until SIGTERM or until it loses its lease; sets the process's exit code. */
export async function runController(config: ControllerConfig): Promise<void> {
  const log = rootLogger(config.logLevel);
  const lifecycle = new Lifecycle({ log, graceMs: config.shutdownGraceMs });
  try {
    await work(config, log, lifecycle);
  } catch (error) {
    // A wait that the stop itself cut short is not an error of its own.
    if (!lifecycle.signal.aborted) lifecycle.stop(asError(error));
  }
  process.exitCode = await lifecycle.ended;
}

async function work(config: ControllerConfig, log: Logger, lifecycle: Lifecycle): Promise<void> {
  log.info({ version, namespace: config.namespace, identity: config.identity }, "starting");
  const kubeconfig = loadKubeConfig(config.kubeconfig);
  const client = kubeClient(kubeconfig, { userAgent: `kiln-controller/${version}` });
  lifecycle.onStop("client", () => client.close());
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const ground: Ground = { config, log, client, registry, lifecycle };
  const caches = makeCaches(ground);
  const slices = makeSlices(ground, caches);
  const operator = new KilnOperator({
    config: kubeconfig,
    client,
    log,
    init: async (shell) => {
      await shell.feed(caches.runs, buildRunType, (key, priority) => {
        slices.runs.changed(key, priority);
      });
      const bakeChanged: KeySink = (key, priority) => slices.bakes.changed(key, priority);
      await shell.feed(caches.bakes, bakeType, bakeChanged);
      await shell.feed(caches.runs, buildRunType, bakeChanged, bakeOf);
      for (const { cache, type, keyFor } of builderFeeds(caches.builders)) {
        const changed: KeySink = (key, priority) => slices.builders.changed(key, priority);
        await shell.feed(cache, type, changed, keyFor);
      }
    },
  });
  lifecycle.onStop("caches", async () => {
    operator.stop();
    await operator.stopped;
  });
  await serveProbes(ground, operator);
  await operator.start(lifecycle.signal);
  await lead(ground);
  slices.start();
}

function makeCaches({ client, log, registry }: Ground): Caches {
  const metrics = cacheMetrics(registry);
  return {
    runs: new ResourceCache<BuildRun>({ client, type: buildRunType, log, metrics }),
    bakes: new ResourceCache<Bake>({ client, type: bakeType, log, metrics }),
    builders: builderCaches(client, { log, metrics }),
  };
}

/** All slices and the agents between them. `start` may be called only as the leader. */
function makeSlices({ config, log, client, registry, lifecycle }: Ground, caches: Caches) {
  const metrics = controllerMetrics(registry);
  const events = new EventRecorder({ client, instance: config.identity, log });
  const local = new InProcessAgent({ log, connect });
  const agents = new InstanceAgents(local);
  const builders = createBuilders({
    client,
    caches: caches.builders,
    events,
    log,
    metrics,
    registry,
    namespace: config.namespace,
    images: {
      privileged: config.buildkitImage,
      rootless: config.buildkitRootlessImage,
      agent: config.agentImage,
    },
    defaultConfig: textOf(config.buildkitdConfig),
    namespacedSockets: config.namespacedSockets,
    concurrency: config.concurrency,
  });
  const runs = buildRuns({
    client,
    type: buildRunType,
    cache: caches.runs,
    events,
    log,
    metrics,
    agents,
    image: config.agentImage,
    fleet: builders.fleet,
    concurrency: config.concurrency,
  });
  const baking = bakes({
    client,
    type: bakeType,
    runType: buildRunType,
    cache: caches.bakes,
    runs: caches.runs,
    events,
    log,
    metrics,
  });
  const start = (): void => {
    lifecycle.onStop("events", (leftMs) => events.stop(leftMs));
    lifecycle.onStop("agents", () => agents.close());
    lifecycle.onStop("agent", () => local.stop());
    lifecycle.onStop("builders", (leftMs) => builders.stop(leftMs));
    lifecycle.onStop("runs", (leftMs) => runs.stop(leftMs));
    lifecycle.onStop("bakes", (leftMs) => baking.stop(leftMs));
    builders.start();
    runs.start();
    baking.start();
    log.info("working");
  };
  return { builders, runs, bakes: baking, start };
}

async function serveProbes(ground: Ground, operator: KilnOperator): Promise<void> {
  const delay = eventLoopDelay(ground.registry);
  const probes = await startProbes({
    address: ground.config.probeAddress,
    registry: ground.registry,
    ready: {
      caches: () => {
        const { unsynced } = operator;
        return unsynced.length === 0 || `waiting for the first list of ${unsynced.join(", ")}`;
      },
    },
  });
  ground.log.info({ host: probes.host, port: probes.port }, "probes are served");
  ground.lifecycle.onStop("probes", async () => {
    delay.stop();
    await probes.stop();
  });
}

/** Resolves when this process leads; ends the process when it no longer does. */
async function lead({ config, client, log, lifecycle }: Ground): Promise<void> {
  if (!config.leaderElect) return;
  const port = leasePort(client, { namespace: config.namespace, name: leaseName });
  const election = new LeaderElection({ port, identity: config.identity, log });
  lifecycle.onStop("lease", () => election.release());
  const lost = await election.acquire(lifecycle.signal);
  lost.addEventListener("abort", () => {
    if (!lifecycle.signal.aborted) lifecycle.stop(asError(lost.reason));
  });
}

function textOf(path: string | undefined): string | undefined {
  return path === undefined ? undefined : readFileSync(path, "utf8");
}
