// What happens under a running build: its Builder edited or deleted, buildkitd or the controller
// killed. Each run ends once, in the right state, and leaves nothing.

import assert from "node:assert/strict";
import { aBuilder, aRun, cluster, reasonOf } from "./fixture.ts";

const sleepFor = (seconds: number, mark: string): string =>
  `FROM debian:bookworm-slim\nRUN echo ${mark} && sleep ${seconds}\n`;

describe("a running build", () => {
  let ns = "";

  beforeEach(async () => {
    ns = await cluster.namespace("recovery");
    await cluster.apply(ns, aBuilder());
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
    const text = await cluster.kubectl([
      ...["get", "pods", "-n", ns, "-l", "kiln.build/builder=default"],
      ...["-o", "jsonpath={.items[*].metadata.name}"],
    ]);
    return text.split(" ").filter((name) => name !== "");
  }

  it("is tried again on another buildkitd when its own is killed", async () => {
    await cluster.apply(ns, aRun("killed", sleepFor(8, "killed")));
    await running("killed");
    const [pod] = await builderPods();
    assert.ok(pod);
    await cluster.kubectl(["delete", "pod", pod, "-n", ns, "--grace-period=0", "--force"]);
    const status = await cluster.finished(ns, "killed");
    assert.equal(reasonOf(status), "Succeeded", JSON.stringify(status.failure));
    assert.ok((status.attempts?.length ?? 0) >= 2);
    assert.equal(
      new Set(status.attempts?.map((attempt) => attempt.ref)).size,
      status.attempts?.length,
    );
  });

  it("survives the controller being killed", async () => {
    await cluster.apply(ns, aRun("orphan", sleepFor(8, "orphan")));
    await running("orphan");
    await cluster.kubectl([
      ...["delete", "pod", "-n", "kiln-system", "-l", "app.kubernetes.io/name=kiln"],
      ...["--grace-period=0", "--force"],
    ]);
    const status = await cluster.finished(ns, "orphan");
    assert.equal(reasonOf(status), "Succeeded", JSON.stringify(status.failure));
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
    assert.equal(reasonOf(status), "Succeeded", JSON.stringify(status.failure));
    await cluster.until("the pods to be replaced", async () => {
      const now = await builderPods();
      return now.length > 0 && now.every((name) => !before.includes(name));
    });
    await cluster.apply(ns, aRun("after-edit", "FROM debian:bookworm-slim\nRUN true\n"));
    assert.equal((await cluster.finished(ns, "after-edit")).phase, "Succeeded");
  });

  it("says that its Builder is gone when that is deleted, and no pod stays behind", async () => {
    await cluster.apply(ns, aRun("homeless", sleepFor(600, "homeless"), { retry: { limit: 0 } }));
    await running("homeless");
    await cluster.kubectl(["delete", "builder", "default", "-n", ns, "--timeout=60s"]);
    const status = await cluster.finished(ns, "homeless");
    assert.equal(status.phase, "Failed");
    assert.equal(status.failure?.class, "Builder", status.failure?.message);
    await cluster.until("the pods to go", async () => (await builderPods()).length === 0);
  });
});
