// Does nothing of a test's servers outlive the test, even when it is killed?
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { cgroupsLike } from "../../cluster/base/cgroups.ts";
import { ProcessIdentity, identify, stillRuns } from "../../cluster/base/identity.ts";
import { end, start, waitFor } from "../../cluster/base/process.ts";
import { sweepScratch } from "../../cluster/base/scratch.ts";
import { buildkitd, controlPlane, kubectl, repositoryRoot, scratch } from "../../cluster/index.ts";

const index = path.join(repositoryRoot, "test/cluster/index.ts");

/** A test run of its own that starts a buildkitd and waits. */
const victim = `
import { buildkitd } from ${JSON.stringify(index)};
const daemon = await buildkitd();
console.log(JSON.stringify({ identity: daemon.process.identity, folder: daemon.root + "/.." }));
await new Promise(() => setInterval(() => undefined, 1000));
`;

async function firstLine(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout !== null);
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error("the child ended without a line");
}

/** True when a process with this text as part of an argument to a shell runs. */
function runningStep(mark: string): true | undefined {
  const found = readdirSync("/proc").some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`sleep 600; : ${mark}`);
    } catch {
      return false;
    }
  });
  return found ? true : undefined;
}

describe("servers of a test", function () {
  this.timeout(180_000);

  it("die with a test that is killed, and the next test removes their folder", async () => {
    const args = ["--input-type=module-typescript", "-e", victim];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const told: { identity: unknown; folder: string } = JSON.parse(await firstLine(child));
    const identity = ProcessIdentity.parse(told.identity);
    const folder = path.resolve(told.folder);
    assert.ok(stillRuns(identity));
    child.kill("SIGKILL");
    await waitFor("the end of buildkitd", async () => (stillRuns(identity) ? undefined : true), {
      deadlineMs: 10_000,
    });
    await waitFor("the end of the test", async () => child.signalCode ?? undefined, {
      deadlineMs: 5_000,
    });
    sweepScratch();
    assert.equal(existsSync(folder), false);
    assert.equal(readFileSync("/proc/self/mounts", "utf8").includes(folder), false);
  });

  it("a record whose process id was reused ends nobody", async () => {
    const place = scratch("reuse");
    const running = await start({ name: "sleep", folder: place.folder, command: ["sleep", "600"] });
    try {
      await end({ ...running.identity, startTime: "1" });
      assert.ok(running.running());
    } finally {
      await running.stop();
      place.remove();
    }
    assert.equal(identify(running.identity.pid), undefined);
  });

  it("a control plane answers kubectl, and stop leaves no process and no folder", async () => {
    const plane = await controlPlane();
    const { stdout, code } = await kubectl(plane.kubeconfig, ["get", "namespaces", "-o", "name"]);
    await plane.stop();
    assert.equal(code, 0);
    assert.match(stdout, /namespace\/default/);
    assert.ok(plane.processes.every((one) => !one.running()));
    assert.equal(existsSync(plane.folder), false);
  });

  it("stop in the middle of a build ends the build's processes too", async () => {
    const daemon = await buildkitd();
    const place = scratch("context");
    try {
      const dockerfile = path.join(place.folder, "Dockerfile");
      // The comment after the command keeps the shell, and with it the mark, in the process list.
      writeFileSync(dockerfile, `FROM busybox\nRUN sleep 600; : ${place.id}\n`);
      const local = ["--local", `context=${place.folder}`, "--local", `dockerfile=${place.folder}`];
      const build = daemon
        .buildctl(["build", "--progress=plain", "--frontend=dockerfile.v0", ...local])
        .then(() => "built")
        .catch(() => "ended");
      await waitFor("a running step", async () => runningStep(place.id), {
        deadlineMs: 30_000,
        processes: [daemon.process],
      });
      await daemon.stop();
      assert.equal(await build, "ended");
      assert.equal(runningStep(place.id), undefined);
      assert.equal(existsSync(daemon.root), false);
      assert.deepEqual(cgroupsLike(path.basename(path.dirname(daemon.root))), []);
    } finally {
      await daemon.stop();
      place.remove();
    }
  });
});
