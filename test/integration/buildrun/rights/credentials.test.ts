// What a job is given, read by a real API server with the rights of the run's service account: every kind of credential,
// every way of not getting it, and that none of it is ever seen outside of the job.

import assert from "node:assert/strict";
import type { Job, Materials } from "../../../../src/agent/agent.ts";
import {
  configMaps,
  events,
  type ResourceType,
  resourceType,
  secrets,
  serviceAccounts,
} from "../../../../src/kube/types.ts";
import type { KubeObject } from "../../../../src/kube/object.ts";
import { aSpec } from "../../../unit/builder/samples.ts";
import { instanceAt, type TestBuilder, TestFleet } from "../fleet.ts";
import {
  aNamespace,
  aRunOf,
  create,
  current,
  ends,
  type Kiln,
  never,
  reason,
  type Server,
  startKiln,
  startServer,
  until,
} from "../kiln.ts";
import { ScriptedAgent } from "../scripted-agent.ts";

const roles = resourceType<KubeObject & { rules: unknown }>({
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "Role",
  plural: "roles",
  namespaced: true,
});
const bindings = resourceType<KubeObject & { roleRef: unknown; subjects: unknown }>({
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "RoleBinding",
  plural: "rolebindings",
  namespaced: true,
});

const canary = "c4n4ry-9f2b77";
const git = {
  url: "https://git.example:8443/shop/web.git",
  credentials: { secretRef: { name: "git" } },
};
const ssh = { url: "git@git.example:shop/web.git", credentials: { secretRef: { name: "git" } } };
const auths = (...hosts: string[]) =>
  JSON.stringify({
    auths: Object.fromEntries(
      hosts.map((host) => [host, { username: "u", password: `${canary}-${host}` }]),
    ),
  });

