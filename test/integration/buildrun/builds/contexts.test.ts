// Contexts that depend on something else: another run's image, a login for an archive, values kept in the cluster, what
// is left out.

import assert from "node:assert/strict";
import { promisify } from "node:util";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { type GitServer, gitServer, serve } from "../../../cluster/index.ts";
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
} from "../daemon.ts";
import { aRunOf, create, ends, reaches, reason } from "../kiln.ts";

const run = promisify(execFile);

/** A server of one archive that wants a login. */
async function archiveServer(authorization: string) {
  const folder = await mkdtemp(path.join(os.tmpdir(), "kiln-contexts-"));
  await writeFile(path.join(folder, "Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n");
  const file = path.join(folder, "context.tar");
  await run("tar", ["-cf", file, "-C", folder, "Dockerfile"]);
  const archive = await readFile(file);
  await rm(folder, { recursive: true });
  const { url, stop } = await serve((request, response) => {
    if (request.headers.authorization === authorization) response.end(archive);
    else response.writeHead(401).end();
  });
  return { url: `${url}/context.tar`, stop };
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

  describe("in a registry", () => {
    const base = "FROM busybox\nRUN mkdir /web && echo from-the-base > /web/page\n";
    const check = "RUN grep -qx from-the-base /page\n";
    const dockerfile = `FROM busybox\nCOPY web/page /page\n${check}`;

    it("are an image as the main context, with the Dockerfile in it or beside it", async () => {
      const text = `${base}RUN printf '${dockerfile.replaceAll("\n", "\\n")}' > /Dockerfile\n`;
      await succeeds(daemon, inline(text, image(daemon, "main-base:1")));
      const context = { image: `${daemon.registry.host}/main-base:1` };
      await succeeds(daemon, { context });
      const { failure } = await build(daemon, { context, dockerfile: { path: "none" } });
      assert.equal(failure?.class, "User", failure?.message);
      const beside = { inline: `${dockerfile}RUN test ! -e /web\n` };
      await succeeds(daemon, { context, dockerfile: beside });
    });

    it("are an OCI layout in an archive, as main and as named context", async () => {
      const ref = `${daemon.registry.host}/layout:1`;
      const to = { artifact: { ref, insecure: true } };
      await succeeds(daemon, inline(base, { outputs: [{ oci: { to } }] }));
      const artifact = { ref, insecure: true };
      await succeeds(daemon, { context: { artifact }, dockerfile: { inline: dockerfile } });
      const named = `FROM base\nCOPY --from=base /web/page /page\n${check}`;
      await succeeds(daemon, inline(named, { buildContexts: [{ name: "base", artifact }] }));
    });

    it("are an image of several platforms that the agent lends", async () => {
      const spec = {
        context: {
          inline: { files: [{ path: "Dockerfile", text: "FROM scratch\nCOPY . /web/\n" }] },
        },
        dockerfile: { path: "Dockerfile" },
        platforms: ["linux/amd64", "linux/arm64"],
      };
      await succeeds(daemon, { ...spec, ...image(daemon, "lent:1") });
      const artifact = { ref: `${daemon.registry.host}/lent:1`, insecure: true };
      const text =
        "FROM busybox\nCOPY --from=lent /web /web\nRUN grep -q scratch /web/Dockerfile\n";
      await succeeds(daemon, inline(text, { buildContexts: [{ name: "lent", artifact }] }));
    });

    it("are refused when they are neither an image nor a layout", async () => {
      const ref = `${daemon.registry.host}/plain-files:1`;
      const to = { artifact: { ref, insecure: true } };
      await succeeds(daemon, inline(base, { outputs: [{ local: { to } }] }));
      const spec = { buildContexts: [{ name: "base", artifact: { ref, insecure: true } }] };
      const { failure } = await build(daemon, inline("FROM base\n", spec));
      assert.deepEqual([failure?.class, failure?.reason], ["User", "ArtifactNotAnImage"]);
    });
  });

  describe("with the Dockerfile in another context", () => {
    const main = {
      context: {
        inline: {
          files: [
            { path: "page", text: "from-the-main\n" },
            { path: "left-out", text: "" },
          ],
        },
      },
    };
    const dockerfile = "FROM busybox\nCOPY . /all/\nRUN grep -x from-the-main /all/page\n";
    const ignoring = `${dockerfile}RUN test ! -e /all/left-out\n`;
    const kinds: readonly (readonly [string, () => Promise<object>, string])[] = [
      [
        "a git repository",
        async () => {
          await git.commit("tools", {
            "docker/Dockerfile": ignoring,
            "docker/Dockerfile.dockerignore": "left-out\n",
          });
          return { git: { url: git.url("tools") } };
        },
        "docker/Dockerfile",
      ],
      [
        "files of the run",
        () => {
          const files = [{ path: "docker/Dockerfile", text: dockerfile }];
          return Promise.resolve({ inline: { files } });
        },
        "docker/Dockerfile",
      ],
      [
        "an image",
        async () => {
          const text = `FROM busybox\nRUN printf '${dockerfile.replaceAll("\n", "\\n")}' > /Dockerfile\n`;
          await succeeds(daemon, inline(text, image(daemon, "tools:1")));
          return { image: `${daemon.registry.host}/tools:1` };
        },
        "Dockerfile",
      ],
    ];
    for (const [what, make, at] of kinds)
      it(`build with that of ${what}`, async () => {
        const buildContexts = [{ name: "tools", ...(await make()) }];
        const from = { buildContext: { name: "tools", path: at } };
        await succeeds(daemon, { ...main, buildContexts, dockerfile: from });
      });

    it("build with one that is fetched by itself, from a git context too", async () => {
      const server = await serve((_, response) => void response.end(dockerfile));
      try {
        await git.commit("pages", { page: "from-the-main\n" });
        const url = `${server.url}/some.Dockerfile`;
        await succeeds(daemon, {
          context: { git: { url: git.url("pages") } },
          buildContexts: [{ name: "tools", http: { url } }],
          dockerfile: { buildContext: { name: "tools" } },
        });
      } finally {
        await server.stop();
      }
    });

    it("are refused when that context is not there", async () => {
      const spec = { ...main, dockerfile: { buildContext: { name: "nowhere" } } };
      const { failure } = await build(daemon, spec);
      assert.deepEqual([failure?.class, failure?.reason], ["User", "InvalidContext"]);
    });
  });
});
