import assert from "node:assert/strict";
import { pino } from "pino";
import type { DaemonProbe } from "../../../src/builder/health/ask.ts";
import type { DiskAnswer } from "../../../src/builder/health/disk.ts";
import { Prober, type ProbeTarget } from "../../../src/builder/health/probe.ts";
import { FakeClock } from "../runtime/fake-clock.ts";

/** A daemon whose answers a test chooses. */
class Daemon {
  answer: (
    signal: AbortSignal,
  ) => Promise<{ version: string; draining?: boolean; disk?: DiskAnswer }> = () =>
    Promise.resolve({ version: "0.34.2" });
  workers = [
    { id: "w", labels: {}, platforms: ["linux/amd64"], gcPolicy: [], devices: [], version: "" },
  ];
  questions = 0;
  open = 0;
  prunes: number[] = [];

  connect = (): DaemonProbe => {
    this.open += 1;
    return {
      ask: async (signal) => {
        this.questions += 1;
        return { draining: false, ...(await this.answer(signal)), workers: this.workers };
      },
      prune: (minFreeBytes) => {
        this.prunes.push(minFreeBytes);
        return Promise.resolve(0);
      },
      close: () => {
        this.open -= 1;
      },
    };
  };
}

const key = "Builder/shop/main";
const refuse = (): Promise<never> =>
  Promise.reject(new Error("connect ECONNREFUSED 10.0.0.1:1234"));

function target(identity = "1", diskPressureThreshold?: number): ProbeTarget {
  const endpoint = { kind: "unix", path: "/x.sock" } as const;
  const place = () => Promise.resolve({ kind: "daemon" as const, endpoint });
  return { id: "pod-a", address: "unix:///x.sock", identity, place, diskPressureThreshold };
}

