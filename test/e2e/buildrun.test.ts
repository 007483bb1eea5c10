// A person with kubectl: apply, wait, read. Success, and every way of failing that is theirs.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { aBuilder, aRun, cluster, reasonOf } from "./fixture.ts";

const base = "FROM debian:bookworm-slim\n";

describe("a BuildRun in a cluster", () => {
  let ns = "";

  before(async () => {
    ns = await cluster.namespace("runs");
    await cluster.apply(ns, aBuilder());
  });

  after(async () => await cluster.removeNamespace(ns));

  it("becomes an image that a pod runs, and says so in status", async () => {
    const tag = `${cluster.registry()}/e2e/hello:1`;
    await cluster.apply(
      ns,
      aRun("hello", `${base}RUN echo "built by kiln" > /hello\nCMD ["cat", "/hello"]\n`, {
        outputs: [{ image: { tags: [tag] } }],
      }),
    );
    await cluster
      .kubectl([
        ...["wait", "--for=condition=Succeeded", "buildrun/hello"],
        ...["-n", ns, "--timeout=240s"],
      ])
      .catch(() => "");
    const status = await cluster.finished(ns, "hello");
    assert.equal(reasonOf(status), "Succeeded", JSON.stringify(status.failure));
    const digest = status.outputs?.[0]?.image.digest;
    assert.match(digest ?? "", /^sha256:[0-9a-f]{64}$/);
    const image = `${cluster.registry()}/e2e/hello@${digest}`;
    const printed = await cluster.printedBy(ns, "hello", { containers: [{ name: "c", image }] });
    assert.equal(printed, "built by kiln");
  });

  it("builds once, however often it is applied", async () => {
    const run = aRun("once", `${base}RUN true\n`);
    await cluster.apply(ns, run);
    const first = await cluster.finished(ns, "once");
    await cluster.apply(ns, run);
    await cluster.apply(ns, run);
    const again = await cluster.statusOf(ns, "once");
    assert.deepEqual(again, first);
    assert.equal(again.attempts?.length, 1);
  });

  it("shows phase, builder and age in kubectl get", async () => {
    await cluster.apply(ns, aRun("columns", `${base}RUN true\n`));
    await cluster.finished(ns, "columns");
    const table = await cluster.kubectl(["get", "brun", "columns", "-n", ns]);
    assert.match(table, /NAME +PHASE +BUILDER/);
    assert.match(table, /columns +Succeeded +default/);
  });

  const failures: readonly [string, string, Record<string, unknown>, Record<string, unknown>][] = [
    [
      "a step that fails, with its line, exit code and last output",
      `${base}RUN echo "the last words" && exit 7\n`,
      {},
      { class: "User", reason: "StepFailed", exitCode: 7, line: 2 },
    ],
    [
      "a Dockerfile that does not parse",
      `${base}FRMO scratch\n`,
      {},
      { class: "User", reason: "DockerfileInvalid", line: 2 },
    ],
    [
      "a target that does not exist",
      `${base}RUN true\n`,
      { target: "relaese" },
      { class: "User", reason: "UnknownTarget" },
    ],
    [
      "a Secret that does not exist",
      `${base}RUN --mount=type=secret,id=s true\n`,
      {
        serviceAccountName: "reader",
        secrets: [{ id: "s", secretKeyRef: { name: "absent", key: "k" } }],
      },
      { class: "User", reason: "SecretNotFound" },
    ],
    [
      "a Secret that the run's account may not read",
      `${base}RUN --mount=type=secret,id=s true\n`,
      { secrets: [{ id: "s", secretKeyRef: { name: "absent", key: "k" } }] },
      { class: "Policy", reason: "SecretForbidden" },
    ],
  ];

  for (const [index, [name, dockerfile, over, want]] of failures.entries()) {
    it(`names ${name}`, async () => {
      if (over["serviceAccountName"] === "reader") await allowSecrets(ns);
      await cluster.apply(ns, aRun(`fails-${index}`, dockerfile, over));
      const { failure, attempts } = await cluster.finished(ns, `fails-${index}`);
      assert.ok(failure);
      assert.equal(failure.class, want["class"], failure.message);
      assert.equal(failure.reason, want["reason"], failure.message);
      assert.equal(failure.exitCode, want["exitCode"]);
      if (want["line"] !== undefined) assert.equal(failure.dockerfile?.line, want["line"]);
      if (want["exitCode"] !== undefined) {
        assert.ok(failure.logTail.some((line) => line.includes("the last words")));
      }
      assert.ok((attempts?.length ?? 0) <= 1, "a user's failure is not retried");
    });
  }

  it("names a registry that refuses the password", async () => {
    await allowSecrets(ns);
    const host = process.env["KILN_E2E_PRIVATE_REGISTRY"] ?? "";
    await cluster.apply(ns, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "wrong-password" },
      type: "kubernetes.io/dockerconfigjson",
      stringData: {
        ".dockerconfigjson": JSON.stringify({
          auths: { [host]: { username: "kiln", password: "no" } },
        }),
      },
    });
    await cluster.apply(
      ns,
      aRun("wrong-password", `${base}RUN true\n`, {
        serviceAccountName: "reader",
        outputs: [{ image: { tags: [`${host}/e2e/refused:1`] } }],
        registryCredentials: [{ secretRef: { name: "wrong-password" } }],
      }),
    );
    const { failure } = await cluster.finished(ns, "wrong-password");
    assert.equal(failure?.class, "Registry", failure?.message);
    assert.equal(failure?.reason, "RegistryAuthFailed", failure?.message);
  });

  it("names a git repository that cannot be reached", async () => {
    await cluster.apply(ns, {
      ...aRun("no-git", ""),
      spec: { context: { git: { url: "https://127.0.0.1:9/none.git" } }, retry: { limit: 0 } },
    });
    const { failure } = await cluster.finished(ns, "no-git");
    assert.equal(failure?.class, "Source", failure?.message);
  });

  it("stops at its timeout", async () => {
    await cluster.apply(ns, aRun("slow", `${base}RUN sleep 600\n`, { timeout: "5s" }));
    const status = await cluster.finished(ns, "slow");
    assert.equal(reasonOf(status), "Timeout");
  });

  it("stops when it is cancelled", async () => {
    await cluster.apply(ns, aRun("cancelled", `${base}RUN sleep 601\n`));
    await cluster.until("the run to start", async () => {
      return (await cluster.statusOf(ns, "cancelled")).phase === "Running";
    });
    const patch = JSON.stringify({ spec: { cancel: true } });
    await cluster.kubectl(["patch", "brun", "cancelled", "-n", ns, "--type=merge", "-p", patch]);
    const status = await cluster.finished(ns, "cancelled");
    assert.equal(status.phase, "Cancelled");
    assert.equal(reasonOf(status), "Cancelled");
  });

  it("goes away when it is deleted while it runs", async () => {
    await cluster.apply(ns, aRun("deleted", `${base}RUN sleep 602\n`));
    await cluster.until("the run to start", async () => {
      return (await cluster.statusOf(ns, "deleted")).phase === "Running";
    });
    await cluster.kubectl(["delete", "brun", "deleted", "-n", ns, "--timeout=60s"]);
    await cluster.until("the builder to be idle", async () => {
      const text = await cluster.kubectl(["get", "bldr", "default", "-n", ns, "-o", "json"]);
      const { status } = JSON.parse(text) as { status: { runningRuns?: number } };
      return (status.runningRuns ?? 0) === 0;
    });
  });

  for (const example of ["hello", "configmap", "secret", "cache"]) {
    it(`builds examples/${example}.yaml as it stands`, async () => {
      const into = await cluster.namespace(`example-${example}`);
      try {
        if (example !== "hello") await cluster.apply(into, aBuilder());
        const text = await readFile(
          new URL(`../../examples/${example}.yaml`, import.meta.url),
          "utf8",
        );
        const runs = await cluster.applyText(into, text);
        assert.ok(runs.length > 0);
        for (const run of runs) {
          const status = await cluster.finished(into, run);
          assert.equal(status.phase, "Succeeded", JSON.stringify(status.failure));
        }
      } finally {
        await cluster.removeNamespace(into);
      }
    });
  }
});

/** A service account that may read the namespace's Secrets. */
async function allowSecrets(ns: string): Promise<void> {
  const named = { metadata: { name: "reader" } };
  await cluster.apply(
    ns,
    { apiVersion: "v1", kind: "ServiceAccount", ...named },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "Role",
      ...named,
      rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["get"] }],
    },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      ...named,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "reader" },
      subjects: [{ kind: "ServiceAccount", name: "reader" }],
    },
  );
}
