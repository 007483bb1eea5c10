// kiln buildkit on a real buildkitd: what it tells of the daemon, its cache and its history.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { binary, type Buildkitd, buildkitd, scratch } from "../../cluster/index.ts";
import { kiln } from "./kiln.ts";
import { imageDefinition } from "./llb.ts";

describe("kiln buildkit", () => {
  let daemon: Buildkitd;

  before(async () => {
    daemon = await buildkitd();
  });

  after(async () => {
    await daemon.stop();
  });

  async function answer(...args: string[]): Promise<string> {
    const ended = await kiln(["buildkit", ...args, "--addr", daemon.address]);
    assert.equal(ended.code, 0, ended.stderr);
    return ended.stdout.toString();
  }

  it("tells which BuildKit answers, and of its workers", async () => {
    assert.match(await answer("info"), /^BuildKit: +0\.34\.2$/m);
    const workers = JSON.parse(await answer("workers", "--json")) as {
      id: string;
      platforms: string[];
    }[];
    const [worker] = workers;
    assert.ok(worker?.platforms.includes("linux/amd64") === true);
    assert.ok((await answer("workers")).includes(worker.id));
    assert.equal(await answer("workers", "--filter", "id==none"), "");
  });

  it("finds a daemon through another program, and tells what that said when it fails", async () => {
    const place = scratch("stdio");
    try {
      const script = path.join(place.folder, "docker");
      const dial = `exec ${await binary("buildctl")} --addr ${daemon.address} dial-stdio`;
      writeFileSync(
        script,
        `#!/bin/sh\ntest "$3" = builder || { echo "No such container: $3" >&2; exit 1; }\n${dial}\n`,
        { mode: 0o755 },
      );
      const env = { PATH: `${place.folder}:${process.env["PATH"] ?? ""}` };
      const info = async (name: string) =>
        await kiln(["buildkit", "info", "--addr", `docker-container://${name}`], { env });
      assert.match((await info("builder")).stdout.toString(), /^BuildKit: +0\.34\.2$/m);
      const { code, stderr } = await info("other");
      assert.equal(code, 1);
      assert.match(stderr, /No such container: other/);
    } finally {
      place.remove();
    }
  });

  it("lists builds and what they left in the cache, and removes it", async () => {
    const stdin = imageDefinition("docker-image://docker.io/library/busybox:latest");
    const solve = ["solve", "--addr", daemon.address, "--output", "type=tar,dest=/dev/null"];
    assert.equal((await kiln(solve, { stdin })).code, 0);
    assert.match(await answer("history", "ls", "--limit", "1"), /completed/);
    assert.match(await answer("du"), /busybox[^]*^Total: +[1-9]/m);
    assert.equal(
      await answer("du", "--filter", "type==none"),
      "ID  RECLAIMABLE  SIZE  LAST USED  TYPE  DESCRIPTION\n",
    );
    assert.equal(JSON.parse(await answer("prune", "--keep-duration", "1h", "--json")).length, 0);
    assert.match(await answer("prune"), /busybox[^]*^Total: +[1-9]/m);
    assert.deepEqual(JSON.parse(await answer("du", "--json")), []);
  });

  it("ends with code 2 for amounts that are none", async () => {
    for (const flags of [
      ["--keep-duration", "1"],
      ["--max-used-space", "many"],
    ]) {
      const ended = await kiln(["buildkit", "prune", ...flags, "--addr", daemon.address]);
      assert.equal(ended.code, 2, ended.stderr);
    }
  });
});
