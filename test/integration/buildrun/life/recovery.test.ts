// What dies under a running build: the controller with its agent, buildkitd, both. Each run ends once, in the right state.

import assert from "node:assert/strict";
import type { BuildRun } from "../../../../src/api/v1alpha1/index.ts";
import {
  aDaemon,
  builderOf,
  controllerComes,
  type Daemon,
  image,
  inline,
  pushed,
  start,
} from "../daemon.ts";
import { instanceAt } from "../fleet.ts";
import { ends, reaches, until } from "../kiln.ts";
import { parseEndpoint } from "../../../../src/buildkit/index.ts";
import { buildkitd } from "../../../cluster/index.ts";

describe("a run whose processes die", () => {
  const daemon: Daemon = aDaemon();

  // Status tells of progress every five seconds at most: a shorter step may come and go unseen.
  const sleeping = (seconds: number, mark: string) =>
    inline(
      `FROM busybox\nRUN sleep ${seconds + 5}; echo ${mark} > /mark\n`,
      image(daemon, `${mark}:1`),
    );
  const atItsStep = async (run: BuildRun): Promise<BuildRun> =>
    await reaches(
      daemon.server,
      run,
      "at its step",
      ({ status }) => status?.progress?.current?.includes("sleep") === true,
    );

  it("becomes attempt 2 when controller and agent die in the middle", async () => {
    const run = await start(daemon, sleeping(4, "twice"));
    await atItsStep(run);
    // The controller first: it sees nothing of how its agent ends.
    await daemon.kiln.stop();
    await daemon.agent.stop();
    await controllerComes(daemon);
    const { status } = await ends(daemon.server, run);
    assert.deepEqual(
      status?.attempts?.map(({ outcome }) => outcome),
      ["Lost", "Succeeded"],
    );
    assert.equal((await pushed(daemon, "twice", "1")).digest, status?.outputs?.[0]?.image?.digest);
  });

  it("copies the outcome, digest and all, when the solve had ended by itself", async () => {
    const run = await start(daemon, sleeping(3, "copied"));
    await atItsStep(run);
    await daemon.kiln.stop();
    const ref = `${run.metadata.uid}-1`;
    await until("the solve to end", async () =>
      (await daemon.agent.list()).every((job) => job.state === "finished"),
    );
    await daemon.agent.stop();
    await controllerComes(daemon);
    const { status } = await ends(daemon.server, run);
    assert.deepEqual(
      status?.attempts?.map((attempt) => [attempt.ref, attempt.outcome]),
      [[ref, "Succeeded"]],
    );
    const output = status?.outputs?.[0]?.image;
    assert.equal(output?.digest, (await pushed(daemon, "copied", "1")).digest);
    assert.equal(output?.platforms?.length, 1);
    assert.match(status?.baseImages?.[0]?.ref ?? "", /busybox/);
  });

  it("copies both digests of a build for two platforms", async () => {
    const dockerfile =
      "FROM busybox AS wait\nRUN sleep 3\nFROM scratch\nCOPY --from=wait /bin/busybox /\n";
    const platforms = ["linux/amd64", "linux/amd64/v2"];
    const run = await start(daemon, inline(dockerfile, { platforms, ...image(daemon, "both:1") }));
    await atItsStep(run);
    await daemon.kiln.stop();
    await until("the solve to end", async () =>
      (await daemon.agent.list()).every((job) => job.state === "finished"),
    );
    await daemon.agent.stop();
    await controllerComes(daemon);
    const { status } = await ends(daemon.server, run);
    const { digest, manifest } = await pushed(daemon, "both", "1");
    const output = status?.outputs?.[0]?.image;
    assert.equal(output?.digest, digest, JSON.stringify(status));
    assert.deepEqual(
      output?.platforms?.map((entry) => entry.digest),
      manifest.manifests?.map((entry) => entry.digest),
    );
  });

  it("copies a failure too", async () => {
    const run = await start(daemon, inline("FROM busybox\nRUN sleep 3; exit 9\n"));
    await atItsStep(run);
    await daemon.kiln.stop();
    await until("the solve to end", async () =>
      (await daemon.agent.list()).every((job) => job.state === "finished"),
    );
    await daemon.agent.stop();
    await controllerComes(daemon);
    const { status } = await ends(daemon.server, run);
    assert.deepEqual(
      [status?.failure?.reason, status?.failure?.exitCode, status?.attempts?.length],
      ["StepFailed", 9, 1],
    );
  });

  it("goes on with the agent's job when only the controller is replaced", async () => {
    const run = await start(daemon, sleeping(4, "adopted"));
    await atItsStep(run);
    await daemon.kiln.stop();
    const { startKiln } = await import("../kiln.ts");
    daemon.kiln = await startKiln(daemon);
    const { status } = await ends(daemon.server, run);
    assert.deepEqual(
      status?.attempts?.map(({ outcome }) => outcome),
      ["Succeeded"],
    );
    assert.ok(
      (status?.cache?.steps ?? 0) > 0,
      "the adopted job's events were read from the first one",
    );
  });

  it("is repeated when buildkitd is killed", async () => {
    const victim = await buildkitd({ insecureRegistries: [daemon.registry.host] });
    const endpoint = parseEndpoint(victim.address);
    daemon.fleet.set(builderOf(daemon), { instances: [instanceAt(endpoint, { id: "victim" })] });
    const run = await start(daemon, sleeping(3, "killed"));
    await atItsStep(run);
    const survivor = instanceAt(parseEndpoint(daemon.buildkitd.address));
    daemon.fleet.set(builderOf(daemon), { instances: [survivor] });
    process.kill(victim.process.identity.pid, "SIGKILL");
    const { status } = await ends(daemon.server, run);
    await victim.stop();
    assert.deepEqual(
      status?.attempts?.map(({ instance, outcome }) => [instance, outcome]),
      [
        ["victim", "Failed"],
        ["remote-0", "Succeeded"],
      ],
    );
    assert.equal(status?.attempts?.[0]?.class, "Builder", JSON.stringify(status?.attempts));
  });
});

