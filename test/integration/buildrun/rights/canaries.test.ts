// A canary in every field of a run that names a Secret, and steps that print them in every way: after runs that succeed and
// one that fails, none of them is in a status, event, log, metric, event of the agent, attribute of the daemon's history,
// argument or environment.

import assert from "node:assert/strict";
import { connect, parseEndpoint } from "../../../../src/buildkit/index.ts";
import { events, serviceAccounts } from "../../../../src/kube/types.ts";
import {
  type BlobStore,
  blobStore,
  type GitServer,
  gitServer,
  type ObjectStore,
  objectStore,
  type Registry,
  registry,
  serve,
} from "../../../cluster/index.ts";
import {
  assertNowhere,
  canaryOf,
  keyLines,
  secretFields,
  sshKey,
  watched,
} from "../../canaries.ts";
import { aDaemon, put, secret, start } from "../daemon.ts";
import { type GhaCache, ghaCache } from "../gha-cache.ts";
import { ends, never } from "../kiln.ts";

const values = {
  "context.git.credentials.secretRef": "c4n4ry-git-token-55d1c0",
  "context.http.credentials.secretRef": "c4n4ry-http-token-8be213",
  "context.secret": canaryOf("context"),
  "buildArgs[].valueFrom.secretKeyRef": canaryOf("build-arg"),
  "buildContexts[].git.credentials.secretRef": "c4n4ry-git-token-770a1f",
  "buildContexts[].http.credentials.secretRef": "c4n4ry-http-token-0f94cc",
  "buildContexts[].secret": canaryOf("files"),
  "secrets[].secretKeyRef": canaryOf("secret"),
  "registryCredentials[].secretRef": canaryOf("password"),
  "cache.from[].s3.credentials.secretRef": canaryOf("from-s3"),
  "cache.to[].s3.credentials.secretRef": canaryOf("to-s3"),
  "imagePullSecrets of the account": canaryOf("pull"),
} as const;

/** Serves a context to who shows one of these tokens. */
async function guarded(archive: () => Promise<Buffer>, tokens: readonly string[]) {
  const shown = new Set<string>();
  const { url, stop } = await serve((request, response) => {
    const token = (request.headers.authorization ?? "").replace(/^Bearer /i, "");
    if (!tokens.includes(token)) {
      response.writeHead(401).end();
      return;
    }
    shown.add(token);
    archive().then(
      (bytes) => response.end(bytes),
      () => response.destroy(),
    );
  });
  return { url: `${url}/context.tar`, shown, stop };
}

/** One file as a tar archive. */
function tar(name: string, text: string): Buffer {
  const head = Buffer.alloc(512);
  head.write(name, 0);
  head.write("0000644\0", 100);
  head.write("0000000\x000000000\0", 108);
  head.write(`${text.length.toString(8).padStart(11, "0")}\0`, 124);
  head.write("00000000000\0", 136);
  head.write("        0", 148);
  head.write("ustar\x0000", 257);
  const sum = head.reduce((all, byte) => all + byte, 0);
  head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const body = Buffer.alloc(Math.ceil(text.length / 512) * 512);
  body.write(text);
  return Buffer.concat([head, body, Buffer.alloc(1024)]);
}

