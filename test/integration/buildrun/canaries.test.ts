// A canary in every field of a run that bears a secret, and steps that print them in every way: after a run that succeeds
// and one that fails, none of them is in a status, event, log, metric, event of the agent, attribute of the daemon's
// history, argument or environment.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { connect, parseEndpoint } from "../../../src/buildkit/index.ts";
import { events } from "../../../src/kube/types.ts";
import { type GitServer, gitServer, type Registry, registry } from "../../cluster/index.ts";
import { aDaemon, put, secret, start } from "./daemon.ts";
import { ends, never } from "./kiln.ts";
import { serviceAccounts } from "../../../src/kube/types.ts";

const run = promisify(execFile);
/** Has what URLs and JSON escape. */
const of = (field: string): string => `c4n4ry/"${field}"+&=%-7f3e91`;
const canaries = {
  secret: of("secret"),
  token: "c4n4ry-git-token-55d1c0",
  password: of("password"),
  pull: of("pull"),
  context: of("context"),
  cacheKey: of("cache-key"),
  cacheId: "c4n4ry-cache-id-91ab",
};

function formsOf(canary: string): string[] {
  const base64 = Buffer.from(canary).toString("base64");
  return [
    canary,
    base64,
    base64.replace(/=+$/, ""),
    Buffer.from(canary).toString("base64url"),
    encodeURIComponent(canary),
    JSON.stringify(canary).slice(1, -1),
    JSON.stringify(JSON.stringify(canary)).slice(3, -3),
  ];
}

/**
 * BuildKit hands the login of a git server to its own git as an argument, and git to its helpers in the environment, in
 * its own pod: docs/security.md.
 */
function isGitOfBuildkit(where: string): boolean {
  return /^(?:cmdline|environ) of \d+ git(?:-remote-http)?$/.test(where);
}

/** Arguments and environments of every process that there is. */
async function processes(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name)))
    for (const file of ["cmdline", "environ"]) {
      const text = await readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
      // Its name comes second: a process that became another one meanwhile is known by what it became.
      const name = text === "" ? "" : await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "");
      if (text !== "") found.set(`${file} of ${pid} ${name.trim()}`, text);
    }
  return found;
}

