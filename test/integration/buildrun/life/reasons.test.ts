// Reasons that other suites do not come across, each provoked for real through a whole run: waits, what is wrong before a
// build, git servers, registries, and a registry that shows something else than was pushed.

import assert from "node:assert/strict";
import http from "node:http";
import { parseEndpoint } from "../../../../src/buildkit/index.ts";
import type { BuildRun } from "../../../../src/api/v1alpha1/index.ts";
import {
  type GitServer,
  gitServer,
  type Registry,
  registry,
  serve,
} from "../../../cluster/index.ts";
import {
  aDaemon,
  builderOf,
  failsAs,
  image,
  inline,
  pushed,
  secret,
  start,
  succeeds,
} from "../daemon.ts";
import { instanceAt } from "../fleet.ts";
import { ends, reaches, reason } from "../kiln.ts";

/** Stands in front of a registry and shows, under the tag `1`, what the tag `other` has. */
async function forgetful() {
  let target = "";
  const { host, stop } = await serve((request, response) => {
    const isRead = request.method === "GET" || request.method === "HEAD";
    const path = (request.url ?? "").replace(/\/manifests\/1$/, isRead ? "/manifests/other" : "$&");
    const { method, headers } = request;
    const sent = http.request(`${target}${path}`, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    sent.on("error", () => response.destroy());
    request.pipe(sent);
  });
  return { host, stop, behind: (url: string) => void (target = url) };
}

describe("reasons of a run", () => {
  let odd: Awaited<ReturnType<typeof forgetful>>;
  let secure: Registry;
  let git: GitServer;
  const daemon = aDaemon({
    insecure: async () => {
      odd = await forgetful();
      return [odd.host];
    },
  });
  before(async () => {
    odd.behind(daemon.registry.url);
    [secure, git] = await Promise.all([registry({ tls: true }), gitServer()]);
    await git.commit("there", { Dockerfile: "FROM busybox\n" });
  });
  after(async () => {
    await Promise.all([odd.stop(), secure.stop(), git.stop()]);
  });

  const fromGit = (name: string, more: Record<string, unknown> = {}) => ({
    context: { git: { url: git.url(name), ...more } },
    dockerfile: { path: "Dockerfile" },
  });
  const slow = () => inline("FROM busybox\nRUN sleep 3\n", { noCache: true });
  const atOnce = { retry: { limit: 0 } };

  const failures: readonly (readonly [string, string, () => Record<string, unknown>])[] = [
    ["User", "InvalidContext", () => fromGit("there", { revision: "main.lock" })],
    ["Source", "GitRepositoryNotFound", () => fromGit("none")],
    ["Source", "GitRevisionNotFound", () => fromGit("there", { revision: "none" })],
    [
      "Source",
      "GitUnreachable",
      () => ({ ...fromGit("there"), context: { git: { url: "http://127.0.0.1:9/a.git" } } }),
    ],
    [
      "Registry",
      "RegistryRefused",
      () => inline("FROM busybox\n", { outputs: [{ image: { tags: [`${secure.host}/a:1`] } }] }),
    ],
    [
      "Registry",
      "RegistryUnreachable",
      () =>
        inline("FROM busybox\n", {
          outputs: [{ image: { tags: ["127.0.0.1:9/a:1"] } }],
          ...atOnce,
        }),
    ],
    [
      "User",
      "SecretTooLarge",
      () =>
        inline("FROM busybox\n", {
          secrets: [{ id: "x", secretKeyRef: { name: "large", key: "x" } }],
        }),
    ],
    [
      "User",
      "SshKeyInvalid",
      () => inline("FROM busybox\n", { ssh: [{ secretRef: { name: "no-key" } }] }),
    ],
  ];
  for (const [owner, why, spec] of failures)
    it(`are ${why} of class ${owner}`, async () => {
      await secret(daemon, "large", { x: "x".repeat(600 * 1024) });
      await secret(daemon, "no-key", { "ssh-privatekey": "no key" }, "kubernetes.io/ssh-auth");
      const { attempts } = await failsAs(daemon, spec(), [owner, why]);
      assert.ok((attempts?.length ?? 0) <= 1);
    });

  it("are PushedTagDiffers when the registry shows another digest, and the attempts say so", async () => {
    const name = "forgotten";
    await succeeds(
      daemon,
      inline("FROM busybox\nRUN echo other > /o\n", image(daemon, `${name}:other`)),
    );
    const own = inline("FROM busybox\nRUN echo own > /o\n", {
      outputs: [{ image: { tags: [`${odd.host}/${name}:1`] } }],
      retry: { limit: 1 },
    });
    const status = await failsAs(daemon, own, ["Registry", "PushedTagDiffers"]);
    assert.deepEqual(
      status.attempts?.map(({ outcome, class: owner, reason: why }) => [outcome, owner, why]),
      Array(2).fill(["Failed", "Registry", "PushedTagDiffers"]),
    );
    const { digest } = await pushed(daemon, name, "other");
    const shown = status.outputs?.[0]?.image?.readBack?.[0];
    assert.equal(shown?.digest, digest);
  });

  it("are those of attempts, with a pause between them: 1 s, then 2 s", async () => {
    const spec = inline("FROM busybox\n", {
      outputs: [{ image: { tags: ["127.0.0.1:9/a:1"] } }],
      retry: { limit: 2 },
    });
    const started = await start(daemon, spec);
    await reaches(daemon.server, started, "backing off", (now) =>
      ["BackingOff", "Retrying"].includes(reason(now, "Reconciling") ?? ""),
    );
    const { status } = await ends(daemon.server, started);
    assert.deepEqual(
      status?.attempts?.map(({ number, reason: why }) => [number, why]),
      [1, 2, 3].map((number) => [number, "RegistryUnreachable"]),
    );
    const pauses = status?.attempts?.slice(1).map(({ startedAt }, index) => {
      const before = status.attempts?.[index]?.finishedAt ?? "";
      return Date.parse(startedAt) - Date.parse(before);
    });
    assert.ok((pauses?.[0] ?? 0) >= 1_000 && (pauses?.[1] ?? 0) >= 2_000, JSON.stringify(pauses));
  });

  const waits: readonly (readonly [string, () => void])[] = [
    [
      "BuilderNotReady",
      () => {
        const notReady = { reason: "PodsPending", message: "No pod is there." };
        daemon.fleet.set(builderOf(daemon), { instances: [], notReady });
      },
    ],
    ["NoInstance", () => daemon.fleet.set(builderOf(daemon), { instances: [] })],
    ["NoReadyInstance", () => setInstance({ ready: false })],
  ];

  function setInstance(over: Parameters<typeof instanceAt>[1]): void {
    const endpoint = parseEndpoint(daemon.buildkitd.address);
    daemon.fleet.set(builderOf(daemon), { instances: [instanceAt(endpoint, over)] });
  }

  for (const [why, make] of waits)
    it(`are ${why} while it waits, and the wait is counted as the builder's start`, async () => {
      make();
      const started = await start(daemon, inline("FROM busybox\n"));
      const waiting = await reaches(
        daemon.server,
        started,
        why,
        (now) => reason(now, "Reconciling") === why,
      );
      assert.equal(waiting.status?.queue?.reason, why);
      setInstance({});
      const { status } = await ends(daemon.server, started);
      assert.equal(status?.phase, "Succeeded", JSON.stringify(status?.failure));
      assert.ok((status.timings?.builderStartMs ?? -1) >= 0, JSON.stringify(status.timings));
    });

  it("are NoFreeSlot and NotNext while others are first", async () => {
    setInstance({ capacity: 1 });
    const runs: BuildRun[] = [];
    for (let i = 0; i < 2; i++) runs.push(await start(daemon, slow()));
    const [first, second] = runs;
    assert.ok(first !== undefined && second !== undefined);
    const waits = (run: BuildRun, ...whys: string[]) =>
      reaches(daemon.server, run, whys.join(" or "), ({ status }) =>
        whys.includes(status?.queue?.reason ?? ""),
      );
    await waits(second, "NoFreeSlot", "NotNext");
    for (const run of runs) await ends(daemon.server, run);
  });
});
