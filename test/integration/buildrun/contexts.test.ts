// Contexts that depend on something else: another run's image, a login for an archive, values kept in the cluster, what
// is left out.

import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { type GitServer, gitServer } from "../../cluster/index.ts";
import {
  aDaemon,
  build,
  configMap,
  configOf,
  image,
  inline,
  pushed,
  secret,
  succeeds,
} from "./daemon.ts";
import { aRunOf, create, ends, reaches, reason } from "./kiln.ts";

const run = promisify(execFile);

/** A server of one archive that wants a login. */
async function archiveServer(authorization: string) {
  const folder = await mkdtemp(path.join(os.tmpdir(), "kiln-contexts-"));
  await writeFile(path.join(folder, "Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n");
  const file = path.join(folder, "context.tar");
  await run("tar", ["-cf", file, "-C", folder, "Dockerfile"]);
  const archive = await readFile(file);
  await rm(folder, { recursive: true });
  const server = http.createServer((request, response) => {
    if (request.headers.authorization === authorization) response.end(archive);
    else response.writeHead(401).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/context.tar`;
  const stop = () => new Promise((resolve) => server.close(resolve));
  return { url, stop };
}

describe("the contexts of a run", () => {
  let git: GitServer;
  const daemon = aDaemon();
  before(async () => (git = await gitServer()));
  after(async () => await git.stop());

  const start = async (name: string, spec: Record<string, unknown>) =>
    await create(
      daemon.server,
      aRunOf(daemon.namespace, name, { serviceAccountName: "reader", ...spec }),
    );
  const uses = (name: string) =>
    inline("FROM base\nRUN cat /made > /again\n", {
      buildContexts: [{ name: "base", buildRun: { name } }],
    });

  it("are the image of another run, which is waited for and used by digest", async () => {
    const second = await start("second", { ...uses("first"), ...image(daemon, "second:1") });
    await reaches(
      daemon.server,
      second,
      "stalled",
      (r) => reason(r, "Stalled") === "BuildRunNotFound",
    );
    const slow = inline(
      "FROM busybox\nRUN sleep 2 && echo first > /made\n",
      image(daemon, "first:1"),
    );
    const first = await start("first", slow);
    const waiting = await reaches(
      daemon.server,
      second,
      "waiting",
      (r) => reason(r, "Reconciling") === "WaitingForBuildRun",
    );
    const told = waiting.status?.conditions?.find(({ type }) => type === "Reconciling");
    assert.match(told?.message ?? "", /BuildRun "first"/);
    const { status } = await ends(daemon.server, second);
    assert.equal(status?.phase, "Succeeded", JSON.stringify(status?.failure));
    const digest = (await ends(daemon.server, first)).status?.outputs?.[0]?.image?.digest;
    assert.ok(
      status?.baseImages?.some((base) => base.digest === digest),
      JSON.stringify(status),
    );
  });

  it("fail with the other run, or when it has no image, or in a circle", async () => {
    await ends(daemon.server, await start("bad", inline("FROM busybox\nRUN false\n")));
    const cases = [
      ["bad", "BuildRunFailed"],
      ["none", "BuildRunWithoutImage"],
    ] as const;
    await ends(daemon.server, await start("none", inline("FROM busybox\n")));
    for (const [name, expected] of cases)
      assert.equal((await build(daemon, uses(name))).failure?.reason, expected);
    const [a, b] = [await start("a", uses("b")), await start("b", uses("a"))];
    const reasons = [await ends(daemon.server, a), await ends(daemon.server, b)].map((r) =>
      reason(r),
    );
    assert.ok(reasons.includes("BuildRunCircle"), String(reasons));
  });

  it("are archives behind a login", async () => {
    const basic = `Basic ${Buffer.from("kiln:archive-password").toString("base64")}`;
    for (const [data, header] of [
      [{ token: "archive-token" }, "Bearer archive-token"],
      [{ username: "kiln", password: "archive-password" }, basic],
    ] as const) {
      const server = await archiveServer(header);
      const name = `archive-${Object.keys(data)[0]}`;
      await secret(daemon, name, data);
      const context = (more: object) => ({
        context: { http: { url: server.url, ...more } },
        dockerfile: { path: "Dockerfile" },
      });
      assert.equal((await build(daemon, context({}))).phase, "Failed");
      await succeeds(daemon, context({ credentials: { secretRef: { name } } }));
      await server.stop();
    }
  });

  it("are a commit that is fetched itself", async () => {
    const checksum = await git.commit("moved", { Dockerfile: "FROM busybox\nRUN true\n" });
    await git.commit("moved", { Dockerfile: "FROM nowhere\n" });
    const where = { url: git.url("moved"), checksum, fetchByCommit: true };
    await succeeds(daemon, { context: { git: where }, dockerfile: { path: "Dockerfile" } });
  });

  it("leave out what .dockerignore of the Dockerfile says", async () => {
    const check = (kept: string, left: string) =>
      `FROM busybox\nCOPY . /c\nRUN test -e /c/${kept} && test ! -e /c/${left}\n`;
    const files = [
      { path: "Dockerfile", text: check("a", "b") },
      { path: ".dockerignore", text: "b\n" },
      { path: "other/D", text: check("b", "a") },
      { path: "other/D.dockerignore", text: "a\n" },
      { path: "a", text: "a" },
      { path: "b", text: "b" },
    ];
    for (const file of ["Dockerfile", "other/D"])
      await succeeds(daemon, { context: { inline: { files } }, dockerfile: { path: file } });
    await configMap(daemon, "dockerfiles", {
      web: check("b", "a"),
      "web.dockerignore": "a\n",
    });
    const dockerfile = { configMap: { name: "dockerfiles", key: "web" } };
    await succeeds(daemon, { context: { inline: { files } }, dockerfile });
  });

  it("are built with values that are kept in the cluster, and shown nowhere else", async () => {
    await configMap(daemon, "settings", { version: "1.2.3" });
    await secret(daemon, "licence", { key: "licence-canary" });
    const buildArgs = [
      { name: "VERSION", valueFrom: { configMapKeyRef: { name: "settings", key: "version" } } },
      { name: "LICENCE", valueFrom: { secretKeyRef: { name: "licence", key: "key" } } },
    ];
    const dockerfile =
      'FROM busybox\nARG VERSION\nARG LICENCE\nRUN test "$LICENCE" = licence-canary && echo $LICENCE\nLABEL version=$VERSION\n';
    const status = await succeeds(
      daemon,
      inline(dockerfile, { buildArgs, ...image(daemon, "values:1") }),
    );
    const { manifest } = await pushed(daemon, "values", "1");
    const { config } = await configOf(daemon, "values", manifest.config?.digest ?? "");
    assert.equal(config.Labels?.["version"], "1.2.3");
    assert.equal(JSON.stringify(status).includes("licence-canary"), false);
    const missing = {
      name: "X",
      valueFrom: { configMapKeyRef: { name: "settings", key: "none" } },
    };
    const { failure } = await build(daemon, inline(dockerfile, { buildArgs: [missing] }));
    assert.deepEqual([failure?.class, failure?.reason], ["User", "ConfigMapKeyNotFound"]);
  });
});
