// What goes wrong in a build, provoked on a real buildkitd: class, reason, place, exit code and last words.

import assert from "node:assert/strict";
import { type Registry, registry } from "../../../cluster/index.ts";
import { aDaemon, build, image, inline, secret, solving, start, succeeds } from "../daemon.ts";
import { cancel, ends, reaches, reason, remove, current, until } from "../kiln.ts";

describe("a failing run on a real buildkitd", () => {
  let locked: Registry;
  const daemon = aDaemon({
    insecure: async () => {
      locked = await registry({ auth: { user: "kiln", password: "registry-c4n4ry" } });
      return [locked.host];
    },
  });
  after(async () => await locked.stop());

  const cases: readonly (readonly [
    string,
    () => Record<string, unknown>,
    Record<string, unknown>,
  ])[] = [
    [
      "a step's exit code, line and last words",
      () => inline("FROM busybox\nRUN echo 'the last words' && exit 7\n"),
      {
        class: "User",
        reason: "StepFailed",
        exitCode: 7,
        dockerfile: { path: "Dockerfile", line: 2 },
      },
    ],
    [
      "a Dockerfile that does not parse",
      () => inline("FROM busybox\nFRMO scratch\n"),
      { class: "User", reason: "DockerfileInvalid", dockerfile: { line: 2 } },
    ],
    [
      "a target that does not exist",
      () => inline("FROM busybox AS a\n", { target: "b" }),
      { class: "User", reason: "UnknownTarget" },
    ],
    [
      "a file that the context does not have",
      () => inline("FROM busybox\nCOPY none /\n"),
      { class: "User", reason: "ContextFileNotFound" },
    ],
    [
      "a secret that the run does not give",
      () => inline("FROM busybox\nRUN --mount=type=secret,id=x,required=true true\n"),
      { class: "User", reason: "SecretMissing" },
    ],
    [
      "a base image that does not exist",
      () => inline("FROM busybox:no-such-tag\n"),
      { class: "Registry", reason: "ImageNotFound" },
    ],
    [
      "a git server that does not answer",
      () => ({
        context: { git: { url: "http://127.0.0.1:9/none.git" } },
        dockerfile: { path: "Dockerfile" },
      }),
      { class: "Source" },
    ],
    [
      "a registry that wants a password",
      () => inline("FROM busybox\n", { outputs: [{ image: { tags: [`${locked.host}/web:1`] } }] }),
      { class: "Registry", reason: "RegistryAuthFailed" },
    ],
  ];
  for (const [name, spec, expected] of cases)
    it(`names ${name}`, async () => {
      const status = await build(daemon, spec());
      assert.partialDeepStrictEqual(status.failure, expected, JSON.stringify(status.failure));
      assert.equal(status.phase, "Failed");
      assert.equal(status.attempts?.length, 1, "is not repeated");
      if (expected["exitCode"] !== undefined)
        assert.ok(
          status.failure?.logTail?.includes("the last words"),
          JSON.stringify(status.failure),
        );
    });

  it("pushes with the right password, refuses the wrong one, and shows neither", async () => {
    const auths = (password: string) => ({
      ".dockerconfigjson": JSON.stringify({
        auths: { [locked.host]: { username: "kiln", password } },
      }),
    });
    const type = "kubernetes.io/dockerconfigjson";
    await secret(daemon, "right", auths("registry-c4n4ry"), type);
    await secret(daemon, "wrong", auths("wrong-c4n4ry"), type);
    const spec = (name: string) =>
      inline("FROM busybox\n", {
        outputs: [{ image: { tags: [`${locked.host}/web:1`] } }],
        registryCredentials: [{ secretRef: { name } }],
      });
    await succeeds(daemon, spec("right"));
    const status = await build(daemon, spec("wrong"));
    assert.deepEqual(
      [status.failure?.class, status.failure?.reason],
      ["Registry", "RegistryAuthFailed"],
      status.failure?.message,
    );
    assert.equal(`${JSON.stringify(status)}${daemon.kiln.log()}`.includes("c4n4ry"), false);
  });

  it("cuts a secret that a step prints out of what it shows", async () => {
    await secret(daemon, "npm", { token: "npm-token-c4n4ry" });
    const status = await build(
      daemon,
      inline(
        "FROM busybox\nRUN --mount=type=secret,id=t cat /run/secrets/t; echo; base64 /run/secrets/t; exit 1\n",
        { secrets: [{ id: "t", secretKeyRef: { name: "npm", key: "token" } }] },
      ),
    );
    assert.equal(status.failure?.reason, "StepFailed");
    assert.ok(
      status.failure?.logTail?.includes("[redacted]"),
      JSON.stringify(status.failure?.logTail),
    );
    assert.equal(JSON.stringify(status).includes("c4n4ry"), false);
    assert.equal(
      JSON.stringify(status).includes(Buffer.from("npm-token-c4n4ry").toString("base64")),
      false,
    );
  });

  it("shows a cache that could not be exported without failing, unless asked to", async () => {
    const spec = (ignoreError: boolean) =>
      inline("FROM busybox\nRUN true\n", {
        cache: {
          to: [{ registry: { ref: "127.0.0.1:9/none:cache", insecure: true, ignoreError } }],
        },
        retry: { limit: 0 },
      });
    const status = await succeeds(daemon, spec(true));
    assert.equal(status.cache?.exports?.[0]?.ok, false, JSON.stringify(status.cache));
    assert.equal((await build(daemon, spec(false))).failure?.class, "Registry");
  });

  it("ends at its timeout, and the daemon's solve with it", async () => {
    const status = await build(daemon, inline("FROM busybox\nRUN sleep 600\n", { timeout: "2s" }));
    assert.deepEqual(
      [status.phase, status.failure?.reason, status.attempts?.[0]?.outcome],
      ["Failed", "Timeout", "Cancelled"],
    );
  });

  it("ends when it is cancelled", async () => {
    const run = await start(daemon, inline("FROM busybox\nRUN sleep 601\n"));
    await reaches(
      daemon.server,
      run,
      "at its step",
      ({ status }) => status?.progress?.current?.includes("sleep 601") === true,
    );
    await cancel(daemon.server, run);
    const ended = await ends(daemon.server, run);
    assert.deepEqual([ended.status?.phase, reason(ended)], ["Cancelled", "Cancelled"]);
  });

  it("goes away when it is deleted while it runs", async () => {
    const run = await start(
      daemon,
      inline("FROM busybox\nRUN sleep 602\n", image(daemon, "deleted:1")),
    );
    const ref = `${run.metadata.uid}-1`;
    await until("the daemon to solve it", async () => (await solving(daemon)).includes(ref));
    await remove(daemon.server, run);
    await until(
      "the run to be gone",
      async () => (await current(daemon.server, run)) === undefined,
    );
    assert.deepEqual(await daemon.agent.list(), [], "the solve ended before the run went away");
    // BuildKit closes the progress of a solve, and then writes what its history says of it.
    await until("the daemon to say so", async () => (await solving(daemon)).length === 0, 10_000);
  });
});