async function sshKey(): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "kiln-canary-"));
  try {
    const file = path.join(folder, "id");
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "c4n4ry", "-f", file]);
    return await readFile(file, "utf8");
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("secrets of a run on a real buildkitd", () => {
  let git: GitServer;
  let locked: Registry;
  let key = "";
  const daemon = aDaemon({
    insecure: async () => {
      locked = await registry({ auth: { user: "kiln", password: canaries.password } });
      return [locked.host];
    },
  });
  before(async () => {
    git = await gitServer({ token: canaries.token });
    key = await sshKey();
  });
  after(async () => {
    await git.stop();
    await locked.stop();
  });

  const login = (password: string): Record<string, string> => ({
    ".dockerconfigjson": JSON.stringify({
      auths: { [locked.host]: { username: "kiln", password } },
    }),
  });

  async function plant(): Promise<void> {
    await secret(daemon, "step", { value: canaries.secret });
    await secret(daemon, "git", { token: canaries.token });
    await secret(daemon, "push", login(canaries.password), "kubernetes.io/dockerconfigjson");
    await secret(daemon, "pull", login(canaries.pull), "kubernetes.io/dockerconfigjson");
    await secret(daemon, "files", { "notes.txt": canaries.context });
    await secret(daemon, "bucket", {
      AWS_ACCESS_KEY_ID: canaries.cacheId,
      AWS_SECRET_ACCESS_KEY: canaries.cacheKey,
    });
    await secret(daemon, "key", { "ssh-privatekey": key }, "kubernetes.io/ssh-auth");
    await daemon.server.client.apply(
      serviceAccounts,
      {
        metadata: { namespace: daemon.namespace, name: "reader" },
        imagePullSecrets: [{ name: "pull" }],
      } as never,
      { fieldManager: "test" },
      never,
    );
  }

  function spec(last: string, tag: string): Record<string, unknown> {
    return {
      context: { git: { url: git.url(tag), credentials: { secretRef: { name: "git" } } } },
      dockerfile: { path: "Dockerfile" },
      buildArgs: [{ name: "LAST", value: last }],
      secrets: [{ id: "x", secretKeyRef: { name: "step", key: "value" } }],
      ssh: [{ secretRef: { name: "key" } }],
      buildContexts: [{ name: "files", secret: { name: "files" } }],
      registryCredentials: [{ secretRef: { name: "push" } }],
      outputs: [{ image: { tags: [`${locked.host}/${tag}:1`] } }],
      cache: { to: [{ registry: { ref: `${locked.host}/${tag}:cache` } }, { s3: bucket }] },
      attestations: { provenance: { mode: "max" } },
    };
  }

  /** Nobody listens there: the export fails, which the run outlives, and says why. */
  const bucket = {
    bucket: "nowhere",
    region: "none",
    endpoint: "http://127.0.0.1:9",
    retryMaxAttempts: 1,
    credentials: { secretRef: { name: "bucket" } },
  };

  const dockerfile = [
    "FROM busybox",
    "ARG LAST",
    "COPY --from=files notes.txt /notes.txt",
    "RUN --mount=type=secret,id=x --mount=type=ssh cat /run/secrets/x; echo; base64 -w0 /run/secrets/x; echo; sed 's/\"/\\\\\"/g' /run/secrets/x; echo; sleep 1; $LAST",
    "",
  ].join("\n");

  /** Everything that was written or could be seen, by where. */
  async function traces(name: string, while_: Promise<unknown>): Promise<Map<string, string>> {
    const seen = new Map<string, string>();
    let over = false;
    const done = while_.finally(() => (over = true));
    while (!over) {
      for (const [where, text] of await processes()) seen.set(where, text);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await done;
    const { server, namespace, kiln } = daemon;
    seen.set("events", JSON.stringify(await server.client.list(events, { namespace }, never)));
    seen.set("log", kiln.log());
    seen.set("metrics", await kiln.metrics());
    const client = connect(parseEndpoint(daemon.buildkitd.address));
    const records = await client.histories(never);
    client.close();
    assert.ok(records.length > 0);
    // The log in the daemon's history is what the step printed, to whoever may read the daemon.
    seen.set("history", JSON.stringify(records.map((record) => ({ ...record, logs: undefined }))));
    assert.ok(seen.size > 10, name);
    return seen;
  }

  for (const [tag, last, phase] of [
    ["good", "true", "Succeeded"],
    ["bad", "exit 3", "Failed"],
  ] as const)
    it(`are nowhere to be seen when it has ${phase.toLowerCase()}`, async () => {
      await plant();
      await git.commit(tag, { Dockerfile: dockerfile });
      const started = await start(daemon, spec(last, tag));
      const ref = `${started.metadata.uid}-1`;
      const told: string[] = [];
      const attached = (async () => {
        while (!(await daemon.agent.list()).some((job) => job.ref === ref))
          await new Promise((resolve) => setTimeout(resolve, 20));
        for await (const event of daemon.agent.attach(ref, 0, never))
          told.push(
            JSON.stringify(event),
            event.kind === "solve" && event.event.kind === "log"
              ? Buffer.from(event.event.data).toString("utf8")
              : "",
          );
      })();
      const ending = ends(daemon.server, started);
      const seen = await traces(tag, ending);
      await attached;
      const ended = await ending;
      assert.equal(ended.status?.phase, phase, JSON.stringify(ended.status?.failure));
      if (phase === "Failed") {
        assert.equal(ended.status.failure?.exitCode, 3);
        assert.match(JSON.stringify(ended.status.failure.logTail), /\[redacted\]/);
      }
      assert.match(told.join("\n"), /\[redacted\]/, "the step printed its secret");
      if (phase === "Succeeded") {
        const s3 = ended.status.cache?.exports?.find(({ type }) => type === "s3");
        assert.equal(s3?.ok, false, "the bucket was asked for");
      }
      seen.set("run", JSON.stringify(ended));
      seen.set("events of the agent", told.join("\n"));
      const lines = key.trim().split("\n").slice(1, -1);
      for (const [where, text] of seen)
        if (isGitOfBuildkit(where)) assert.equal(text.includes(canaries.token), false, where);
      for (const [where, text] of [...seen].filter(([name]) => !isGitOfBuildkit(name)))
        for (const canary of [...Object.values(canaries), ...lines])
          for (const form of formsOf(canary))
            assert.ok(!text.includes(form), `${form} is in the ${where}`);
    });

  it("are refused to a run of another account, which names the Secret and not what is in it", async () => {
    await plant();
    await put(daemon, serviceAccounts, "other", {});
    const { status } = await ends(
      daemon.server,
      await start(daemon, { ...spec("true", "good"), serviceAccountName: "other" }),
    );
    assert.equal(status?.failure?.reason, "SecretForbidden");
    assert.ok(Object.values(canaries).every((one) => !JSON.stringify(status).includes(one)));
  });
});