describe("what a run's service account may read", () => {
  let server: Server;
  let namespace = "";
  let agent: ScriptedAgent;
  let fleet: TestFleet;
  let kiln: Kiln;

  before(async () => {
    server = await startServer();
  });
  after(async () => await server.stop());

  beforeEach(async () => {
    namespace = await aNamespace(server.client, "credentials");
    agent = new ScriptedAgent();
    fleet = new TestFleet();
    builderIs();
    kiln = await startKiln({ server, agent, fleet });
    await put(roles, "reader", {
      rules: [{ apiGroups: [""], resources: ["secrets", "configmaps"], verbs: ["get"] }],
    });
    await put(serviceAccounts, "reader", {});
    await put(bindings, "reader", {
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "reader" },
      subjects: [{ kind: "ServiceAccount", name: "reader", namespace }],
    });
  });
  afterEach(async () => await kiln.stop());

  async function put<T extends KubeObject>(
    type: ResourceType<T>,
    name: string,
    body: object,
  ): Promise<void> {
    await server.client.create(type, { metadata: { namespace, name }, ...body } as never, never);
  }
  const secret = async (name: string, stringData: Record<string, string>, type = "Opaque") =>
    await put(secrets, name, { stringData, type });

  function builderIs(more: Partial<TestBuilder> = {}): void {
    const instances = [instanceAt({ kind: "unix", path: "/none" })];
    fleet.set({ kind: "Builder", namespace, name: "default" }, { instances, ...more });
  }

  /** Creates a run of the account `reader` and returns the job it becomes. */
  async function jobOf(spec: Record<string, unknown>): Promise<Job> {
    const run = await create(
      server,
      aRunOf(namespace, "web", { serviceAccountName: "reader", ...spec }),
    );
    const ref = `${run.metadata.uid}-1`;
    const job = await until("the job", async () => {
      assert.equal(reason((await current(server, run)) ?? run, "Stalled"), undefined);
      return agent.jobs.get(ref)?.job;
    });
    agent.finish(ref, {
      kind: "failed",
      failure: { class: "User", reason: "StepFailed", message: "m", retryable: false, logTail: [] },
      finishedAt: "",
    });
    await ends(server, run);
    return job;
  }

  async function refusal(spec: Record<string, unknown>) {
    const run = await create(
      server,
      aRunOf(namespace, "web", { serviceAccountName: "reader", ...spec }),
    );
    return (await ends(server, run)).status?.failure;
  }

  const files = (materials: Materials) =>
    Object.fromEntries(
      [...materials.trees].map(([name, tree]) => [
        name,
        Object.fromEntries([...tree].map(([file, data]) => [file, data.toString()])),
      ]),
    );
  const sessionSecrets = (materials: Materials) =>
    Object.fromEntries([...materials.secrets].map(([id, value]) => [id, value.toString()]));

  it("gives build secrets by their id, as they are", async () => {
    await secret("npm", { token: `${canary}\n` });
    const job = await jobOf({
      secrets: [{ id: "npmrc", secretKeyRef: { name: "npm", key: "token" } }],
    });
    assert.deepEqual(sessionSecrets(job.materials.open()), { npmrc: `${canary}\n` });
  });

  it("gives a git token for the git server only", async () => {
    await secret("git", { token: `${canary}\n` });
    const job = await jobOf({ context: { git }, dockerfile: { path: "Dockerfile" } });
    assert.deepEqual(sessionSecrets(job.materials.open()), {
      "GIT_AUTH_TOKEN.git.example:8443": canary,
    });
  });

  it("gives a git user and password as a header", async () => {
    await secret("git", { username: "u", password: canary }, "kubernetes.io/basic-auth");
    const job = await jobOf({ context: { git }, dockerfile: { path: "Dockerfile" } });
    const header = `basic ${Buffer.from(`u:${canary}`).toString("base64")}`;
    assert.deepEqual(sessionSecrets(job.materials.open()), {
      "GIT_AUTH_HEADER.git.example:8443": header,
    });
  });

  it("gives an SSH key, and pins the host keys", async () => {
    await secret(
      "git",
      { "ssh-privatekey": canary, known_hosts: "git.example ssh-ed25519 AAAA" },
      "kubernetes.io/ssh-auth",
    );
    const job = await jobOf({ context: { git: ssh }, dockerfile: { path: "Dockerfile" } });
    assert.deepEqual(job.materials.open().sshKeys, [{ id: "default", privateKey: canary }]);
    const [rule] = job.request.sourcePolicy?.rules ?? [];
    assert.equal(rule?.updates?.attrs?.["git.knownsshhosts"], "git.example ssh-ed25519 AAAA");
  });

  const pem = "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n";
  const named: readonly (readonly [string, readonly string[][], readonly string[]])[] = [
    [
      "where a login is for",
      [
        ["a.example", "authority"],
        ["b.example", "authority"],
        ["other.example", "nothing"],
      ],
      ["a.example", "b.example"],
    ],
    ["unless they can not be read: the daemon gets tokens then", [["a.example", "nothing"]], []],
  ];
  for (const [what, says, expected] of named)
    it(`gives authorities that the Builder names, ${what}`, async () => {
      await secret("authority", { "ca.crt": `${pem}${canary}` });
      const config = { ".dockerconfigjson": auths("a.example", "b.example/team") };
      await secret("registry", config, "kubernetes.io/dockerconfigjson");
      const registries = says.map(([host = "", secretName = ""]) => ({ host, ca: { secretName } }));
      const spec = aSpec({ kubernetes: {}, buildkitd: { registries } });
      const rights = { namespace, serviceAccountName: "reader", mayUseSockets: false };
      builderIs({ spec, reader: { ...rights, client: server.client } });
      const job = await jobOf({ registryCredentials: [{ secretRef: { name: "registry" } }] });
      const { authorities } = job.materials.open();
      assert.deepEqual(authorities, new Map(expected.map((host) => [host, pem])));
    });

  it("gives logins of the run and of the account's imagePullSecrets; the run's win", async () => {
    const type = "kubernetes.io/dockerconfigjson";
    await secret(
      "mine",
      { ".dockerconfigjson": auths("a.example", "https://index.docker.io/v1/") },
      type,
    );
    await secret(
      "pull",
      { ".dockerconfigjson": auths("b.example").replace("{", '{"credsStore":"x",') },
      type,
    );
    await server.client.apply(
      serviceAccounts,
      {
        metadata: { namespace, name: "reader" },
        imagePullSecrets: [{ name: "pull" }, { name: "gone" }],
      } as never,
      {},
      never,
    );
    const job = await jobOf({ registryCredentials: [{ secretRef: { name: "mine" } }] });
    assert.deepEqual([...job.materials.open().logins.keys()].toSorted(), [
      "a.example",
      "b.example",
      "docker.io",
    ]);
  });

  it("gives a ConfigMap's files, text and binary, and the inline Dockerfile", async () => {
    await put(configMaps, "files", {
      data: { "a.txt": "a" },
      binaryData: { "b.bin": Buffer.from("b").toString("base64") },
    });
    const job = await jobOf({
      context: { configMap: { name: "files" } },
      dockerfile: { inline: "FROM scratch\n" },
    });
    assert.deepEqual(files(job.materials.open()), {
      context: { "a.txt": "a", "b.bin": "b" },
      dockerfile: { Dockerfile: "FROM scratch\n" },
    });
  });

  it("shows none of it in status, events, log or request", async () => {
    await secret("npm", { token: canary });
    await secret("git", { token: canary });
    await secret(
      "registry",
      { ".dockerconfigjson": auths("a.example") },
      "kubernetes.io/dockerconfigjson",
    );
    const job = await jobOf({
      context: { git },
      dockerfile: { path: "Dockerfile" },
      secrets: [{ id: "npmrc", secretKeyRef: { name: "npm", key: "token" } }],
      registryCredentials: [{ secretRef: { name: "registry" } }],
    });
    const seen = [
      JSON.stringify(
        await server.client.get(
          {
            apiVersion: "kiln.build/v1alpha1",
            kind: "BuildRun",
            plural: "buildruns",
            namespaced: true,
          },
          { namespace, name: "web" },
          never,
        ),
      ),
      JSON.stringify(await server.client.list(events, { namespace }, never)),
      kiln.log(),
      JSON.stringify(job),
    ].join("\n");
    for (const form of [canary, Buffer.from(canary).toString("base64").replace(/=+$/, "")])
      assert.equal(seen.includes(form), false, form);
  });

  const refusals: readonly (readonly [string, Record<string, unknown>, string, RegExp])[] = [
    [
      "a missing Secret",
      { secrets: [{ id: "x", secretKeyRef: { name: "none", key: "k" } }] },
      "SecretNotFound",
      /no Secret "none"/,
    ],
    [
      "a missing key, naming those there are",
      { secrets: [{ id: "x", secretKeyRef: { name: "npm", key: "k" } }] },
      "SecretKeyNotFound",
      /"npm" has the keys token, but not "k"/,
    ],
    [
      "a missing ConfigMap",
      { context: { configMap: { name: "none" } } },
      "ConfigMapNotFound",
      /no ConfigMap "none"/,
    ],
    [
      "a git Secret without a token",
      {
        context: { git: { ...git, credentials: { secretRef: { name: "bad" } } } },
        dockerfile: { path: "D" },
      },
      "SecretKeyNotFound",
      /"token", or "username" and "password"/,
    ],
    [
      "an SSH Secret without a key",
      {
        context: { git: { ...ssh, credentials: { secretRef: { name: "bad" } } } },
        dockerfile: { path: "D" },
      },
      "SecretKeyNotFound",
      /"ssh-privatekey"/,
    ],
    [
      "a registry Secret that is none",
      { registryCredentials: [{ secretRef: { name: "bad" } }] },
      "SecretKeyNotFound",
      /"\.dockerconfigjson"/,
    ],
    [
      "a ConfigMap that the account may not read",
      { serviceAccountName: "default", context: { configMap: { name: "files" } } },
      "ConfigMapForbidden",
      /ServiceAccount "default" may not get ConfigMap "files"/,
    ],
    [
      "a Secret that the account may not read, though it does not exist",
      {
        serviceAccountName: "default",
        secrets: [{ id: "x", secretKeyRef: { name: "none", key: "k" } }],
      },
      "SecretForbidden",
      /resourceName "none"/,
    ],
  ];
  for (const [name, spec, why, message] of refusals)
    it(`fails for ${name}`, async () => {
      await secret("npm", { token: canary });
      await secret("bad", { other: canary });
      const failure = await refusal(spec);
      assert.equal(failure?.reason, why);
      assert.match(failure?.message ?? "", message);
      assert.equal(JSON.stringify(failure).includes(canary), false);
    });
});
