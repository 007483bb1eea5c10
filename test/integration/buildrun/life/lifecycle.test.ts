// How runs wait, end early and go away, on a real API server with an agent whose jobs end when the test says so.

import assert from "node:assert/strict";
import type { JobOutcome } from "../../../../src/agent/agent.ts";
import type { BuildRun } from "../../../../src/api/v1alpha1/index.ts";
import { events, secrets } from "../../../../src/kube/types.ts";
import { instanceAt } from "../fleet.ts";
import {
  aRunOf,
  buildRunType,
  create,
  current,
  ends,
  never,
  reaches,
  reason,
  remove,
  until,
} from "../kiln.ts";
import {
  aScene,
  builderOf,
  refOf,
  registryDown,
  socket,
  started,
  succeeded,
  succeeds,
} from "../scene.ts";

describe("the life of a run", () => {
  const scene = aScene();
  const isRunning = (run: BuildRun) => run.status?.phase === "Running";

  it("cancels a running solve", async () => {
    const run = await create(scene.server, aRunOf(scene.namespace, "web"));
    await started(scene, run);
    const patch = { ...aRunOf(scene.namespace, "web", { cancel: true }) };
    await scene.server.client.apply(
      buildRunType,
      patch as never,
      { fieldManager: "person" },
      never,
    );
    const ended = await ends(scene.server, run);
    assert.deepEqual(
      [ended.status?.phase, reason(ended), ended.status?.attempts?.[0]?.outcome],
      ["Cancelled", "Cancelled", "Cancelled"],
    );
  });

  it("ends at its timeout", async () => {
    const run = await create(scene.server, aRunOf(scene.namespace, "web", { timeout: "1s" }));
    await started(scene, run);
    const ended = await ends(scene.server, run);
    assert.deepEqual([ended.status?.phase, reason(ended)], ["Failed", "Timeout"]);
  });

  it("lets a deleted run go only after its solve ended", async () => {
    scene.agent.deaf = true;
    const run = await create(scene.server, aRunOf(scene.namespace, "web"));
    const ref = await started(scene, run);
    await remove(scene.server, run);
    const deleting = await reaches(
      scene.server,
      run,
      "being deleted",
      ({ metadata }) => metadata.deletionTimestamp !== undefined,
    );
    assert.deepEqual(deleting.metadata.finalizers, ["kiln.build/solve"]);
    scene.agent.finish(ref, { kind: "cancelled", finishedAt: "" });
    await until("the run to be gone", async () => (await current(scene.server, run)) === undefined);
  });

  it("lets a deleted run go when its controller and agent died", async () => {
    const run = await create(scene.server, aRunOf(scene.namespace, "web"));
    await started(scene, run);
    await succeeds(scene, async () => {
      scene.agent.crash();
      await remove(scene.server, run);
    });
    await until("the run to be gone", async () => (await current(scene.server, run)) === undefined);
  });

  it("keeps other owners' finalizers", async () => {
    const run = await create(scene.server, {
      ...aRunOf(scene.namespace, "web"),
      metadata: { namespace: scene.namespace, name: "web", finalizers: ["example.com/audit"] },
    } as never);
    scene.agent.finish(await started(scene, run), succeeded);
    const ended = await reaches(
      scene.server,
      run,
      "finished",
      ({ status, metadata }) =>
        status?.completionTime !== undefined && metadata.finalizers?.length === 1,
    );
    assert.deepEqual(ended.metadata.finalizers, ["example.com/audit"]);
  });

  it("deletes a finished run when its time is over", async () => {
    const run = await create(
      scene.server,
      aRunOf(scene.namespace, "web", { ttlAfterFinished: "1s" }),
    );
    scene.agent.finish(await started(scene, run), succeeded);
    await until("the run to be gone", async () => (await current(scene.server, run)) === undefined);
  });

  it("waits, stalled, for a Builder, and starts when it comes", async () => {
    scene.fleet.set(builderOf(scene), undefined);
    const run = await create(scene.server, aRunOf(scene.namespace, "web"));
    const waiting = await reaches(
      scene.server,
      run,
      "stalled",
      (now) => reason(now, "Stalled") === "BuilderNotFound",
    );
    assert.equal(reason(waiting), "Pending");
    scene.fleet.set(builderOf(scene), { instances: [instanceAt(socket)] });
    scene.agent.finish(await started(scene, run), succeeded);
    assert.equal(reason(await ends(scene.server, run), "Stalled"), undefined);
  });

  it("queues runs, oldest first, and never runs more than there are slots", async () => {
    const runs: BuildRun[] = [];
    for (const name of ["a", "b", "c", "d", "e"])
      runs.push(await create(scene.server, aRunOf(scene.namespace, name)));
    await until("two runs to start", async () => scene.agent.jobs.size === 2);
    const last = await reaches(
      scene.server,
      runs[4] as BuildRun,
      "queued",
      ({ status }) => status?.phase === "Queued",
    );
    assert.ok((last.status?.queue?.position ?? 0) > 0);
    for (const _ of runs) {
      const [ref] = await until("a run to start", async () => {
        const open = [...scene.agent.jobs]
          .filter(([, { events: log }]) => log.outcome === undefined)
          .map(([name]) => name);
        assert.ok(open.length <= 2);
        return open.length > 0 && open;
      });
      scene.agent.finish(ref as string, succeeded);
    }
    for (const run of runs) await ends(scene.server, run);
    assert.deepEqual(scene.agent.started.toSorted(), runs.map((run) => refOf(run)).toSorted());
  });

  it("fails a run whose Secret is missing or forbidden before it takes a slot", async () => {
    await scene.server.client.create(
      secrets,
      {
        metadata: { namespace: scene.namespace, name: "npm" },
        stringData: { token: "hunter2hunter2" },
      } as never,
      never,
    );
    const wants = (name: string) => ({
      secrets: [{ id: "npm", secretKeyRef: { name, key: "token" } }],
    });
    const forbidden = await create(
      scene.server,
      aRunOf(scene.namespace, "forbidden", wants("npm")),
    );
    const { status } = await ends(scene.server, forbidden);
    assert.deepEqual(
      [status?.failure?.class, status?.failure?.reason],
      ["Policy", "SecretForbidden"],
    );
    for (const part of [
      'ServiceAccount "default"',
      'Secret "npm"',
      `namespace "${scene.namespace}"`,
      '"get"',
    ])
      assert.ok(status?.failure?.message.includes(part), part);
    assert.equal(status?.attempts, undefined);
    const nobody = await create(
      scene.server,
      aRunOf(scene.namespace, "nobody", { serviceAccountName: "nobody" }),
    );
    assert.equal(reason(await ends(scene.server, nobody)), "ServiceAccountNotFound");
    assert.deepEqual(scene.agent.started, []);
  });

  it("says what happened in Events", async () => {
    const run = await create(scene.server, aRunOf(scene.namespace, "web"));
    scene.agent.finish(await started(scene, run), {
      ...registryDown,
      failure: { ...registryDown.failure, retryable: false },
    } as JobOutcome);
    await ends(scene.server, run);
    const told = await until("two Events", async () => {
      const list = await scene.server.client.list(events, { namespace: scene.namespace }, never);
      return list.length >= 2 && list.map(({ type, reason: why }) => `${type} ${why}`).toSorted();
    });
    assert.deepEqual(told, ["Normal Started", "Warning RegistryUnavailable"]);
  });

  it("writes progress into status while a solve runs", async () => {
    const run = await create(scene.server, aRunOf(scene.namespace, "web"));
    const ref = await started(scene, run);
    await reaches(scene.server, run, "running", isRunning);
    scene.agent.report(ref, {
      kind: "vertex",
      digest: "a",
      name: "[1/2] RUN make",
      inputs: [],
      cached: false,
      started: new Date(),
    });
    const { status } = await reaches(
      scene.server,
      run,
      "under way",
      (now) => now.status?.progress !== undefined,
    );
    assert.partialDeepStrictEqual(status?.progress, {
      total: 1,
      completed: 0,
      current: "[1/2] RUN make",
    });
    scene.agent.finish(ref, succeeded);
    await ends(scene.server, run);
  });
});
