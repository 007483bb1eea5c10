import assert from "node:assert/strict";
import { pino } from "pino";
import type { BuilderStatus } from "../../../src/api/v1alpha1/index.ts";
import type { StoredBuilder } from "../../../src/builder/caches.ts";
import { report, type ReportDeps } from "../../../src/builder/status/report.ts";

const never = new AbortController().signal;
const ref = { kind: "Builder", namespace: "shop", name: "main" } as const;

/** A Builder whose status is written by `report` alone, at a time that the test chooses. */
class Scene {
  nowMs = 1_000_000;
  status: BuilderStatus | undefined;
  writes = 0;
  readonly told: string[] = [];
  readonly #deps: ReportDeps;

  constructor() {
    const cache = { wrote: () => undefined };
    this.#deps = {
      client: {
        applyStatus: ((_: unknown, object: { status: BuilderStatus }) => {
          this.writes += 1;
          this.status = object.status;
          return Promise.resolve(object);
        }) as never,
      },
      caches: { builders: cache, clusterBuilders: cache } as never,
      events: { event: (_, { type, reason }) => this.told.push(`${type} ${reason}`) },
      log: pino({ level: "silent" }),
      now: () => new Date(this.nowMs),
      reported: new Map(),
    };
  }

  async report(status: BuilderStatus): Promise<boolean> {
    const metadata = { name: "main", namespace: "shop", uid: "u" };
    const object = { kind: "Builder", metadata, status: this.status } as unknown as StoredBuilder;
    return await report({ ref, object }, status, this.#deps, never);
  }
}

function condition(type: string, reason: string, status: "True" | "False" = "True") {
  return { type, status, reason, message: "m", lastTransitionTime: "2026-01-01T00:00:00Z" };
}

describe("the status of a Builder is written", () => {
  const ready: BuilderStatus = { conditions: [condition("Ready", "InstancesReady")] };

  it("not at all when it says nothing new", async () => {
    const scene = new Scene();
    assert.equal(await scene.report(ready), true);
    scene.nowMs += 60_000;
    assert.equal(await scene.report(ready), true);
    assert.equal(scene.writes, 1);
  });

  it("every five seconds at most for numbers", async () => {
    const scene = new Scene();
    for (let second = 0; second <= 60; second++) {
      const isWritten = await scene.report({ ...ready, runningRuns: second });
      assert.equal(isWritten, second % 5 === 0);
      scene.nowMs += 1_000;
    }
    assert.equal(scene.writes, 13);
  });

  it("at once when a condition or the state of an instance changes", async () => {
    const scene = new Scene();
    await scene.report(ready);
    const full = { ...ready, conditions: [condition("Ready", "DiskPressure", "False")] };
    assert.equal(await scene.report(full), true);
    const instances = [{ name: "a", ready: true, state: "Ready" as const }];
    assert.equal(await scene.report({ ...full, instances }), true);
    assert.equal(scene.writes, 3);
  });

  it("with one Event for each condition that changed, and for the end of it", async () => {
    const scene = new Scene();
    await scene.report({ conditions: [condition("Ready", "Starting", "False")] });
    await scene.report(ready);
    await scene.report({
      conditions: [...(ready.conditions ?? []), condition("DiskPressure", "DiskPressure")],
    });
    await scene.report(ready);
    await scene.report({ conditions: [condition("Ready", "ConnectionLost", "False")] });
    assert.deepEqual(scene.told, [
      "Normal Ready",
      "Warning DiskPressure",
      "Normal DiskPressureOver",
      "Warning ConnectionLost",
    ]);
  });
});
