// What the control loop tells Prometheus, as a port, and its prom-client form.

import { Counter, Gauge, Histogram } from "prom-client";
import type { Registry } from "prom-client";

/** How one reconcile ended, as a metric label. */
export type ReconcileResult = "done" | "after" | "retry" | "aborted";

/** What a controller reports. All durations are seconds. */
export interface ControllerMetrics {
  /** Keys that wait for a worker now; read when scraped. */
  depth(controller: string, read: () => number): void;
  /** A key waited this long between being due and being taken. */
  waited(controller: string, seconds: number): void;
  reconciled(controller: string, result: ReconcileResult, seconds: number): void;
  /** A reconcile is still running after its deadline aborted it. */
  overran(controller: string): void;
}

const seconds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60];

/** The metrics of all controllers of a process, registered once. */
export function controllerMetrics(registry: Registry): ControllerMetrics {
  const depths = new Map<string, () => number>();
  const registers = [registry];
  const labelNames = ["controller"] as const;
  const gauge = new Gauge({
    name: "kiln_queue_depth",
    help: "Keys that wait for a worker.",
    labelNames,
    registers,
    collect: () => {
      for (const [controller, read] of depths) gauge.set({ controller }, read());
    },
  });
  const waits = new Histogram({
    name: "kiln_queue_wait_seconds",
    help: "Time between a key being due and a worker taking it.",
    labelNames,
    registers,
    buckets: seconds,
  });
  const reconciles = new Histogram({
    name: "kiln_reconcile_seconds",
    help: "Time of one reconcile, by how it ended.",
    labelNames: [...labelNames, "result"] as const,
    registers,
    buckets: seconds,
  });
  const overruns = new Counter({
    name: "kiln_reconcile_overrun_total",
    help: "Reconciles that were still running after their deadline aborted them.",
    labelNames,
    registers,
  });
  return {
    depth: (controller, read) => void depths.set(controller, read),
    waited: (controller, value) => waits.observe({ controller }, value),
    reconciled: (controller, result, value) => reconciles.observe({ controller, result }, value),
    overran: (controller) => overruns.inc({ controller }),
  };
}
