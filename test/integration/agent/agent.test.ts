// The agent's process over its wire, beside a real buildkitd: jobs, restarts, and how it ends.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, beforeEach } from "mocha";
import { type JobEvent, JobUnknown } from "../../../src/agent/agent.ts";
import type { RemoteAgent } from "../../../src/agent/wire/remote.ts";
import { KilnError } from "../../../src/errors/index.ts";
import { type Buildkitd, buildkitd, waitFor } from "../../cluster/index.ts";
import { aJob, Beside, eventsOf, never, outcomeOf, outputOf, printed } from "./beside.ts";

const quick = (text: string): string => `FROM busybox\nRUN echo ${text}\n`;
const counting = (seconds: number): string =>
  `FROM busybox\nRUN for i in $(seq 1 ${seconds * 5}); do echo line-$i; sleep 0.2; done\n`;

describe("an agent beside buildkitd", () => {
  let daemon: Buildkitd;
  let beside: Beside;
  let agent: RemoteAgent;
  let ref = "";

  before(async () => {
    daemon = await buildkitd();
  });
  after(async () => await daemon.stop());
  beforeEach(async () => {
    ref = `${randomUUID()}-1`;
    beside = await Beside.start(daemon, { graceSeconds: 20 });
    agent = await beside.remote();
  });
  afterEach(async () => await beside.stop());

  /** How often the daemon was asked to solve the ref. */
  async function records(): Promise<number> {
    const { stdout } = await daemon.buildctl(["debug", "histories"]);
    return stdout.split("\n").filter((line) => line.includes(ref)).length;
  }

  it("says what its daemon is and how busy it is", async () => {
    const { version, workers, draining } = await agent.info();
    assert.match(version, /^\d+\.\d+\.\d+/);
    assert.ok(workers[0]?.platforms.includes("linux/amd64"), JSON.stringify(workers));
    assert.equal(draining, false);
    const usage = await agent.usage();
    assert.equal(usage.running, 0);
    assert.ok(usage.volumeBytes > usage.volumeFreeBytes && usage.volumeFreeBytes > 0);
  });

  it("runs a job once however often it is started, tells all of it, and forgets it when told", async () => {
    const job = aJob(ref, quick("hello"));
    await Promise.all([agent.start(job), agent.start(job)]);
    await agent.start(job);
    const events = await eventsOf(agent, ref);
    assert.equal(events.at(-1)?.kind, "finished");
    assert.match(outputOf(events), /hello/);
    assert.deepEqual(
      events.map(({ offset }) => offset),
      events.map((_, index) => index),
    );
    assert.equal(await records(), 1);
    assert.deepEqual(
      (await agent.list()).map((one) => [one.ref, one.state]),
      [[ref, "finished"]],
    );
    await agent.acknowledge(ref);
    assert.deepEqual(await agent.list(), []);
    await assert.rejects(eventsOf(agent, ref), JobUnknown);
    const recalled = await agent.recall({ ref, materials: job.materials }, never);
    assert.equal(recalled.kind === "finished" && recalled.outcome.kind, "succeeded");
  });

  it("gives every event once to readers that come and go", async () => {
    await agent.start(aJob(ref, counting(3)));
    const seen: JobEvent[] = [];
    while (seen.at(-1)?.kind !== "finished") {
      const cut = new AbortController();
      const reader = await beside.remote();
      const from = (seen.at(-1)?.offset ?? -1) + 1;
      for await (const event of reader.attach(ref, from, cut.signal)) {
        seen.push(event);
        if (seen.length % 4 === 0) cut.abort();
      }
      reader.close();
    }
    assert.deepEqual(
      seen.map(({ offset }) => offset),
      seen.map((_, index) => index),
    );
    for (let i = 1; i <= 15; i++) assert.ok(outputOf(seen).includes(`line-${i}\n`), `line-${i}`);
  });

  it("cancels a job and knows nothing of one that it never had", async () => {
    await agent.cancel("never-1");
    await agent.acknowledge("never-1");
    await agent.start(aJob(ref, "FROM busybox\nRUN echo begun && sleep 60\n"));
    await printed(agent, ref, "begun");
    await agent.cancel(ref);
    assert.equal((await outcomeOf(agent, ref)).kind, "cancelled");
  });

  it("refuses a ref that is not one", async () => {
    await assert.rejects(agent.start(aJob("../../x", quick("no"))), KilnError);
  });

  it("keeps secrets out of its disk and its log, even what a step prints", async () => {
    const canary = `canary-${randomUUID()}`;
    const dockerfile =
      "FROM busybox\nRUN --mount=type=secret,id=key echo begin; cat /run/secrets/key; exit 3\n";
    await agent.start(aJob(ref, dockerfile, { key: canary }));
    const events = await eventsOf(agent, ref);
    assert.match(outputOf(events), /begin/);
    assert.match(outputOf(events), /\[redacted\]/, "the step could read the secret");
    assert.ok(!JSON.stringify(events).includes(canary));
    assert.ok(beside.written().includes(ref), "the agent wrote something");
    assert.ok(!beside.written().includes(canary));
  });

  it("still knows results after it was killed", async () => {
    await agent.start(aJob(ref, quick("remembered")));
    const before = await eventsOf(agent, ref);
    await beside.kill();
    await beside.run();
    const reader = await beside.remote();
    assert.deepEqual(
      (await reader.list()).map((one) => [one.ref, one.state]),
      [[ref, "finished"]],
    );
    assert.deepEqual(await eventsOf(reader, ref), before);
    await reader.acknowledge(ref);
    await beside.kill();
    await beside.run();
    assert.deepEqual(await (await beside.remote()).list(), []);
  });

  it("calls a job lost that ran when it was killed, and a waiting reader hears of it", async () => {
    await agent.start(aJob(ref, counting(30)));
    await printed(agent, ref, "line-3");
    const reading = eventsOf(agent, ref);
    await beside.kill();
    await beside.run();
    const events = await reading;
    const last = events.at(-1);
    assert.ok(last?.kind === "finished" && last.outcome.kind === "failed", JSON.stringify(last));
    const { class: of, reason, retryable } = last.outcome.failure;
    assert.deepEqual([of, reason, retryable], ["Builder", "AttemptLost", true]);
    assert.match(outputOf(events), /line-1\n/);
    await waitFor(
      "the daemon to be idle",
      async () => {
        const { stdout } = await daemon.buildctl(["debug", "histories"]);
        return /STARTED/.test(stdout) ? undefined : true;
      },
      { deadlineMs: 20_000 },
    );
  });

  it("takes no job while it drains, lets those that run end, and then ends itself", async () => {
    await agent.start(aJob(ref, counting(3)));
    await printed(agent, ref, "line-2");
    process.kill(beside.process.identity.pid, "SIGTERM");
    await waitFor(
      "the agent to drain",
      async () => ((await agent.info()).draining ? true : undefined),
      {
        deadlineMs: 5_000,
      },
    );
    await assert.rejects(agent.start(aJob(`${ref}-other`, quick("late"))), { reason: "Draining" });
    assert.deepEqual(await agent.drain(), [ref]);
    const events = await eventsOf(agent, ref);
    assert.match(outputOf(events), /line-15\n/);
    const last = events.at(-1);
    assert.equal(last?.kind === "finished" && last.outcome.kind, "succeeded");
    assert.ok(beside.process.running(), "it waits until the outcome is fetched");
    await agent.acknowledge(ref);
    await waitFor("its end", async () => (beside.process.running() ? undefined : true), {
      deadlineMs: 5_000,
    });
  });

  it("hands back as lost what its time does not last for", async () => {
    await agent.start(aJob(ref, counting(60)));
    await printed(agent, ref, "line-2");
    process.kill(beside.process.identity.pid, "SIGTERM");
    const outcome = await outcomeOf(agent, ref);
    assert.equal(outcome.kind === "failed" && outcome.failure.reason, "AttemptLost");
    assert.equal(outcome.kind === "failed" && outcome.failure.class, "Builder");
  });
});
