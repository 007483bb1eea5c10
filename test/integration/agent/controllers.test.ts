// Controllers that are killed under running builds: real processes of Kiln, a real API server, a real buildkitd with its
// agent. The test stands in for the kubelet only.

import assert from "node:assert/strict";
import path from "node:path";
import { after, afterEach, before, beforeEach } from "mocha";
import type { BuildRun } from "../../../src/api/v1alpha1/index.ts";
import { builders } from "../../../src/builder/index.ts";
import { leases } from "../../../src/kube/types.ts";
import { type RunningProcess, start } from "../../cluster/base/process.ts";
import { type Buildkitd, repositoryRoot, type Scratch, scratch } from "../../cluster/index.ts";
import { Kiln, kilnImages, kilnNamespace, runningAt, soon, until } from "../builder/kiln.ts";
import { buildRunType } from "../buildrun/kiln.ts";

const count = 10;

describe("ten running builds", function () {
  this.timeout(300_000);
  let kiln: Kiln;
  let place: Scratch;
  let daemon: Pick<Buildkitd, "stop" | "buildctl">;
  let namespace = "";
  let controllers: RunningProcess[] = [];

  before(async () => {
    place = scratch("controllers");
    kiln = await Kiln.start();
    namespace = await kiln.namespace();
    await kiln.builder(namespace, {
      kubernetes: { security: "Privileged" },
      maxConcurrentRuns: count,
    });
    const started = await kiln.daemon(namespace, path.join(place.folder, "daemon"), {});
    ({ daemon } = started);
    await kiln.pod(namespace, "builder-main-a", runningAt(started.address));
    // From here on processes do what the slice in this process did.
    await kiln.halt();
  });
  after(async () => {
    await daemon.stop();
    await kiln.stop();
    place.remove();
  });
  beforeEach(() => (controllers = []));
  afterEach(async () => {
    await Promise.all(controllers.map(async (one) => await one.stop()));
  });

  async function controller(identity: string, ...flags: string[]): Promise<RunningProcess> {
    const running = await start({
      name: `controller-${identity}`,
      folder: place.folder,
      command: [
        process.execPath,
        path.join(repositoryRoot, "src/cli/main.ts"),
        "controller",
        `--kubeconfig=${kiln.plane.kubeconfig}`,
        `--namespace=${kilnNamespace}`,
        `--identity=${identity}`,
        "--probe-address=127.0.0.1:0",
        // With others the pod would be one of an older template, and replaced if it is slow to answer.
        `--buildkit-image=${kilnImages.privileged}`,
        `--agent-image=${kilnImages.agent}`,
        ...flags,
      ],
    });
    controllers.push(running);
    return running;
  }

  async function statusOf(name: string): Promise<NonNullable<BuildRun["status"]>> {
    return (await kiln.client.get(buildRunType, { namespace, name }, soon()))?.status ?? {};
  }

  /** Creates the runs and waits until each has begun its step. */
  async function running(prefix: string, seconds = 40): Promise<string[]> {
    const names = Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
    for (const name of names) {
      const inline = `FROM busybox\nRUN for i in $(seq 1 ${seconds}); do echo ${name} $i; sleep 1; done\n`;
      const spec = { builderRef: { name: "main" }, context: { none: {} }, dockerfile: { inline } };
      await kiln.client.create(
        buildRunType,
        { metadata: { namespace, name }, spec } as never,
        soon(),
      );
    }
    // All are looked at together: on a busy machine the first end while the last are waited for.
    await Promise.all(
      names.map(
        async (name) =>
          await until(
            `${name} to run its step`,
            async () => {
              const status = await statusOf(name);
              if (status.progress?.current?.includes("seq") === true) return true;
              throw new Error(JSON.stringify(status));
            },
            150_000,
          ),
      ),
    );
    return names;
  }

  /** Each succeeded, at its first attempt, and the daemon knows one solve of it. */
  async function succeedOnce(names: readonly string[]): Promise<void> {
    const ended = await Promise.all(
      names.map(
        async (name) =>
          await until(
            `${name} to end`,
            async () => {
              const status = await statusOf(name);
              return status.completionTime === undefined ? undefined : status;
            },
            120_000,
          ),
      ),
    );
    const { stdout } = await daemon.buildctl(["debug", "histories"]);
    for (const [at, status] of ended.entries()) {
      const name = names[at];
      assert.equal(status.phase, "Succeeded", JSON.stringify(status));
      assert.deepEqual(
        status.attempts?.map(({ outcome }) => outcome),
        ["Succeeded"],
        name,
      );
      assert.equal(status.cache?.steps, 2, name);
      const ref = status.attempts?.[0]?.ref ?? "";
      const records = stdout.split("\n").filter((line) => line.split(/\s+/).includes(ref));
      assert.equal(records.length, 1, stdout);
    }
  }

  it("survive that the controller is killed and comes back", async () => {
    const { templateHash } = await kiln.status(namespace);
    const first = await controller("alone", "--no-leader-elect");
    const names = await running("orphan");
    const now = await kiln.status(namespace);
    assert.ok(templateHash !== undefined);
    assert.equal(now.templateHash, templateHash, "the processes make other pods");
    process.kill(first.identity.pid, "SIGKILL");
    await until("its end", async () => (first.running() ? undefined : true));
    await controller("alone-again", "--no-leader-elect");
    await succeedOnce(names);
  });

  it("survive that the leader is killed and another replica takes over", async () => {
    const replicas = new Map([
      ["red", await controller("red")],
      ["blue", await controller("blue")],
    ]);
    const leader = async (): Promise<string | undefined> => {
      const at = { namespace: kilnNamespace, name: "kiln-controller" };
      const holder = (await kiln.client.get(leases, at, soon()))?.spec?.holderIdentity;
      return holder === undefined || holder === "" ? undefined : holder;
    };
    const names = await running("inherited");
    const before = (await leader()) ?? "";
    process.kill(replicas.get(before)?.identity.pid ?? 0, "SIGKILL");
    await until(
      "another leader",
      async () => ((await leader()) === before ? undefined : true),
      60_000,
    );
    await succeedOnce(names);
  });

  it("go back to the queue when their Builder is deleted and their pod stopped", async () => {
    await controller("deleting", "--no-leader-elect");
    const names = await running("homeless", 600);
    await kiln.client.delete(builders, { namespace, name: "main" }, soon());
    // As the kubelet does: the agent is told to end, and then the pod is gone.
    await daemon.stop();
    await kiln.deletePod(namespace, "builder-main-a");
    for (const name of names)
      await until(`${name} to look for a Builder`, async () => {
        const { conditions, attempts } = await statusOf(name);
        const reason = conditions?.find(({ type }) => type === "Stalled")?.reason;
        if (reason !== "BuilderNotFound") throw new Error(JSON.stringify({ conditions, attempts }));
        assert.deepEqual(
          attempts?.map((attempt) => [attempt.outcome, attempt.class]),
          [["Lost", "Builder"]],
        );
        return true;
      });
  });
});
