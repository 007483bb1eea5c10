// The attempt protocol on a real API server, with an agent whose jobs end when the test says so: what is written before
// and after, who is asked after a crash, and that nothing is left.

import assert from "node:assert/strict";
import type { JobOutcome } from "../../../src/agent/agent.ts";
import type { BuildRun } from "../../../src/api/v1alpha1/index.ts";
import { events, secrets } from "../../../src/kube/types.ts";
import { instanceAt, TestFleet } from "./fleet.ts";
import {
  aNamespace,
  aRunOf,
  buildRunType,
  create,
  current,
  ends,
  type Kiln,
  never,
  reaches,
  reason,
  remove,
  type Server,
  startKiln,
  startServer,
  until,
} from "./kiln.ts";
import { ScriptedAgent } from "./scripted-agent.ts";

const digest = `sha256:${"a".repeat(64)}`;
const succeeded: JobOutcome = {
  kind: "succeeded",
  facts: {
    digest,
    size: 42,
    platforms: [{ platform: "linux/amd64", digest, size: 42 }],
    baseImages: [],
  },
  finishedAt: new Date().toISOString(),
};
const registryDown: JobOutcome = {
  kind: "failed",
  failure: {
    class: "Registry",
    reason: "RegistryUnavailable",
    message: "The registry failed.",
    retryable: true,
    logTail: [],
  },
  finishedAt: new Date().toISOString(),
};
const output = { outputs: [{ image: { tags: ["registry.example/web:1"] } }] };

