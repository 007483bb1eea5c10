// What happens under running builds: controller, agent or buildkitd killed, pods told to end, the Builder edited or
// deleted. Each run ends once, in the right state, and leaves nothing.

import assert from "node:assert/strict";
import { aBuilder, aRun, cluster, reasonOf, type RunStatus } from "./fixture.ts";
import { killContainer } from "./kill.ts";
import { linesOf, secondReader } from "./second-reader.ts";

const sleepFor = (seconds: number, mark: string): string =>
  `FROM debian:bookworm-slim\nRUN echo ${mark} && sleep ${seconds}\n`;

describe("a running build", () => {
  let ns = "";

  beforeEach(async () => {
    ns = await cluster.namespace("recovery");
    await cluster.apply(ns, aBuilder({ maxConcurrentRuns: 10 }));
  });

  afterEach(async () => await cluster.removeNamespace(ns));

  async function running(name: string): Promise<void> {
    await cluster.until(`BuildRun ${name} to run its step`, async () => {
      const { phase, progress } = await cluster.statusOf(ns, name);
      return phase === "Running" && (progress?.total ?? 0) > 0;
    });
  }

  /** Names of the pods of the namespace's Builder. */
  async function builderPods(): Promise<string[]> {
    return await podsOf(ns, "kiln.build/builder=default");
  }

  async function podsOf(namespace: string, labels: string): Promise<string[]> {
    const text = await cluster.kubectl([
      ...["get", "pods", "-n", namespace, "-l", labels],
      ...["-o", "jsonpath={.items[*].metadata.name}"],
    ]);
    return text.split(" ").filter((name) => name !== "");
  }

  /** The controller that holds the Lease. */
  async function leader(): Promise<string> {
    return await cluster.kubectl([
      ...["get", "lease", "kiln-controller", "-n", "kiln-system"],
      ...["-o", "jsonpath={.spec.holderIdentity}"],
    ]);
  }

  const lines = Array.from({ length: 80 }, (_, at) => `line-${at + 1}`);

  /** Ten runs at their step, and what the agent beside their buildkitd tells of their output to its end. */
  interface Ten {
    readonly names: readonly string[];
    readonly printed: Promise<readonly (readonly string[])[]>;
  }

  /** Starts ten runs that print line after line, and waits until all are at their step. */
  async function tenRunning(prefix: string): Promise<Ten> {
    const names = Array.from({ length: 10 }, (_, i) => `${prefix}-${i}`);
    const dockerfile = (name: string): string =>
      `FROM debian:bookworm-slim\nRUN : ${name}; for i in $(seq 1 ${lines.length}); do echo line-$i; sleep 0.5; done\n`;
    await cluster.apply(ns, ...names.map((name) => aRun(name, dockerfile(name))));
    for (const name of names) await running(name);
    const [pod = ""] = await builderPods();
    const reader = await secondReader(ns, pod);
    const printed = names.map(async (name) => {
      const { attempts } = await cluster.statusOf(ns, name);
      return await linesOf(reader, attempts?.[0]?.ref ?? "");
    });
    return { names, printed: Promise.all(printed).finally(() => reader.close()) };
  }

  /** Each succeeded at the first attempt, the daemon was asked once for each, and each line was told once. */
  async function succeededOnce({ names, printed }: Ten): Promise<void> {
    for (const name of names) await cluster.finished(ns, name);
    const [pod = ""] = await builderPods();
    for (const [at, told] of (await printed).entries()) assert.deepEqual(told, lines, names[at]);
    const records = await recordsOf(pod);
    for (const name of names) {
      const status = await cluster.finished(ns, name);
      assert.equal(status.phase, "Succeeded", JSON.stringify(status));
      assert.deepEqual(
        status.attempts?.map(({ outcome }) => outcome),
        ["Succeeded"],
        name,
      );
      assert.equal(status.progress?.completed, status.progress?.total, name);
      assert.equal(records(status.attempts?.[0]?.ref), 1, name);
    }
  }

  /** How many records buildkitd's history has of a ref. */
  async function recordsOf(pod: string): Promise<(ref: string | undefined) => number> {
    const histories = await cluster.kubectl([
      ...["exec", pod, "-n", ns, "-c", "buildkitd", "--"],
      ...["buildctl", "debug", "histories"],
    ]);
    return (ref = "") =>
      histories.split("\n").filter((line) => line.split(/\s+/).includes(ref)).length;
  }

  /** Lets runs have 3 s when their instance is to go, also on pods that are there already. */
  async function impatient(): Promise<void> {
    const kubernetes = { security: "Privileged", drainTimeout: "3s" };
    await cluster.apply(ns, aBuilder({ kubernetes, maxConcurrentRuns: 10 }));
  }

  function attemptsOf(status: RunStatus): (string | undefined)[][] {
    return (status.attempts ?? []).map(({ outcome, reason, class: of }) => [outcome, reason, of]);
  }

  it("is tried again on another buildkitd when its pod is killed", async () => {
    await cluster.apply(ns, aRun("killed", sleepFor(8, "killed")));
    await running("killed");
    const [pod] = await builderPods();
    assert.ok(pod);
    await cluster.kubectl(["delete", "pod", pod, "-n", ns, "--grace-period=0", "--force"]);
    const status = await cluster.finished(ns, "killed");
    assert.equal(reasonOf(status), "Succeeded", JSON.stringify(status.failure));
    assert.ok((status.attempts?.length ?? 0) >= 2);
    assert.equal(status.attempts?.[0]?.class, "Builder", JSON.stringify(status.attempts));
    assert.equal(
      new Set(status.attempts?.map((attempt) => attempt.ref)).size,
      status.attempts?.length,
    );
  });

  it("goes on, and nine others with it, when the controller is killed and comes back", async () => {
    const ten = await tenRunning("orphan");
    const pod = await leader();
    await killContainer({ namespace: "kiln-system", pod, container: "controller" });
    await succeededOnce(ten);
  });

  it("goes on, and nine others with it, when another replica takes over", async () => {
    const ten = await tenRunning("inherited");
    const before = await leader();
    await cluster.kubectl([
      ...["delete", "pod", before, "-n", "kiln-system"],
      ...["--grace-period=0", "--force"],
    ]);
    await cluster.until("another leader", async () => {
      const now = await leader();
      return now !== "" && now !== before;
    });
    await succeededOnce(ten);
  });

  it("is started again, as the builder's fault, when its agent is killed", async () => {
    await cluster.apply(ns, aRun("finished", "FROM debian:bookworm-slim\nRUN true\n"));
    assert.equal((await cluster.finished(ns, "finished")).phase, "Succeeded");
    await cluster.apply(ns, aRun("cut", sleepFor(8, "cut"), { retry: { limit: 0 } }));
    await running("cut");
    const [pod = ""] = await builderPods();
    await killContainer({ namespace: ns, pod, container: "agent" });
    const status = await cluster.finished(ns, "cut");
    assert.deepEqual(attemptsOf(status), [
      ["Lost", "AttemptLost", "Builder"],
      ["Succeeded", undefined, undefined],
    ]);
    assert.deepEqual(await builderPods(), [pod], "the pod stayed");
    const records = await recordsOf(pod);
    for (const { ref } of status.attempts ?? []) assert.equal(records(ref), 1, ref);
  });

  it("ends in peace when its pod is told to end, and no other is started there", async () => {
    await cluster.apply(ns, aRun("peaceful", sleepFor(15, "peaceful")));
    await running("peaceful");
    const [pod = ""] = await builderPods();
    await cluster.kubectl(["delete", "pod", pod, "-n", ns, "--wait=false"]);
    await cluster.apply(ns, aRun("elsewhere", sleepFor(1, "elsewhere")));
    const status = await cluster.finished(ns, "peaceful");
    assert.deepEqual(attemptsOf(status), [["Succeeded", undefined, undefined]]);
    assert.equal(status.attempts?.[0]?.instance, pod);
    const other = await cluster.finished(ns, "elsewhere");
    assert.equal(other.phase, "Succeeded");
    assert.notEqual(other.attempts?.[0]?.instance, pod);
    await cluster.until("the pod to go", async () => !(await builderPods()).includes(pod));
  });

  it("is started again elsewhere when it takes longer than its pod may wait", async () => {
    await impatient();
    // A pod that somebody deletes waits as long as its own template says.
    await cluster.until("pods of the new template alone", async () => {
      const text = await cluster.kubectl([
        ...["get", "pods", "-n", ns, "-l", "kiln.build/builder=default"],
        ...["-o", "jsonpath={.items[*].spec.terminationGracePeriodSeconds}"],
      ]);
      return text === "33";
    });
    await cluster.apply(ns, aRun("long", sleepFor(40, "long"), { retry: { limit: 0 } }));
    await running("long");
    const { attempts } = await cluster.statusOf(ns, "long");
    const pod = attempts?.[0]?.instance ?? "";
    await cluster.kubectl(["delete", "pod", pod, "-n", ns, "--wait=false"]);
    const status = await cluster.finished(ns, "long");
    assert.deepEqual(attemptsOf(status), [
      ["Lost", "AttemptLost", "Builder"],
      ["Succeeded", undefined, undefined],
    ]);
  });

  it("ends when its Builder is edited, and the next run uses the new template", async () => {
    await cluster.apply(ns, aRun("edited", sleepFor(8, "edited")));
    await running("edited");
    const before = await builderPods();
    await cluster.apply(
      ns,
      aBuilder({
        kubernetes: { security: "Privileged", annotations: { "example.test/edit": "1" } },
      }),
    );
    const status = await cluster.finished(ns, "edited");
    assert.deepEqual(attemptsOf(status), [["Succeeded", undefined, undefined]]);
    await cluster.until("the pods to be replaced", async () => {
      const now = await builderPods();
      return now.length > 0 && now.every((name) => !before.includes(name));
    });
    await cluster.apply(ns, aRun("after-edit", "FROM debian:bookworm-slim\nRUN true\n"));
    assert.equal((await cluster.finished(ns, "after-edit")).phase, "Succeeded");
  });

  it("says that its Builder is gone when that is deleted, and no pod stays behind", async () => {
    await impatient();
    await cluster.apply(ns, aRun("homeless", sleepFor(600, "homeless"), { retry: { limit: 0 } }));
    await running("homeless");
    await cluster.kubectl(["delete", "builder", "default", "-n", ns, "--timeout=60s"]);
    await cluster.until("the pods to go", async () => (await builderPods()).length === 0);
    const status = await cluster.until("the run to look for a Builder", async () => {
      const now = await cluster.statusOf(ns, "homeless");
      const stalled = now.conditions?.find(({ type }) => type === "Stalled");
      return stalled?.reason === "BuilderNotFound" ? now : undefined;
    });
    assert.deepEqual(attemptsOf(status), [["Lost", "AttemptLost", "Builder"]]);
  });
});