describe("a cache that outlives its daemon", () => {
  const daemon: Daemon = aDaemon();

  for (const [name, to, from] of [
    ["registry", (ref: string) => ({ registry: { ref, mode: "max", insecure: true } }), "cache"],
    ["inline", () => ({ inline: {} }), "1"],
  ] as const)
    it(`is used by another daemon: ${name}`, async () => {
      const repository = `${daemon.registry.host}/cached-${name}`;
      const spec = inline(`FROM busybox\nRUN echo ${name} && date > /date\n`, {
        ...image(daemon, `cached-${name}:1`),
        cache: {
          to: [to(`${repository}:cache`)],
          from: [{ registry: { ref: `${repository}:${from}`, insecure: true } }],
        },
      });
      const first = (await ends(daemon.server, await start(daemon, spec))).status;
      assert.equal(first?.phase, "Succeeded", JSON.stringify(first?.failure));
      assert.equal(first?.cache?.exports?.[0]?.ok, true, JSON.stringify(first?.cache));
      assert.equal(first?.cache?.imports?.[0]?.ok, false, JSON.stringify(first?.cache));
      const other = await buildkitd({ insecureRegistries: [daemon.registry.host] });
      try {
        daemon.fleet.set(builderOf(daemon), {
          instances: [instanceAt(parseEndpoint(other.address))],
        });
        const second = (await ends(daemon.server, await start(daemon, spec))).status;
        assert.equal(second?.cache?.imports?.[0]?.ok, true, JSON.stringify(second?.cache));
        assert.ok((second?.cache?.cached ?? 0) >= 1, JSON.stringify(second?.cache));
        assert.equal(second?.outputs?.[0]?.image?.digest, first?.outputs?.[0]?.image?.digest);
      } finally {
        daemon.fleet.set(builderOf(daemon), {
          instances: [instanceAt(parseEndpoint(daemon.buildkitd.address))],
        });
        await other.stop();
      }
    });
});