describe("Prober", () => {
  let clock: FakeClock;
  let daemon: Daemon;
  let rings: number;
  let prober: Prober;
  beforeEach(() => {
    clock = new FakeClock();
    daemon = new Daemon();
    rings = 0;
    const onChange = (): void => {
      rings += 1;
    };
    prober = new Prober({
      connect: daemon.connect,
      clock,
      log: pino({ level: "silent" }),
      onChange,
    });
  });
  afterEach(() => {
    prober.stop();
    assert.equal(daemon.open, 0, "no connection is left");
  });

  const reason = (): string | undefined => prober.result(key, "pod-a")?.problem?.reason;

  it("asks at once, rings once, and asks again every five seconds without ringing", async () => {
    prober.watch(key, [target()]);
    await clock.advance(0);
    const result = prober.result(key, "pod-a");
    assert.equal(result?.facts?.version, "v0.34.2");
    assert.deepEqual(result?.facts?.platforms, ["linux/amd64"]);
    await clock.advance(10_000);
    assert.deepEqual([daemon.questions, rings, daemon.open], [3, 1, 1]);
  });

  it("asks a daemon that does not answer often at first, then ever more seldom", async () => {
    daemon.answer = refuse;
    prober.watch(key, [target()]);
    await clock.advance(1_000);
    assert.equal(reason(), "ConnectionRefused");
    assert.ok(daemon.questions >= 3, `${daemon.questions} in the first second`);
    await clock.advance(600_000);
    const before = daemon.questions;
    await clock.advance(60_000);
    assert.equal(daemon.questions - before, 4);
  });

  it("asks a daemon that does not answer at once, and then every second, while a run waits for it", async () => {
    daemon.answer = refuse;
    prober.watch(key, [target()]);
    await clock.advance(600_000);
    const before = daemon.questions;
    prober.want(key);
    await clock.advance(0);
    assert.equal(daemon.questions - before, 1, "at once");
    prober.want(key);
    await clock.advance(10_000);
    assert.equal(daemon.questions - before, 11);
    await clock.advance(120_000);
    const later = daemon.questions;
    await clock.advance(60_000);
    assert.equal(daemon.questions - later, 4, "nobody waits any more");
  });

  it("asks at once when Kubernetes says that the daemon answers", async () => {
    daemon.answer = refuse;
    prober.watch(key, [{ ...target(), isReported: false }]);
    await clock.advance(600_000);
    daemon.answer = () => Promise.resolve({ version: "0.34.2" });
    prober.watch(key, [{ ...target(), isReported: true }]);
    await clock.advance(0);
    assert.equal(reason(), undefined);
  });

  it("forgives one that answered before a single failure, and asks again at once", async () => {
    prober.watch(key, [target()]);
    await clock.advance(0);
    let failures = 1;
    daemon.answer = () => (failures-- > 0 ? refuse() : Promise.resolve({ version: "0.34.2" }));
    await clock.advance(6_000);
    assert.deepEqual([reason(), rings], [undefined, 1]);
    daemon.answer = refuse;
    await clock.advance(6_000);
    assert.equal(reason(), "ConnectionRefused");
    assert.equal(
      prober.result(key, "pod-a")?.facts?.version,
      "v0.34.2",
      "what it last said is kept",
    );
  });

  it("gives up on one that says nothing after five seconds", async () => {
    daemon.answer = (signal) =>
      new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(new Error("aborted"))),
      );
    prober.watch(key, [target()]);
    await clock.advance(4_999);
    assert.equal(prober.result(key, "pod-a"), undefined);
    await clock.advance(1);
    assert.match(prober.result(key, "pod-a")?.problem?.message ?? "", /did not answer within 5 s/);
  });

  const daemons: [string, string, number, string | undefined][] = [
    ["below the floor", "v0.31.2", 1, "BuilderTooOld"],
    ["at the floor", "v0.32.2", 1, undefined],
    ["without a worker", "v0.34.2", 0, "NotAnswering"],
  ];
  for (const [name, version, workers, expected] of daemons) {
    it(`says of a daemon ${name}: ${expected ?? "fine"}`, async () => {
      daemon.answer = () => Promise.resolve({ version });
      daemon.workers = daemon.workers.slice(0, workers);
      prober.watch(key, [target()]);
      await clock.advance(0);
      assert.equal(reason(), expected);
    });
  }

  it("takes an instance whose disk fills up out of use, prunes it, and puts it back when there is room", async () => {
    const gibibyte = 1024 ** 3;
    const full = (used: number): void => {
      const volumeFreeBytes = (100 - used) * gibibyte;
      const disk = { cacheBytes: 0, volumeBytes: 100 * gibibyte, volumeFreeBytes };
      daemon.answer = () => Promise.resolve({ version: "0.34.2", disk });
    };
    const steps: [used: number, reason: string | undefined, prunes: number][] = [
      [90, undefined, 0],
      [92, "DiskPressure", 1],
      [88, "DiskPressure", 1],
      [84, undefined, 1],
      [88, undefined, 1],
    ];
    prober.watch(key, [target("1", 90)]);
    for (const [used, expected, prunes] of steps) {
      full(used);
      await clock.advance(5_000);
      assert.deepEqual([used, reason(), daemon.prunes.length], [used, expected, prunes]);
    }
    assert.deepEqual(daemon.prunes, [20 * gibibyte]);
    full(95);
    await clock.advance(60_000);
    assert.equal(daemon.prunes.length, 3, "again every half a minute while it stays full");
  });

  it("heeds a new threshold without asking anew", async () => {
    const disk = { cacheBytes: 0, volumeBytes: 1024 ** 3, volumeFreeBytes: 1024 ** 3 / 2 };
    daemon.answer = () => Promise.resolve({ version: "0.34.2", disk });
    prober.watch(key, [target("1", 90)]);
    await clock.advance(0);
    assert.equal(reason(), undefined);
    prober.watch(key, [target("1", 40)]);
    assert.equal(daemon.open, 1);
    await clock.advance(5_000);
    assert.equal(reason(), "DiskPressure");
  });

  it("keeps what it knows of the same daemon, and forgets it for another one of the same name", async () => {
    prober.watch(key, [target()]);
    await clock.advance(0);
    prober.watch(key, [target()]);
    assert.equal(prober.result(key, "pod-a")?.kind, "answered");
    daemon.answer = () => new Promise(() => undefined);
    prober.watch(key, [target("2")]);
    assert.equal(prober.result(key, "pod-a"), undefined);
  });

  it("asks nothing more once an instance is no longer watched, and leaves no timer", async () => {
    prober.watch(key, [target()]);
    await clock.advance(0);
    prober.watch(key, []);
    await clock.advance(60_000);
    assert.deepEqual([daemon.questions, clock.timers], [1, 0]);
    assert.equal(prober.result(key, "pod-a"), undefined);
  });
});
