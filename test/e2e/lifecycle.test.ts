// Instances that come and go under runs: rolls, drains, scaling, one instance a run, full disks, deletion. Each run ends once,
// on an instance that was told to take it.

import assert from "node:assert/strict";
import { aBuilder, aRun, cluster, reasonOf, type RunStatus } from "./fixture.ts";

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

interface BuilderStatus {
  readonly conditions?: readonly Condition[];
  readonly readyInstances?: number;
  readonly totalInstances?: number;
  readonly templateHash?: string;
  readonly instances?: readonly {
    readonly name: string;
    readonly state: string;
    readonly running?: number;
    readonly outdated?: boolean;
    readonly disk?: { readonly volumeBytes?: number; readonly freeBytes?: number };
  }[];
}

interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

const sleepFor = (seconds: number, mark: string): string =>
  `FROM debian:bookworm-slim\nRUN echo ${mark} && sleep ${seconds}\n`;

describe("instances of a Builder", () => {
  let ns = "";

  beforeEach(async () => {
    ns = await cluster.namespace("lifecycle");
  });

  afterEach(async () => await cluster.removeNamespace(ns));

  async function status(): Promise<BuilderStatus> {
    const text = await cluster.kubectl(["get", "builder", "default", "-n", ns, "-o", "json"]);
    return (JSON.parse(text) as { status?: BuilderStatus }).status ?? {};
  }

  async function becomes(
    what: string,
    check: (status: BuilderStatus) => boolean,
  ): Promise<BuilderStatus> {
    return await cluster.until(what, async () => {
      const now = await status();
      if (check(now)) return now;
      throw new Error(JSON.stringify(now.conditions));
    });
  }

  const conditionOf = (of: BuilderStatus, type: string): Condition | undefined =>
    of.conditions?.find((one) => one.type === type);

  const isReady = (of: BuilderStatus): boolean => conditionOf(of, "Ready")?.status === "True";

  async function pods(): Promise<readonly PodObject[]> {
    const text = await cluster.kubectl([
      ...["get", "pods", "-n", ns, "-l", "kiln.build/builder=default", "-o", "json"],
    ]);
    return (JSON.parse(text) as { items: PodObject[] }).items;
  }

  async function running(name: string): Promise<string> {
    return await cluster.until(`BuildRun ${name} to run its step`, async () => {
      const { phase, progress, attempts } = await cluster.statusOf(ns, name);
      return phase === "Running" && (progress?.total ?? 0) > 0
        ? attempts?.at(-1)?.instance
        : undefined;
    });
  }

  function outcomes({ attempts }: RunStatus): (string | undefined)[][] {
    return (attempts ?? []).map(({ outcome, reason, class: of }) => [outcome, reason, of]);
  }

  it("roll one by one under five builds when the template is edited: none is cut, each when it is idle", async () => {
    const kubernetes = { security: "Privileged", replicas: 2 };
    await cluster.apply(ns, aBuilder({ kubernetes, maxConcurrentRuns: 3 }));
    const before = await becomes("two instances", (now) => now.readyInstances === 2);
    const names = Array.from({ length: 5 }, (_, at) => `roll-${at}`);
    const runs = names.map((name, at) => aRun(name, sleepFor(20 + 5 * at, name)));
    await cluster.apply(ns, ...runs);
    const old = new Set<string>();
    for (const name of names) old.add(await running(name));
    assert.equal(old.size, 2, "the builds are on both instances");
    const annotations = { "example.test/edit": "1" };
    await cluster.apply(
      ns,
      aBuilder({ kubernetes: { ...kubernetes, annotations }, maxConcurrentRuns: 3 }),
    );
    await becomes("the roll", (now) => conditionOf(now, "Draining")?.status === "True");
    for (const name of names) {
      const ended = await cluster.finished(ns, name);
      assert.deepEqual(outcomes(ended), [["Succeeded", undefined, undefined]], name);
    }
    const after = await becomes(
      "the new template alone",
      (now) =>
        now.readyInstances === 2 &&
        now.instances?.length === 2 &&
        now.instances.every(({ name, outdated }) => outdated !== true && !old.has(name)),
    );
    assert.notEqual(after.templateHash, before.templateHash);
  });

  it("take no runs while spec.drain is set, let theirs end, and take runs again", async () => {
    const kubernetes = { security: "Privileged", drainTimeout: "20s" };
    await cluster.apply(ns, aBuilder({ kubernetes }));
    await becomes("Ready", isReady);
    await cluster.apply(
      ns,
      aRun("short", sleepFor(6, "short")),
      aRun("long", sleepFor(60, "long"), { retry: { limit: 0 } }),
    );
    for (const name of ["short", "long"]) await running(name);
    const [pod] = await pods();
    await cluster.apply(ns, aBuilder({ kubernetes, drain: true }));
    const drained = await becomes(
      "Draining",
      (now) => conditionOf(now, "Draining")?.reason === "DrainRequested",
    );
    assert.equal(conditionOf(drained, "Ready")?.reason, "Draining");
    await cluster.apply(ns, aRun("waiting", "FROM debian:bookworm-slim\nRUN true\n"));
    assert.deepEqual(outcomes(await cluster.finished(ns, "short")), [
      ["Succeeded", undefined, undefined],
    ]);
    await cluster.until("the long one to be cut", async () => {
      const { attempts } = await cluster.statusOf(ns, "long");
      return attempts?.[0]?.outcome === "Lost" && attempts[0].class === "Builder";
    });
    const waiting = await cluster.statusOf(ns, "waiting");
    assert.equal(waiting.attempts?.length ?? 0, 0, "no run was taken");
    await cluster.apply(ns, aBuilder({ kubernetes }));
    assert.equal((await cluster.finished(ns, "waiting")).phase, "Succeeded");
    await becomes("no Draining", (now) => conditionOf(now, "Draining") === undefined);
    assert.deepEqual(
      (await pods()).map(({ metadata }) => metadata.uid),
      [pod?.metadata.uid],
      "the pod stayed",
    );
  });

  it("come from zero with the queue, up to the most that is allowed, and go when they are idle", async () => {
    const scaling = { min: 0, max: 3, idleTimeout: "8s" };
    const kubernetes = { security: "Privileged", scaling };
    await cluster.apply(ns, aBuilder({ kubernetes, maxConcurrentRuns: 1 }));
    await becomes("ScaledToZero", (now) => conditionOf(now, "Ready")?.reason === "ScaledToZero");
    assert.deepEqual(await pods(), []);
    const names = ["scale-a", "scale-b", "scale-c", "scale-d"];
    await cluster.apply(ns, ...names.map((name) => aRun(name, sleepFor(10, name))));
    await becomes("three instances", (now) => now.readyInstances === 3);
    const used = new Set<string>();
    for (const name of names) {
      const ended = await cluster.finished(ns, name);
      assert.deepEqual(outcomes(ended), [["Succeeded", undefined, undefined]], name);
      used.add(ended.attempts?.[0]?.instance ?? "");
    }
    assert.equal(used.size, 3);
    await becomes(
      "ScaledToZero again",
      (now) => conditionOf(now, "Ready")?.reason === "ScaledToZero",
    );
    await cluster.until("no pods", async () => (await pods()).length === 0);
    await cluster.kubectl(["annotate", "builder", "default", "-n", ns, "kiln.build/prewarm=2"]);
    await becomes("two warm instances", (now) => now.readyInstances === 2);
    await cluster.kubectl(["annotate", "builder", "default", "-n", ns, "kiln.build/prewarm-"]);
    await cluster.until("no pods", async () => (await pods()).length === 0);
  });

  it("of two kinds take the runs for their platforms, each scaled by its own", async () => {
    const security = "Privileged";
    const nodes = [
      { name: "amd", platforms: ["linux/amd64"], kubernetes: { security } },
      {
        name: "arm",
        platforms: ["linux/arm64"],
        kubernetes: { security, scaling: { max: 1, idleTimeout: "5s" } },
      },
    ];
    await cluster.apply(ns, aBuilder({ kubernetes: undefined, nodes }));
    await becomes("the one kind", (now) => isReady(now) && now.instances?.length === 1);
    // Nothing is run on the platform: the machine has one only.
    const copies = "FROM scratch\nWORKDIR /a\n";
    const run = (platform: string) => aRun(platform, copies, { platforms: [`linux/${platform}`] });
    await cluster.apply(ns, run("arm64"), run("amd64"));
    for (const name of ["arm64", "amd64"]) {
      const { phase, attempts } = await cluster.finished(ns, name);
      assert.equal(phase, "Succeeded");
      const node = name.slice(0, 3);
      assert.match(attempts?.[0]?.instance ?? "", new RegExp(`^builder-default-${node}-`), name);
    }
    const left = await becomes("the idle kind to go", (now) => now.instances?.length === 1);
    assert.match(left.instances?.[0]?.name ?? "", /^builder-default-amd-/);
  });

  it("of a StatefulSet go from the top, when they are idle", async () => {
    const storage = { size: "1Gi" };
    const kubernetes = { security: "Privileged", storage, replicas: 2 };
    await cluster.apply(ns, aBuilder({ kubernetes, maxConcurrentRuns: 1 }));
    await becomes("two instances", (now) => now.readyInstances === 2);
    await cluster.apply(ns, aRun("a", sleepFor(20, "a")), aRun("b", sleepFor(20, "b")));
    for (const name of ["a", "b"]) await running(name);
    const fewer = { ...kubernetes, replicas: 1 };
    await cluster.apply(ns, aBuilder({ kubernetes: fewer, maxConcurrentRuns: 1 }));
    await becomes("Draining", (now) =>
      (now.instances ?? []).some(({ name, state }) => name.endsWith("-1") && state === "Draining"),
    );
    for (const name of ["a", "b"]) {
      const ended = await cluster.finished(ns, name);
      assert.deepEqual(outcomes(ended), [["Succeeded", undefined, undefined]], name);
    }
    await cluster.until("one pod", async () => {
      const [one, ...others] = await pods();
      return others.length === 0 && one?.metadata.name === "builder-default-0";
    });
  });

  it("serve one run each with isolation PerRun, and are deleted after it", async () => {
    const scaling = { min: 0, max: 2, idleTimeout: "5s" };
    const kubernetes = { security: "Privileged", scaling, isolation: "PerRun" };
    await cluster.apply(ns, aBuilder({ kubernetes }));
    const names = ["one", "two", "three"];
    await cluster.apply(ns, ...names.map((name) => aRun(name, sleepFor(2, name))));
    const used: string[] = [];
    for (const name of names) {
      const ended = await cluster.finished(ns, name);
      assert.equal(ended.phase, "Succeeded", JSON.stringify(ended.failure));
      used.push(ended.attempts?.at(-1)?.instance ?? "");
    }
    assert.equal(new Set(used).size, 3, used.join(" "));
    await cluster.until("no pods", async () => (await pods()).length === 0);
  });

  it("with a full disk take no run, are pruned, and take runs again", async () => {
    const kubernetes = {
      security: "Privileged",
      tmpfs: { size: "700Mi" },
      diskPressureThreshold: 60,
    };
    await cluster.apply(ns, aBuilder({ kubernetes }));
    await becomes("Ready", isReady);
    await cluster.apply(
      ns,
      aRun("fill", "FROM debian:bookworm-slim\nRUN head -c 400000000 /dev/zero > /big\n"),
    );
    assert.equal((await cluster.finished(ns, "fill")).phase, "Succeeded");
    await cluster.until("the Event", async () => {
      const events = ["get", "events", "-n", ns, "-o", "jsonpath={.items[*].reason}"];
      return (await cluster.kubectl(events)).split(" ").includes("DiskPressure");
    });
    await becomes("room", (now) => conditionOf(now, "DiskPressure") === undefined && isReady(now));
    await cluster.apply(ns, aRun("after", "FROM debian:bookworm-slim\nRUN true\n"));
    assert.equal((await cluster.finished(ns, "after")).phase, "Succeeded");
  });

  it("are waited for when their Builder is deleted, and their runs are cancelled if it says so", async () => {
    const kubernetes = { security: "Privileged" };
    await cluster.apply(ns, aBuilder({ kubernetes }));
    await cluster.apply(ns, aRun("waited-for", sleepFor(15, "waited-for")));
    await running("waited-for");
    await cluster.kubectl(["delete", "builder", "default", "-n", ns, "--timeout=60s"]);
    const ended = await cluster.finished(ns, "waited-for");
    assert.deepEqual(outcomes(ended), [["Succeeded", undefined, undefined]]);
    await cluster.until("no pods", async () => (await pods()).length === 0);

    await cluster.apply(ns, aBuilder({ kubernetes, deletionPolicy: "CancelRuns" }));
    await cluster.apply(ns, aRun("cancelled", sleepFor(600, "cancelled")));
    await running("cancelled");
    await cluster.kubectl(["delete", "builder", "default", "-n", ns, "--timeout=60s"]);
    const cancelled = await cluster.finished(ns, "cancelled");
    assert.equal(reasonOf(cancelled), "BuilderDeleted", JSON.stringify(cancelled.failure));
    await cluster.until("no pods", async () => (await pods()).length === 0);
  });
});
