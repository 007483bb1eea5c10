// Does `up` work after the tool was killed in the middle of it, does a pod run, and does `down` leave
// nothing: no process, link, rule, control group, mount or folder?
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { recorded, waitFor } from "../../cluster/base/process.ts";
import { kubectl, repositoryRoot } from "../../cluster/index.ts";
import { down, isUp, up } from "../../cluster/node/cluster.ts";
import { networkOf } from "../../cluster/node/network.ts";
import { readState } from "../../cluster/node/state.ts";

const run = promisify(execFile);
const program = path.join(repositoryRoot, "test/cluster/main.ts");

function processesOf(folder: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(folder);
    } catch {
      return false;
    }
  });
}

async function traces(folder: string, link: string): Promise<string[]> {
  const rules = (await run("iptables-save")).stdout
    .split("\n")
    .filter((rule) => rule.includes(link));
  const links = readdirSync("/sys/class/net").filter((name) => name === link);
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .filter((mount) => mount.includes(folder));
  const groups = readdirSync("/sys/fs/cgroup")
    .map((hierarchy) => path.join("/sys/fs/cgroup", hierarchy, link))
    .filter((group) => existsSync(group));
  const left = existsSync(folder) ? [folder] : [];
  return [...rules, ...links, ...mounts, ...groups, ...left, ...processesOf(folder)];
}

describe("the whole cluster", function () {
  this.timeout(300_000);
  const folder = path.join(mkdtempSync(path.join(os.tmpdir(), "kiln-whole-")), "state");
  let link = "";

  after(async () => {
    await down(folder);
    rmSync(path.dirname(folder), { recursive: true, force: true });
  });

  it("the tool can be killed while it starts the cluster", async () => {
    const env = { ...process.env, KILN_STATE: folder };
    const tool = spawn(process.execPath, [program, "up"], { env, stdio: "ignore" });
    await waitFor("a kubelet", async () => recorded(folder, "kubelet"), { deadlineMs: 120_000 });
    tool.kill("SIGKILL");
    assert.equal(isUp(folder), false);
    link = networkOf(readState(folder)?.octet ?? 0).link;
  });

  it("the next up works, and a pod runs", async () => {
    await up(folder);
    assert.ok(isUp(folder));
    const config = path.join(folder, "kubeconfig");
    const pod = ["run", "hello", "--image=busybox", "--restart=Never", "--", "echo", "hello"];
    assert.equal((await kubectl(config, pod)).code, 0);
    const finished = "--for=jsonpath={.status.phase}=Succeeded";
    await kubectl(config, ["wait", finished, "pod/hello", "--timeout=60s"], { timeoutMs: 70_000 });
    assert.equal((await kubectl(config, ["logs", "hello"])).stdout, "hello\n");
  });

  it("down leaves nothing", async () => {
    const now = networkOf(readState(folder)?.octet ?? 0).link;
    assert.ok((await traces(folder, now)).length > 0);
    await down(folder);
    assert.deepEqual(await traces(folder, now), []);
    assert.deepEqual(await traces(folder, link), []);
  });
});
