// The agent's process, put together: `kiln agent` beside a buildkitd. Answers the controller over mutual TLS, the kubelet
// over plain HTTP, and on SIGTERM lets running builds end.

import type { Logger } from "pino";
import { Gauge, Registry } from "prom-client";
import { InProcessAgent } from "./agent/in-process.ts";
import { Journal } from "./agent/journal/journal.ts";
import { hostAndPort } from "./agent/wire/address.ts";
import { noMaterials } from "./agent/wire/jobs.ts";
import { type Listener, listen } from "./agent/wire/listener.ts";
import { agentServer } from "./agent/wire/server.ts";
import { TlsFiles } from "./agent/wire/tls-files.ts";
import { type BuildkitClient, connect, parseEndpoint } from "./buildkit/index.ts";
import type { AgentConfig } from "./agent-config.ts";
import { rootLogger } from "./log.ts";
import { asError, sleep, systemClock } from "./runtime/clock.ts";
import { Lifecycle } from "./runtime/lifecycle.ts";
import { eventLoopDelay, startProbes } from "./runtime/probes.ts";
import { version } from "./version.ts";

/** Runs the agent until SIGTERM; sets the process's exit code. */
export async function runAgent(config: AgentConfig): Promise<void> {
  const log = rootLogger(config.logLevel);
  const lifecycle = new Lifecycle({ log, graceMs: config.graceMs });
  try {
    await work(config, log, lifecycle);
  } catch (error) {
    if (!lifecycle.signal.aborted) lifecycle.stop(asError(error));
  }
  process.exitCode = await lifecycle.ended;
}

async function work(config: AgentConfig, log: Logger, lifecycle: Lifecycle): Promise<void> {
  const endpoint = parseEndpoint(config.buildkitd);
  const client = connect(endpoint);
  lifecycle.onStop("client", () => client.close());
  const journal = new Journal({ folder: config.data, log });
  const agent = new InProcessAgent({ log, connect, journal, caches: config.caches });
  await agent.restore(noMaterials(endpoint));
  const daemon = watchDaemon(client, lifecycle.signal);
  await serveProbes(config, { agent, daemon, lifecycle });
  const { volume } = config;
  const grpc = agentServer({ agent, endpoint, client, journal, log, volume, version });
  const listener = await serve(config, { grpc, log, lifecycle });
  lifecycle.onStop("jobs", (leftMs) => drain(agent, leftMs, log));
  log.info({ version, port: listener.port, buildkitd: config.buildkitd }, "agent listens");
}

/** The process ends when the last answers are sent, or after this long. */
const lastAnswersMs = 2_000;

interface Serving {
  readonly grpc: ReturnType<typeof agentServer>;
  readonly log: Logger;
  readonly lifecycle: Lifecycle;
}

async function serve(config: AgentConfig, { grpc, log, lifecycle }: Serving): Promise<Listener> {
  const files = new TlsFiles({ folder: config.tls, log, onChange: (tls) => listener.renew(tls) });
  const at = hostAndPort(config.address);
  const listener = await listen({ grpc, ...at, log, tls: await files.start() });
  lifecycle.onStop("listener", () => {
    files.stop();
    listener.close(lastAnswersMs);
  });
  return listener;
}

/** Of the time for a stop, so much at most is for the controller to fetch outcomes and acknowledge them. */
const farewellMs = 10_000;

/** Takes no job, lets those that run end, and cuts what is left when time is up. */
async function drain(agent: InProcessAgent, leftMs: number, log: Logger): Promise<void> {
  const running = agent.drain();
  log.info({ running: running.length }, "draining");
  const reserveMs = Math.floor(Math.min(farewellMs, leftMs / 2));
  await agent.idle(AbortSignal.timeout(Math.floor(leftMs) - reserveMs));
  await agent.stop({ lost: true });
  await agent.empty(AbortSignal.timeout(Math.floor(reserveMs * 0.9)));
}

/** Whether the daemon answered lately: true, or why not. */
interface Daemon {
  state(): true | string;
}

const askEveryMs = 5_000;
const firstAskMs = 200;

function watchDaemon(client: BuildkitClient, signal: AbortSignal): Daemon {
  let state: true | string = "buildkitd was not asked yet";
  const watch = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        await client.info(signal);
        state = true;
      } catch (error) {
        state = `buildkitd does not answer: ${asError(error).message}`;
      }
      await sleep(systemClock, state === true ? askEveryMs : firstAskMs, signal).catch(() => {});
    }
  };
  void watch();
  return { state: () => state };
}

interface Probed {
  readonly agent: InProcessAgent;
  readonly daemon: Daemon;
  readonly lifecycle: Lifecycle;
}

async function serveProbes(
  config: AgentConfig,
  { agent, daemon, lifecycle }: Probed,
): Promise<void> {
  const registry = new Registry();
  const jobs = new Gauge({
    name: "kiln_agent_jobs",
    help: "Jobs of this agent, by state.",
    labelNames: ["state"] as const,
    registers: [registry],
    collect: async () => {
      const list = await agent.list();
      const running = list.filter(({ state }) => state === "running").length;
      jobs.set({ state: "running" }, running);
      jobs.set({ state: "finished" }, list.length - running);
    },
  });
  const delay = eventLoopDelay(registry);
  const ready = {
    buildkitd: () => daemon.state(),
    drain: () => !agent.draining || "the instance is being stopped",
  };
  const probes = await startProbes({ address: config.probeAddress, registry, ready });
  lifecycle.onStop("probes", async () => {
    delay.stop();
    await probes.stop();
  });
}