describe("secrets of a run on a real buildkitd", () => {
  let git: GitServer;
  let named: GitServer;
  let web: Awaited<ReturnType<typeof guarded>>;
  let locked: Registry;
  let s3: ObjectStore;
  let azure: BlobStore;
  let github: GhaCache;
  let key = "";
  const daemon = aDaemon({
    insecure: async () => {
      const password = values["registryCredentials[].secretRef"];
      locked = await registry({ auth: { user: "kiln", password } });
      return [locked.host];
    },
  });
  before(async () => {
    git = await gitServer({ token: values["context.git.credentials.secretRef"] });
    named = await gitServer({ token: values["buildContexts[].git.credentials.secretRef"] });
    await named.commit("lib", { "lib.txt": "lib" });
    web = await guarded(
      async () => tar("Dockerfile", dockerfile),
      [
        values["context.http.credentials.secretRef"],
        values["buildContexts[].http.credentials.secretRef"],
      ],
    );
    [s3, azure, github] = await Promise.all([objectStore(), blobStore(), ghaCache()]);
    s3.bucket("outputs");
    key = await sshKey();
  });
  after(async () => {
    await Promise.all([git, named, web, locked, s3, azure, github].map((one) => one.stop()));
  });

  // What is read with them is refused; so they are not those that write.
  const wrongKey = Buffer.from("c4n4ry-azure-key-3b61").toString("base64");
  const wrongToken = (): string => github.token.replace(/[^.]+$/, "b3RoZXI");

  /** Every canary by its field; those of real servers are known when these run. */
  function planted(): (readonly [string, string])[] {
    const kinds = ["oci", "docker", "tar", "local"];
    return [
      ...Object.entries(values),
      ...kinds.map(
        (kind) => [`outputs[].${kind}.to.s3.credentials.secretRef`, s3.secretKey] as const,
      ),
      ["cache.from[].azblob.credentials.secretRef", wrongKey],
      ["cache.to[].azblob.credentials.secretRef", azure.key],
      ["cache.from[].gha.credentials.secretRef", wrongToken()],
      ["cache.to[].gha.credentials.secretRef", github.token],
      ...keyLines(key).map((line) => ["ssh[].secretRef", line] as const),
    ];
  }

  it("have a canary in every field that names a Secret", () => {
    const fields = new Set(planted().map(([field]) => field));
    assert.deepEqual(
      secretFields("BuildRun").filter((field) => !fields.has(field)),
      [],
    );
  });

  const login = (password: string): Record<string, string> => ({
    ".dockerconfigjson": JSON.stringify({
      auths: { [locked.host]: { username: "kiln", password } },
    }),
  });

  async function plant(): Promise<void> {
    const docker = "kubernetes.io/dockerconfigjson";
    await secret(daemon, "step", { value: values["secrets[].secretKeyRef"] });
    await secret(daemon, "arg", { value: values["buildArgs[].valueFrom.secretKeyRef"] });
    for (const [name, field] of [
      ["git", "context.git.credentials.secretRef"],
      ["http", "context.http.credentials.secretRef"],
      ["named-git", "buildContexts[].git.credentials.secretRef"],
      ["named-http", "buildContexts[].http.credentials.secretRef"],
    ] as const)
      await secret(daemon, name, { token: values[field] });
    await secret(daemon, "push", login(values["registryCredentials[].secretRef"]), docker);
    await secret(daemon, "pull", login(values["imagePullSecrets of the account"]), docker);
    await secret(daemon, "files", { "notes.txt": values["buildContexts[].secret"] });
    await secret(daemon, "context", { Dockerfile: `# ${values["context.secret"]}\n${dockerfile}` });
    for (const list of ["from", "to"] as const)
      await secret(daemon, `bucket-${list}`, {
        AWS_ACCESS_KEY_ID: "c4n4ry-cache-id-91ab",
        AWS_SECRET_ACCESS_KEY: values[`cache.${list}[].s3.credentials.secretRef`],
      });
    await secret(daemon, "store", {
      AWS_ACCESS_KEY_ID: s3.accessKey,
      AWS_SECRET_ACCESS_KEY: s3.secretKey,
    });
    await secret(daemon, "account-from", { AZURE_STORAGE_KEY: wrongKey });
    await secret(daemon, "account-to", { AZURE_STORAGE_KEY: azure.key });
    await secret(daemon, "workflow-from", { ACTIONS_RUNTIME_TOKEN: wrongToken() });
    await secret(daemon, "workflow-to", { ACTIONS_RUNTIME_TOKEN: github.token });
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

  const by = (name: string) => ({ credentials: { secretRef: { name } } });
  const contexts = {
    git: () => ({ git: { url: git.url("app"), ...by("git") } }),
    http: () => ({ http: { url: web.url, ...by("http") } }),
    secret: () => ({ secret: { name: "context" } }),
  };

  /** Caches of every kind. Nobody listens at the bucket: the run outlives it, and says why. */
  function caches(list: "from" | "to"): object[] {
    const endpoint = "http://127.0.0.1:9";
    const bucket = { bucket: "nowhere", region: "none", endpoint, retryMaxAttempts: 1 };
    return [
      { s3: { ...bucket, ...by(`bucket-${list}`) } },
      {
        azblob: {
          accountUrl: azure.accountUrl,
          accountName: azure.account,
          ...by(`account-${list}`),
        },
      },
      { gha: { url: github.url, ...by(`workflow-${list}`) } },
    ];
  }

  function spec(last: string, from: keyof typeof contexts): Record<string, unknown> {
    const { url: endpoint, region } = s3;
    const bucket = { bucket: "outputs", region, endpoint, pathStyle: true, ...by("store") };
    const files = ["oci", "docker", "tar", "local"].map((kind) => ({
      [kind]: { to: { s3: { ...bucket, key: `${from}/${kind}${kind === "local" ? "/" : ""}` } } },
    }));
    return {
      context: contexts[from](),
      dockerfile: { path: "Dockerfile" },
      buildArgs: [
        { name: "LAST", value: last },
        { name: "CANARY", valueFrom: { secretKeyRef: { name: "arg", key: "value" } } },
      ],
      secrets: [{ id: "x", secretKeyRef: { name: "step", key: "value" } }],
      ssh: [{ secretRef: { name: "key" } }],
      buildContexts: [
        { name: "files", secret: { name: "files" } },
        { name: "lib", git: { url: named.url("lib"), ...by("named-git") } },
        // All contexts on one host share a login.
        ...(from === "http" ? [] : [{ name: "web", http: { url: web.url, ...by("named-http") } }]),
      ],
      registryCredentials: [{ secretRef: { name: "push" } }],
      outputs: [{ image: { tags: [`${locked.host}/${from}:1`] } }, ...files],
      cache: {
        from: caches("from"),
        to: [{ registry: { ref: `${locked.host}/${from}:cache` } }, ...caches("to")],
      },
      attestations: { provenance: { mode: "max" } },
    };
  }

  const dockerfile = [
    "ARG CANARY=none",
    "FROM scratch AS web",
    "FROM busybox",
    "ARG LAST",
    "COPY --from=files notes.txt /notes.txt",
    "COPY --from=lib lib.txt /lib.txt",
    "COPY --from=web . /web/",
    "RUN --mount=type=secret,id=x --mount=type=ssh cat /run/secrets/x; echo; base64 -w0 /run/secrets/x; echo; sed 's/\"/\\\\\"/g' /run/secrets/x; echo; sleep 1; $LAST",
    "",
  ].join("\n");

  /** Everything that was written or could be seen, by where. */
  async function traces(work: Promise<unknown>): Promise<Map<string, string>> {
    const seen = await watched(work);
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
    assert.ok(seen.size > 10);
    return seen;
  }

  /** Where BuildKit itself, or the server of a test, shows what it was given: docs/security.md. */
  function allowed(seen: ReadonlyMap<string, string>) {
    const servers = new Set(
      [...seen]
        .filter(([where, text]) => where.startsWith("cmdline") && /azurite|versitygw/.test(text))
        .map(([where]) => where.split(" ")[2]),
    );
    return (where: string, field: string): boolean => {
      // BuildKit hands the login of a git server to its own git as an argument, and git to its helpers.
      if (/^(?:cmdline|environ) of \d+ git(?:-remote-http)?$/.test(where))
        return /git\.credentials/.test(field);
      if (/^(?:cmdline|environ)/.test(where)) return servers.has(where.split(" ")[2]);
      return where === "history" && /^cache\.from|^buildArgs/.test(field);
    };
  }

  for (const [from, last, phase] of [
    ["git", "true", "Succeeded"],
    ["http", "exit 3", "Failed"],
    ["secret", "sleep 0", "Succeeded"],
  ] as const)
    it(`are nowhere to be seen when it has ${phase.toLowerCase()}, with its context from ${from}`, async () => {
      await plant();
      await git.commit("app", { Dockerfile: dockerfile });
      const started = await start(daemon, spec(last, from));
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
      const seen = await traces(ending);
      await attached;
      const ended = await ending;
      assert.equal(ended.status?.phase, phase, JSON.stringify(ended.status?.failure));
      if (phase === "Failed") {
        assert.equal(ended.status.failure?.exitCode, 3);
        assert.match(JSON.stringify(ended.status.failure.logTail), /\[redacted\]/);
      } else {
        const exports = Object.fromEntries(
          ended.status.cache?.exports?.map(({ type, ok }) => [type, ok]) ?? [],
        );
        // The bucket was asked for, and refused.
        assert.deepEqual(exports, { registry: true, s3: false, azblob: true, gha: true });
        assert.equal(ended.status.outputs?.length, 5);
      }
      assert.match(told.join("\n"), /\[redacted\]/, "the step printed its secret");
      seen.set("run", JSON.stringify(ended));
      seen.set("events of the agent", told.join("\n"));
      assertNowhere(seen, planted(), allowed(seen));
      if (from === "http")
        assert.ok(web.shown.has(values["context.http.credentials.secretRef"]), "was logged in");
    });

  it("are refused to a run of another account, which names the Secret and not what is in it", async () => {
    await plant();
    await put(daemon, serviceAccounts, "other", {});
    const { status } = await ends(
      daemon.server,
      await start(daemon, { ...spec("true", "git"), serviceAccountName: "other" }),
    );
    assert.equal(status?.failure?.reason, "SecretForbidden");
    assertNowhere(new Map([["status", JSON.stringify(status)]]), planted());
  });
});
