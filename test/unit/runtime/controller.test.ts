import assert from "node:assert/strict";
import { pino } from "pino";
import { Registry } from "prom-client";
import { Controller } from "../../../src/runtime/controller.ts";
import type { ControllerOptions } from "../../../src/runtime/controller.ts";
import { controllerMetrics } from "../../../src/runtime/metrics.ts";
import { after, done, retry, Stalled } from "../../../src/runtime/outcome.ts";
import { FakeClock } from "./fake-clock.ts";

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A controller on a fake clock whose log lines can be read. */
function aController(o: Pick<ControllerOptions, "reconcile"> & Partial<ControllerOptions>) {
  const clock = new FakeClock();
  const lines: Line[] = [];
  const log = pino({ level: "debug" }, { write: (line) => void lines.push(JSON.parse(line)) });
  const registry = new Registry();
  const metrics = controllerMetrics(registry);
  const controller = new Controller({
    name: "test",
    concurrency: 2,
    log,
    clock,
    metrics,
    random: () => 0,
    ...o,
  });
  controller.start();
  return { clock, controller, lines, registry };
}

describe("Controller", () => {
  it("runs different keys side by side, up to its concurrency", async () => {
    const ends = new Map<string, () => void>();
    const { clock, controller } = aController({
      reconcile: (key) => new Promise((resolve) => ends.set(key, () => resolve(done))),
    });
    for (const key of ["a", "b", "c"]) controller.add(key);
    await clock.advance(0);
    assert.deepEqual([...ends.keys()], ["a", "b"]);
    ends.get("a")?.();
    await clock.advance(0);
    assert.deepEqual([...ends.keys()], ["a", "b", "c"]);
    for (const end of ends.values()) end();
    await controller.stop(0);
  });

  it("comes back when the outcome says so", async () => {
    const runs: number[] = [];
    const { clock, controller } = aController({
      reconcile: async () => {
        runs.push(clock.now());
        return runs.length < 3 ? after(500) : done;
      },
    });
    controller.add("a");
    await clock.advance(10_000);
    assert.deepEqual(
      runs.map((at) => at - (runs[0] ?? 0)),
      [0, 500, 1000],
    );
    await controller.stop(0);
  });

  it("retries with growing waits, logs each failure once, and starts over after a success", async () => {
    const runs: number[] = [];
    const { clock, controller, lines } = aController({
      reconcile: async () => {
        runs.push(clock.now());
        if (runs.length !== 4) throw new Error("boom");
        return done;
      },
    });
    controller.add("a");
    await clock.advance(10_000);
    assert.deepEqual(
      runs.map((at) => at - (runs[0] ?? 0)),
      [0, 50, 150, 350],
    );
    const errors = lines.filter((line) => line.level === 50);
    controller.add("a");
    await clock.advance(60);
    assert.deepEqual(runs.length, 6, "the wait is the first one again");
    assert.deepEqual(
      errors.map((line) => [line.msg, line["key"], line["retryInMs"]]),
      [
        ["reconcile failed", "a", 50],
        ["reconcile failed", "a", 100],
        ["reconcile failed", "a", 200],
      ],
    );
    await controller.stop(0);
  });

  it("does not retry what a user has to mend, and logs a lost race as info", async () => {
    const lost = Object.assign(new Error("modified"), { expected: true });
    const { clock, controller, lines } = aController({
      reconcile: async (key) => {
        if (key === "stalled") throw new Stalled("Bad", "x");
        return runs++ === 0 ? retry(lost) : done;
      },
    });
    let runs = 0;
    controller.add("stalled");
    controller.add("raced");
    await clock.advance(10_000);
    assert.equal(runs, 2);
    assert.deepEqual(
      lines.filter((line) => line.level >= 50),
      [],
    );
    assert.equal(lines.filter((line) => line.msg === "reconcile will be retried").length, 1);
    await controller.stop(0);
  });

  it("aborts a reconcile that runs past its deadline, and retries it", async () => {
    const reasons: unknown[] = [];
    const { clock, controller, registry } = aController({
      deadlineMs: 1000,
      reconcile: (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            reasons.push(signal.reason);
            reject(signal.reason as Error);
          });
        }),
    });
    controller.add("a");
    await clock.advance(1000);
    assert.equal(reasons.length, 1);
    await clock.advance(1050);
    assert.equal(reasons.length, 2);
    assert.match(String(reasons[0]), /took longer than 1000 ms/);
    assert.match(await registry.metrics(), /kiln_reconcile_overrun_total\{controller="test"\} 2/);
    await controller.stop(0);
  });

  it("lets reconciles in flight finish when it is stopped, and starts no other", async () => {
    const finished: string[] = [];
    const { clock, controller } = aController({
      concurrency: 1,
      reconcile: (key) =>
        new Promise((resolve) =>
          clock.after(100, () => {
            finished.push(key);
            resolve(done);
          }),
        ),
    });
    controller.add("a");
    controller.add("b");
    await clock.advance(1);
    const stopped = controller.stop(1000);
    await clock.advance(1000);
    await stopped;
    assert.deepEqual(finished, ["a"]);
    assert.equal(clock.timers, 0);
  });

  it("aborts reconciles that are still running at the deadline of its stop, without an error", async () => {
    let aborted = false;
    const { clock, controller, lines } = aController({
      reconcile: (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            aborted = true;
            reject(signal.reason as Error);
          });
        }),
    });
    controller.add("a");
    await clock.advance(0);
    const stopped = controller.stop(500);
    await clock.advance(500);
    await stopped;
    assert.equal(aborted, true);
    assert.deepEqual(
      lines.filter((line) => line.level >= 50),
      [],
    );
  });

  it("says so when a reconcile ignores its signal, and ends all the same", async () => {
    const { clock, controller, lines } = aController({
      reconcile: () => new Promise(() => undefined),
    });
    controller.add("a");
    await clock.advance(0);
    const stopped = controller.stop(500);
    await clock.advance(1000);
    await stopped;
    assert.equal(lines.at(-1)?.msg, "reconciles ignored their abort signal");
  });

  it("counts reconciles by how they ended, and shows its depth", async () => {
    const { clock, controller, registry } = aController({
      concurrency: 1,
      reconcile: async (key) => (key === "bad" ? retry(new Error("x")) : after(60_000)),
    });
    controller.add("good");
    controller.add("bad");
    await clock.advance(1);
    const text = await registry.metrics();
    assert.match(text, /kiln_reconcile_seconds_count\{controller="test",result="after"\} 1/);
    assert.match(text, /kiln_reconcile_seconds_count\{controller="test",result="retry"\} 1/);
    assert.match(text, /kiln_queue_depth\{controller="test"\} 0/);
    await controller.stop(0);
  });
});
