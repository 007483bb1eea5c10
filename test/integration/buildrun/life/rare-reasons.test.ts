// Reasons that need a part of one's own, each provoked for real through a whole run: a daemon on a
// small disk, a registry that nobody vouches for, frontends that fail, find fault or ask for signatures, broken caches.

import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { InProcessAgent } from "../../../../src/agent/in-process.ts";
import { RemoteAgent } from "../../../../src/agent/wire/remote.ts";
import { connect, parseEndpoint } from "../../../../src/buildkit/index.ts";
import { rootLogger } from "../../../../src/log.ts";
import {
  binary,
  buildkitd,
  type GitServer,
  gitServer,
  type Registry,
  registry,
} from "../../../cluster/index.ts";
import { aDaemon, builderOf, failsAs, image, inline, secret, succeeds } from "../daemon.ts";
import { instanceAt } from "../fleet.ts";
import { type FrontendContext, frontendContext } from "../frontend-context.ts";
import { startKiln } from "../kiln.ts";
import { outerAddress } from "../outer-address.ts";

describe("rare reasons of a run", () => {
  let distrusted: Registry;
  let git: GitServer;
  let frontend: FrontendContext;
  let folder: string;
  const daemon = aDaemon();
  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), "kiln-rare-"));
    [distrusted, git, frontend] = await Promise.all([
      registry({ tls: true, address: outerAddress() }),
      gitServer(),
      frontendContext(),
    ]);
    await git.commit("unsigned", { "a.txt": "a" });
  });
  after(async () => {
    await Promise.all([distrusted.stop(), git.stop(), frontend.stop()]);
    await rm(folder, { recursive: true });
  });

  const atOnce = { retry: { limit: 0 } };
  const toBucket = (kind: "local" | "tar") => ({
    outputs: [
      {
        [kind]: {
          to: {
            s3: {
              bucket: "nowhere",
              region: "none",
              endpoint: "http://127.0.0.1:9",
              key: "x",
              credentials: { secretRef: { name: "bucket" } },
            },
          },
        },
      },
    ],
    ...atOnce,
  });

  const failures: readonly (readonly [string, string, () => Record<string, unknown>])[] = [
    ["User", "BuildFailed", () => inline("FROM busybox\nRUN echo a > /a\nWORKDIR /a/b\n")],
    ["Infra", "BucketUnavailable", () => inline("FROM busybox\n", toBucket("tar"))],
    [
      "User",
      "OutputTooLarge",
      () =>
        inline(
          "FROM busybox AS b\nRUN mkdir /o && cd /o && seq 4001 | xargs touch\nFROM scratch\nCOPY --from=b /o /\n",
          {
            outputs: [
              {
                local: {
                  to: { artifact: { ref: `${daemon.registry.host}/many:1`, insecure: true } },
                },
              },
            ],
          },
        ),
    ],
    [
      "Registry",
      "RegistryTlsFailed",
      () =>
        inline("FROM busybox\n", { outputs: [{ image: { tags: [`${distrusted.host}/a:1`] } }] }),
    ],
  ];
  for (const [owner, why, spec] of failures)
    it(`are ${why} of class ${owner}`, async () => {
      await secret(daemon, "bucket", { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" });
      await failsAs(daemon, spec(), [owner, why]);
    });

  it("are FrontendFailed, CallFailed and SignatureInvalid, by what a frontend does", async () => {
    const nothing = 'FROM busybox\nENTRYPOINT ["/bin/true"]\n';
    await succeeds(daemon, inline(nothing, image(daemon, "silent:1")));
    const silent = { frontend: { image: `${daemon.registry.host}/silent:1` } };
    await failsAs(daemon, inline("any", silent), ["User", "FrontendFailed"]);

    await succeeds(daemon, {
      context: { http: { url: frontend.url } },
      dockerfile: { path: "Dockerfile" },
      ...image(daemon, "frontend:1"),
    });
    const ours = { frontend: { image: `${daemon.registry.host}/frontend:1` } };
    const recipe = (text: string, more: object) => ({
      context: { inline: { files: [{ path: "recipe.txt", text }] } },
      dockerfile: { path: "recipe.txt" },
      ...ours,
      ...more,
    });
    const outline = recipe("web\n", { call: "outline" });
    const asked = await failsAs(daemon, outline, ["User", "CallFailed"]);
    assert.equal(asked.call?.statusCode, 2);

    const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBTcx2Bdo4s3Ye8gVgPSb0lEyYj3ijJQKdhxWkKKwM8v";
    const spec = recipe(`${git.url("unsigned")}\n${key}\n`, { target: "signed" });
    await failsAs(daemon, spec, ["Source", "SignatureInvalid"]);
  });

  it("are NotForEngine for what an engine with the older image store cannot do", async () => {
    const endpoint = parseEndpoint(daemon.buildkitd.address);
    const engine = { containerdStore: false };
    daemon.fleet.set(builderOf(daemon), { instances: [instanceAt(endpoint, { engine })] });
    const pushing = inline("FROM busybox\n", image(daemon, "engine:1"));
    await failsAs(daemon, pushing, ["User", "NotForEngine"]);
  });

  it("are DiskFull where the daemon's disk is", async () => {
    const program = path.join(folder, "buildkitd-on-a-small-disk");
    const lines = [
      "#!/bin/sh",
      'for a; do [ "$last" = --root ] && root=$a; last=$a; done',
      'mount -t tmpfs -o size=24m none "$root"',
      `exec ${await binary("buildkitd")} "$@"`,
      "",
    ];
    await writeFile(program, lines.join("\n"));
    await chmod(program, 0o755);
    const small = await buildkitd({ program });
    try {
      const endpoint = parseEndpoint(small.address);
      daemon.fleet.set(builderOf(daemon), { instances: [instanceAt(endpoint)] });
      const large = "x".repeat(900_000);
      const files = Object.fromEntries(
        Array.from({ length: 40 }, (_, index) => [`${index}.txt`, large]),
      );
      await git.commit("large", { ...files, Dockerfile: "FROM busybox\nCOPY . /c\n" });
      const spec = {
        context: { git: { url: git.url("large") } },
        dockerfile: { path: "Dockerfile" },
        ...atOnce,
      };
      await failsAs(daemon, spec, ["Builder", "DiskFull"]);
    } finally {
      await small.stop();
    }
  });

  /** From now on this agent does the work. */
  async function workBy(agent: InProcessAgent): Promise<void> {
    await daemon.kiln.stop();
    await daemon.agent.stop();
    daemon.agent = agent;
    daemon.kiln = await startKiln(daemon);
  }

  it("are OciLayoutInvalid, OciLayoutLocked and Unexpected for a local cache that is broken", async () => {
    const caches = path.join(folder, "caches");
    const of = path.join(caches, daemon.namespace);
    await mkdir(path.join(of, "broken"), { recursive: true });
    await writeFile(path.join(of, "broken", "index.json"), "{");
    await mkdir(path.join(of, "locked"));
    await writeFile(path.join(of, "locked", ".kiln-index-lock"), "");
    await writeFile(path.join(of, "file"), "");
    await workBy(new InProcessAgent({ log: rootLogger("error"), connect, caches }));
    const cache = (list: "from" | "to", name: string) =>
      inline("FROM busybox\nRUN true\n", { cache: { [list]: [{ local: { name } }] }, ...atOnce });
    await failsAs(daemon, cache("from", "broken"), ["User", "OciLayoutInvalid"]);
    await failsAs(daemon, cache("to", "locked"), ["Infra", "OciLayoutLocked"]);
    await failsAs(daemon, cache("to", "file"), ["Infra", "Unexpected"]);
  });

  it("are AttemptLost when no agent answers, which the log calls AgentUnreachable", async () => {
    await daemon.kiln.stop();
    const agent = new RemoteAgent({ kind: "tcp", host: "127.0.0.1", port: 9 });
    daemon.kiln = await startKiln({ ...daemon, agent, limits: { recallGraceMs: 500 } });
    await failsAs(daemon, inline("FROM busybox\n", atOnce), ["Builder", "AttemptLost"]);
    assert.match(daemon.kiln.log(), /AgentUnreachable/);
    agent.close();
  });
});
