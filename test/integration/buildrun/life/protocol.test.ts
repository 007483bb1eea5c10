// The attempt protocol on a real API server, with an agent whose jobs end when the test says so: what is written before
// and after, who is asked after a crash, and that nothing is left.

import assert from "node:assert/strict";
import type { BuildRun } from "../../../../src/api/v1alpha1/index.ts";
import {
  aRunOf,
  buildRunType,
  create,
  current,
  ends,
  never,
  reason,
  remove,
  until,
} from "../kiln.ts";
import { aScene, digest, output, registryDown, started, succeeded, succeeds } from "../scene.ts";

describe("the attempt protocol", () => {
  const scene = aScene();

  it("writes the attempt and the finalizer down before the solve is sent", async () => {
    const start = scene.agent.start.bind(scene.agent);
    let atStart: BuildRun | undefined;
    scene.agent.start = async (job) => {
      atStart = (
        await scene.server.client.list(buildRunType, { namespace: scene.namespace }, never)
      )[0];
      await start(job);
    };
    const run = await create(scene.server, aRunOf(scene.namespace, "web", output));
    const ref = await started(scene, run);
    assert.partialDeepStrictEqual(atStart?.status?.attempts, [
      { number: 1, ref, instance: "remote-0", builder: { kind: "Builder", name: "default" } },
    ]);
    assert.deepEqual(atStart?.metadata.finalizers, ["kiln.build/solve"]);
    scene.agent.finish(ref, succeeded);
    const ended = await ends(scene.server, run);
    assert.equal(reason(ended), "Succeeded");
    assert.equal(ended.status?.outputs?.[0]?.image?.digest, digest);
    assert.equal(ended.status?.attempts?.[0]?.outcome, "Succeeded");
    assert.deepEqual(await scene.agent.list(), [], "the job was acknowledged");
  });

  it("builds once, however often the same manifest is applied", async () => {
    const manifest = aRunOf(scene.namespace, "web", output);
    const apply = async () =>
      await scene.server.client.apply(
        buildRunType,
        manifest as never,
        { fieldManager: "person" },
        never,
      );
    const run = await apply();
    scene.agent.finish(await started(scene, run), succeeded);
    const ended = await ends(scene.server, run);
    await apply();
    await apply();
    await succeeds(scene);
    await create(scene.server, aRunOf(scene.namespace, "later")).then(async (later) =>
      scene.agent.finish(await started(scene, later), succeeded),
    );
    assert.deepEqual((await current(scene.server, run))?.status, ended.status);
    assert.deepEqual(
      scene.agent.started.filter((ref) => ref.startsWith(run.metadata.uid ?? "-")).length,
      1,
    );
    await until("the later run to end", async () =>
      (await scene.server.client.list(buildRunType, { namespace: scene.namespace }, never)).every(
        ({ status }) => status?.completionTime !== undefined,
      ),
    );
  });

  it("tells a run from another one of the same name", async () => {
    const first = await create(scene.server, aRunOf(scene.namespace, "web"));
    scene.agent.finish(await started(scene, first), succeeded);
    await ends(scene.server, first);
    await remove(scene.server, first);
    const second = await create(scene.server, aRunOf(scene.namespace, "web"));
    scene.agent.finish(await started(scene, second), registryDown);
    const ref = await started(scene, second, 2);
    scene.agent.finish(ref, succeeded);
    assert.equal((await ends(scene.server, second)).status?.attempts?.length, 2);
  });

  it("repeats a transient failure and keeps both attempts", async () => {
    const run = await create(scene.server, aRunOf(scene.namespace, "web", output));
    scene.agent.finish(await started(scene, run), registryDown);
    scene.agent.finish(await started(scene, run, 2), succeeded);
    const { status } = await ends(scene.server, run);
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
    const run = await create(scene.server, aRunOf(scene.namespace, "web", { retry: { limit: 1 } }));
    scene.agent.finish(await started(scene, run), registryDown);
    scene.agent.finish(await started(scene, run, 2), registryDown);
    const ended = await ends(scene.server, run);
    assert.equal(reason(ended), "RegistryUnavailable");
    assert.equal(ended.status?.failure?.class, "Registry");
    assert.equal(scene.agent.started.length, 2);
  });

  it("attaches to the job when only the controller was replaced", async () => {
    const run = await create(scene.server, aRunOf(scene.namespace, "web", output));
    const ref = await started(scene, run);
    await succeeds(scene);
    scene.agent.finish(ref, succeeded);
    assert.equal(reason(await ends(scene.server, run)), "Succeeded");
    assert.deepEqual(scene.agent.started, [ref]);
    assert.deepEqual(scene.agent.recalled, []);
  });

  it("copies the outcome from the daemon's history when controller and agent died", async () => {
    const run = await create(scene.server, aRunOf(scene.namespace, "web", output));
    const ref = await started(scene, run);
    await succeeds(scene, async () => {
      scene.agent.crash();
      scene.agent.memory.set(ref, { kind: "finished", outcome: succeeded });
    });
    const ended = await ends(scene.server, run);
    assert.equal(ended.status?.outputs?.[0]?.image?.digest, digest);
    assert.deepEqual(scene.agent.started, [ref]);
  });

  it("starts attempt 2 when nobody knows attempt 1, whatever retry.limit says", async () => {
    const run = await create(
      scene.server,
      aRunOf(scene.namespace, "web", { ...output, retry: { limit: 0 } }),
    );
    await started(scene, run);
    await succeeds(scene, async () => {
      scene.agent.crash();
    });
    scene.agent.finish(await started(scene, run, 2), succeeded);
    const { status } = await ends(scene.server, run);
    assert.deepEqual(
      status?.attempts?.map(({ outcome }) => outcome),
      ["Lost", "Succeeded"],
    );
  });

  it("waits while the daemon still solves what its caller left behind", async () => {
    const run = await create(scene.server, aRunOf(scene.namespace, "web", output));
    const ref = await started(scene, run);
    await succeeds(scene, async () => {
      scene.agent.crash();
      scene.agent.memory.set(ref, { kind: "running" });
    });
    await until("the daemon to be asked twice", async () => scene.agent.recalled.length >= 2);
    assert.equal((await current(scene.server, run))?.status?.phase, "Running");
    scene.agent.memory.set(ref, {
      kind: "finished",
      outcome: { kind: "cancelled", finishedAt: "" },
    });
    scene.agent.finish(await started(scene, run, 2), succeeded);
    await ends(scene.server, run);
  });

  it("fails after five lost attempts", async () => {
    const run = await create(scene.server, aRunOf(scene.namespace, "web"));
    for (let number = 1; number <= 6; number++)
      scene.agent.finish(await started(scene, run, number), { kind: "cancelled", finishedAt: "" });
    const ended = await ends(scene.server, run);
    assert.equal(reason(ended), "AttemptLost");
    assert.equal(ended.status?.attempts?.length, 6);
  });
});
