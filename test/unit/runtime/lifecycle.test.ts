import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { pino } from "pino";
import { Lifecycle } from "../../../src/runtime/lifecycle.ts";
import { FakeClock } from "./fake-clock.ts";

function aLifecycle() {
  const clock = new FakeClock();
  const signals = new EventEmitter();
  const exits: number[] = [];
  const log = pino({ level: "silent" });
  const exit = (code: number): void => void exits.push(code);
  const lifecycle = new Lifecycle({ log, graceMs: 1000, signals, clock, exit });
  return { clock, signals, exits, lifecycle };
}

describe("Lifecycle", () => {
  for (const name of ["SIGTERM", "SIGINT"]) {
    it(`stops what was started in reverse order on ${name}, and ends with code 0`, async () => {
      const { signals, lifecycle } = aLifecycle();
      const stopped: string[] = [];
      for (const step of ["server", "cache", "controller"]) {
        lifecycle.onStop(step, async () => void stopped.push(step));
      }
      signals.emit(name);
      assert.equal(lifecycle.signal.aborted, true);
      assert.equal(await lifecycle.ended, 0);
      assert.deepEqual(stopped, ["controller", "cache", "server"]);
      assert.equal(signals.listenerCount(name), 0);
    });
  }

  it("ends with code 1 after an error, with which its signal aborts", async () => {
    const { lifecycle } = aLifecycle();
    const lost = new Error("lease lost");
    lifecycle.stop(lost);
    assert.equal(await lifecycle.ended, 1);
    assert.equal(lifecycle.signal.reason, lost);
  });

  it("runs the other steps when one fails or hangs, and ends with code 1", async () => {
    const { clock, lifecycle } = aLifecycle();
    const stopped: string[] = [];
    lifecycle.onStop("last", (leftMs) => void stopped.push(`last with ${leftMs} ms`));
    lifecycle.onStop("hangs", () => new Promise(() => undefined));
    lifecycle.onStop("fails", () => Promise.reject(new Error("x")));
    lifecycle.stop();
    await clock.advance(1000);
    assert.equal(await lifecycle.ended, 1);
    assert.deepEqual(stopped, ["last with 0 ms"]);
    assert.equal(clock.timers, 0);
  });

  it("exits at once on a second signal", async () => {
    const { signals, exits, lifecycle, clock } = aLifecycle();
    lifecycle.onStop("hangs", () => new Promise(() => undefined));
    signals.emit("SIGTERM");
    await clock.advance(10);
    assert.deepEqual(exits, []);
    signals.emit("SIGTERM");
    assert.deepEqual(exits, [1]);
    await clock.advance(1000);
    await lifecycle.ended;
  });
});
