// Is the process alive, is it ready, what does it count: the three questions of kubelet and
// Prometheus, answered over plain HTTP, and how far the event loop lags behind.

import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Gauge } from "prom-client";
import type { Registry } from "prom-client";

/** One question: true when all is well, else a sentence that says what is not. */
export type Check = () => true | string;

/** What the probe server answers from. */
export interface ProbeOptions {
  /** `host:port`; port 0 takes a free one. */
  readonly address: string;
  readonly registry: Registry;
  /** Failing one restarts the pod: only what a restart mends. */
  readonly live?: Readonly<Record<string, Check>>;
  /** Failing one takes the pod out of Services. */
  readonly ready?: Readonly<Record<string, Check>>;
}

/** A running probe server. */
export interface Probes {
  readonly host: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts to serve `/healthz`, `/readyz` and `/metrics`. Rejects when the address is taken. */
export async function startProbes(o: ProbeOptions): Promise<Probes> {
  const server = createServer((request, response) => void answer(o, request, response));
  const colon = o.address.lastIndexOf(":");
  const host = o.address.slice(0, colon).replace(/^\[|\]$/g, "") || "0.0.0.0";
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port: Number(o.address.slice(colon + 1)) }, resolve);
  });
  const bound = server.address();
  const port = bound !== null && typeof bound === "object" ? bound.port : 0;
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { host, port, stop };
}

async function answer(
  o: ProbeOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = new URL(request.url ?? "/", "http://probe").pathname;
  try {
    if (path === "/healthz") report(response, o.live ?? {});
    else if (path === "/readyz") report(response, o.ready ?? {});
    else if (path === "/metrics") {
      const body = await o.registry.metrics();
      response.writeHead(200, { "content-type": o.registry.contentType }).end(body);
    } else response.writeHead(404).end();
  } catch {
    response.writeHead(500).end("the answer could not be made\n");
  }
}

function report(response: ServerResponse, checks: Readonly<Record<string, Check>>): void {
  const lines: string[] = [];
  let healthy = true;
  for (const [name, check] of Object.entries(checks)) {
    const verdict = check();
    if (verdict !== true) healthy = false;
    lines.push(`${verdict === true ? "+" : "-"} ${name}: ${verdict === true ? "ok" : verdict}\n`);
  }
  response
    .writeHead(healthy ? 200 : 503, { "content-type": "text/plain; charset=utf-8" })
    .end(lines.join("") || "ok\n");
}

/** How late timers fire. BuildKit gives a session up after two health checks of 15 s go unanswered. */
export interface EventLoopDelay {
  /** The longest delay since the last scrape, in milliseconds, the sampling interval of 10 ms included. */
  maxMs(): number;
  stop(): void;
}

/** Measures the event loop delay and exports p50, p99 and max as `kiln_event_loop_delay_seconds`. */
export function eventLoopDelay(registry: Registry): EventLoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: 10 });
  histogram.enable();
  const gauge = new Gauge({
    name: "kiln_event_loop_delay_seconds",
    help: "Delay of the event loop since the last scrape, the sampling interval of 10 ms included.",
    labelNames: ["quantile"] as const,
    registers: [registry],
    collect: () => {
      gauge.set({ quantile: "0.5" }, histogram.percentile(50) / 1e9);
      gauge.set({ quantile: "0.99" }, histogram.percentile(99) / 1e9);
      gauge.set({ quantile: "1" }, histogram.max / 1e9);
      histogram.reset();
    },
  });
  return {
    maxMs: () => histogram.max / 1e6,
    stop: () => void histogram.disable(),
  };
}