describe("the attempt protocol", () => {
  let server: Server;
  let namespace = "";
  let agent: ScriptedAgent;
  let fleet: TestFleet;
  let kiln: Kiln;

  const builder = () => ({ kind: "Builder", namespace, name: "default" }) as const;
  const isRunning = (run: BuildRun) => run.status?.phase === "Running";
  const refOf = (run: BuildRun, number = 1) => `${run.metadata.uid}-${number}`;
  const started = async (run: BuildRun, number = 1) => {
    const ref = refOf(run, number);
    await until(`${ref} to start`, async () => agent.jobs.has(ref));
    return ref;
  };
  const restart = async (limits = {}) => {
    await kiln.stop();
    kiln = await startKiln({ server, agent, fleet, limits });
  };

  before(async () => {
    server = await startServer();
  });

  after(async () => await server.stop());

  beforeEach(async () => {
    namespace = await aNamespace(server.client, "protocol");
    agent = new ScriptedAgent();
    fleet = new TestFleet();
    fleet.set(builder(), {
      instances: [instanceAt({ kind: "unix", path: "/none" }, { capacity: 2 })],
    });
    kiln = await startKiln({ server, agent, fleet });
  });

  afterEach(async () => {
    const { following } = kiln.runs;
    await kiln.stop();
    assert.equal(following, 0, "solves that are still followed");
    assert.equal(fleet.running(builder(), "remote-0").running, 0, "slots that are still held");
    assert.equal(kiln.log().includes('"level":"error"'), false, kiln.log());
  });

  it("writes the attempt and the finalizer down before the solve is sent", async () => {
    const start = agent.start.bind(agent);
    let atStart: BuildRun | undefined;
    agent.start = async (job) => {
      atStart = (await server.client.list(buildRunType, { namespace }, never))[0];
      await start(job);
    };
    const run = await create(server, aRunOf(namespace, "web", output));
    const ref = await started(run);
    assert.partialDeepStrictEqual(atStart?.status?.attempts, [
      { number: 1, ref, instance: "remote-0", builder: { kind: "Builder", name: "default" } },
    ]);
    assert.deepEqual(atStart?.metadata.finalizers, ["kiln.build/solve"]);
    agent.finish(ref, succeeded);
    const ended = await ends(server, run);
    assert.equal(reason(ended), "Succeeded");
    assert.equal(ended.status?.outputs?.[0]?.image?.digest, digest);
    assert.equal(ended.status?.attempts?.[0]?.outcome, "Succeeded");
    assert.deepEqual(await agent.list(), [], "the job was acknowledged");
  });

  it("builds once, however often the same manifest is applied", async () => {
    const manifest = aRunOf(namespace, "web", output);
    const apply = async () =>
      await server.client.apply(buildRunType, manifest as never, { fieldManager: "person" }, never);
    const run = await apply();
    agent.finish(await started(run), succeeded);
    const ended = await ends(server, run);
    await apply();
    await apply();
    await restart();
    await create(server, aRunOf(namespace, "later")).then(async (later) =>
      agent.finish(await started(later), succeeded),
    );
    assert.deepEqual((await current(server, run))?.status, ended.status);
    assert.deepEqual(
      agent.started.filter((ref) => ref.startsWith(run.metadata.uid ?? "-")).length,
      1,
    );
    await until("the later run to end", async () =>
      (await server.client.list(buildRunType, { namespace }, never)).every(
        ({ status }) => status?.completionTime !== undefined,
      ),
    );
  });

  it("tells a run from another one of the same name", async () => {
    const first = await create(server, aRunOf(namespace, "web"));
    agent.finish(await started(first), succeeded);
    await ends(server, first);
    await remove(server, first);
    const second = await create(server, aRunOf(namespace, "web"));
    agent.finish(await started(second), registryDown);
    const ref = await started(second, 2);
    agent.finish(ref, succeeded);
    assert.equal((await ends(server, second)).status?.attempts?.length, 2);
  });

  it("repeats a transient failure and keeps both attempts", async () => {
    const run = await create(server, aRunOf(namespace, "web", output));
    agent.finish(await started(run), registryDown);
    agent.finish(await started(run, 2), succeeded);
    const { status } = await ends(server, run);
    assert.deepEqual(
      status?.attempts?.map(({ outcome, reason: why }) => [outcome, why]),
      [
        ["Failed", "RegistryUnavailable"],
        ["Succeeded", undefined],
      ],
    );
    assert.equal(status?.failure, undefined);
  });

  it("gives up when retry.limit is used up", async () => {
    const run = await create(server, aRunOf(namespace, "web", { retry: { limit: 1 } }));
    agent.finish(await started(run), registryDown);
    agent.finish(await started(run, 2), registryDown);
    const ended = await ends(server, run);
    assert.equal(reason(ended), "RegistryUnavailable");
    assert.equal(ended.status?.failure?.class, "Registry");
    assert.equal(agent.started.length, 2);
  });

  it("attaches to the job when only the controller was replaced", async () => {
    const run = await create(server, aRunOf(namespace, "web", output));
    const ref = await started(run);
    await restart();
    agent.finish(ref, succeeded);
    assert.equal(reason(await ends(server, run)), "Succeeded");
    assert.deepEqual(agent.started, [ref]);
    assert.deepEqual(agent.recalled, []);
  });

  it("copies the outcome from the daemon's history when controller and agent died", async () => {
    const run = await create(server, aRunOf(namespace, "web", output));
    const ref = await started(run);
    await kiln.stop();
    agent.crash();
    agent.memory.set(ref, { kind: "finished", outcome: succeeded });
    kiln = await startKiln({ server, agent, fleet });
    const ended = await ends(server, run);
    assert.equal(ended.status?.outputs?.[0]?.image?.digest, digest);
    assert.deepEqual(agent.started, [ref]);
  });

  it("starts attempt 2 when nobody knows attempt 1, whatever retry.limit says", async () => {
    const run = await create(server, aRunOf(namespace, "web", { ...output, retry: { limit: 0 } }));
    await started(run);
    await kiln.stop();
    agent.crash();
    kiln = await startKiln({ server, agent, fleet });
    agent.finish(await started(run, 2), succeeded);
    const { status } = await ends(server, run);
    assert.deepEqual(
      status?.attempts?.map(({ outcome }) => outcome),
      ["Lost", "Succeeded"],
    );
  });

  it("waits while the daemon still solves what its caller left behind", async () => {
    const run = await create(server, aRunOf(namespace, "web", output));
    const ref = await started(run);
    await kiln.stop();
    agent.crash();
    agent.memory.set(ref, { kind: "running" });
    kiln = await startKiln({ server, agent, fleet });
    await until("the daemon to be asked twice", async () => agent.recalled.length >= 2);
    assert.equal((await current(server, run))?.status?.phase, "Running");
    agent.memory.set(ref, { kind: "finished", outcome: { kind: "cancelled", finishedAt: "" } });
    agent.finish(await started(run, 2), succeeded);
    await ends(server, run);
  });

  it("fails after five lost attempts", async () => {
    const run = await create(server, aRunOf(namespace, "web"));
    for (let number = 1; number <= 6; number++)
      agent.finish(await started(run, number), { kind: "cancelled", finishedAt: "" });
    const ended = await ends(server, run);
    assert.equal(reason(ended), "AttemptLost");
    assert.equal(ended.status?.attempts?.length, 6);
  });

  it("cancels a running solve", async () => {
    const run = await create(server, aRunOf(namespace, "web"));
    await started(run);
    const patch = { ...aRunOf(namespace, "web", { cancel: true }) };
    await server.client.apply(buildRunType, patch as never, { fieldManager: "person" }, never);
    const ended = await ends(server, run);
    assert.deepEqual(
      [ended.status?.phase, reason(ended), ended.status?.attempts?.[0]?.outcome],
      ["Cancelled", "Cancelled", "Cancelled"],
    );
  });

  it("ends at its timeout", async () => {
    const run = await create(server, aRunOf(namespace, "web", { timeout: "1s" }));
    await started(run);
    const ended = await ends(server, run);
    assert.deepEqual([ended.status?.phase, reason(ended)], ["Failed", "Timeout"]);
  });

  it("lets a deleted run go only after its solve ended", async () => {
    agent.deaf = true;
    const run = await create(server, aRunOf(namespace, "web"));
    const ref = await started(run);
    await remove(server, run);
    const deleting = await reaches(
      server,
      run,
      "being deleted",
      ({ metadata }) => metadata.deletionTimestamp !== undefined,
    );
    assert.deepEqual(deleting.metadata.finalizers, ["kiln.build/solve"]);
    agent.finish(ref, { kind: "cancelled", finishedAt: "" });
    await until("the run to be gone", async () => (await current(server, run)) === undefined);
  });

  it("lets a deleted run go when its controller and agent died", async () => {
    const run = await create(server, aRunOf(namespace, "web"));
    await started(run);
    await kiln.stop();
    agent.crash();
    await remove(server, run);
    kiln = await startKiln({ server, agent, fleet });
    await until("the run to be gone", async () => (await current(server, run)) === undefined);
  });

  it("keeps other owners' finalizers", async () => {
    const run = await create(server, {
      ...aRunOf(namespace, "web"),
      metadata: { namespace, name: "web", finalizers: ["example.com/audit"] },
    } as never);
    agent.finish(await started(run), succeeded);
    const ended = await reaches(
      server,
      run,
      "finished",
      ({ status, metadata }) =>
        status?.completionTime !== undefined && metadata.finalizers?.length === 1,
    );
    assert.deepEqual(ended.metadata.finalizers, ["example.com/audit"]);
  });

  it("deletes a finished run when its time is over", async () => {
    const run = await create(server, aRunOf(namespace, "web", { ttlAfterFinished: "1s" }));
    agent.finish(await started(run), succeeded);
    await until("the run to be gone", async () => (await current(server, run)) === undefined);
  });

  it("waits, stalled, for a Builder, and starts when it comes", async () => {
    fleet.set(builder(), undefined);
    const run = await create(server, aRunOf(namespace, "web"));
    const waiting = await reaches(
      server,
      run,
      "stalled",
      (now) => reason(now, "Stalled") === "BuilderNotFound",
    );
    assert.equal(reason(waiting), "Pending");
    fleet.set(builder(), { instances: [instanceAt({ kind: "unix", path: "/none" })] });
    agent.finish(await started(run), succeeded);
    assert.equal(reason(await ends(server, run), "Stalled"), undefined);
  });

  it("queues runs, oldest first, and never runs more than there are slots", async () => {
    const runs: BuildRun[] = [];
    for (const name of ["a", "b", "c", "d", "e"])
      runs.push(await create(server, aRunOf(namespace, name)));
    await until("two runs to start", async () => agent.jobs.size === 2);
    const last = await reaches(
      server,
      runs[4] as BuildRun,
      "queued",
      ({ status }) => status?.phase === "Queued",
    );
    assert.ok((last.status?.queue?.position ?? 0) > 0);
    for (const _ of runs) {
      const [ref] = await until("a run to start", async () => {
        const open = [...agent.jobs]
          .filter(([, { events: log }]) => log.outcome === undefined)
          .map(([name]) => name);
        assert.ok(open.length <= 2);
        return open.length > 0 && open;
      });
      agent.finish(ref as string, succeeded);
    }
    for (const run of runs) await ends(server, run);
    assert.deepEqual(agent.started.toSorted(), runs.map((run) => refOf(run)).toSorted());
  });

  it("fails a run whose Secret is missing or forbidden before it takes a slot", async () => {
    await server.client.create(
      secrets,
      { metadata: { namespace, name: "npm" }, stringData: { token: "hunter2hunter2" } } as never,
      never,
    );
    const wants = (name: string) => ({
      secrets: [{ id: "npm", secretKeyRef: { name, key: "token" } }],
    });
    const forbidden = await create(server, aRunOf(namespace, "forbidden", wants("npm")));
    const { status } = await ends(server, forbidden);
    assert.deepEqual(
      [status?.failure?.class, status?.failure?.reason],
      ["Policy", "SecretForbidden"],
    );
    for (const part of [
      'ServiceAccount "default"',
      'Secret "npm"',
      `namespace "${namespace}"`,
      '"get"',
    ])
      assert.ok(status?.failure?.message.includes(part), part);
    assert.equal(status?.attempts, undefined);
    const nobody = await create(
      server,
      aRunOf(namespace, "nobody", { serviceAccountName: "nobody" }),
    );
    assert.equal(reason(await ends(server, nobody)), "ServiceAccountNotFound");
    assert.deepEqual(agent.started, []);
  });

  it("says what happened in Events", async () => {
    const run = await create(server, aRunOf(namespace, "web"));
    agent.finish(await started(run), {
      ...registryDown,
      failure: { ...registryDown.failure, retryable: false },
    } as JobOutcome);
    await ends(server, run);
    const told = await until("two Events", async () => {
      const list = await server.client.list(events, { namespace }, never);
      return list.length >= 2 && list.map(({ type, reason: why }) => `${type} ${why}`).toSorted();
    });
    assert.deepEqual(told, ["Normal Started", "Warning RegistryUnavailable"]);
  });

  it("writes progress into status while a solve runs", async () => {
    const run = await create(server, aRunOf(namespace, "web"));
    const ref = await started(run);
    await reaches(server, run, "running", isRunning);
    agent.report(ref, {
      kind: "vertex",
      digest: "a",
      name: "[1/2] RUN make",
      inputs: [],
      cached: false,
      started: new Date(),
    });
    const { status } = await reaches(
      server,
      run,
      "under way",
      (now) => now.status?.progress !== undefined,
    );
    assert.partialDeepStrictEqual(status?.progress, {
      total: 1,
      completed: 0,
      current: "[1/2] RUN make",
    });
    agent.finish(ref, succeeded);
    await ends(server, run);
  });
});
