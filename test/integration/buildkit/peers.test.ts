// A build's peers, all real: registries with and without a password, a git server over SSH, a daemon over TLS.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  authProvider,
  connect,
  parseEndpoint,
  sshProvider,
  type Attachable,
  type BuildkitClient,
  type DockerConfig,
  type TlsMaterial,
} from "../../../src/buildkit/index.ts";
import { parseDockerConfig } from "../../../src/registry/docker-config.ts";
import { readDigest, readManifest } from "../../../src/registry/manifest.ts";
import { parseReference } from "../../../src/registry/reference.ts";
import { authority, buildkitd, gitServer, leaf, registry, scratch } from "../../cluster/index.ts";
import type { Buildkitd, GitServer, Registry } from "../../cluster/index.ts";
import { tokenRegistry } from "../../unit/registry/token-registry.ts";
import { deadline, failure, solve } from "./solving.ts";

const dockerfile = "FROM busybox\nRUN echo pushed > /pushed\n";

function push(...names: string[]) {
  return [{ type: "image", attrs: { name: names.join(","), push: "true" } }];
}

describe("the registries of a build", () => {
  let open: Registry;
  let closed: Registry;
  let daemon: Buildkitd;
  let client: BuildkitClient;
  before(async () => {
    open = await registry();
    closed = await registry({ auth: { user: "me", password: "right" } });
    daemon = await buildkitd({ insecureRegistries: [open.host, closed.host] });
    client = connect(parseEndpoint(daemon.address));
  });
  after(async () => {
    client.close();
    await daemon.stop();
    await open.stop();
    await closed.stop();
  });

  const logins = (password: string): DockerConfig =>
    parseDockerConfig(JSON.stringify({ auths: { [closed.host]: { username: "me", password } } }));
  const read = (name: string, config: DockerConfig = new Map()) =>
    readManifest(parseReference(name), { signal: deadline(), logins: config });

  it("take an image under several names without a password", async () => {
    const names = [`${open.host}/team/app:1`, `${open.host}/team/app:2`];
    const result = await solve(client, dockerfile, { exporters: push(...names) });
    assert.deepEqual(result.imageNames, names);
    for (const name of names) assert.equal((await read(name)).digest, result.digest);
    assert.equal(
      await readDigest(parseReference(names[0] ?? ""), { signal: deadline(), logins: new Map() }),
      result.digest,
    );
  });

  it("take an image of two platforms, whose digests can be read back", async () => {
    const name = `${open.host}/team/both:1`;
    const result = await solve(client, "FROM busybox\n", {
      attrs: { platform: "linux/amd64,linux/arm64" },
      exporters: push(name),
    });
    const manifest = await read(name);
    assert.equal(manifest.digest, result.digest);
    assert.deepEqual(
      manifest.platforms.map(({ platform }) => platform),
      ["linux/amd64", "linux/arm64"],
    );
  });

  it("take an image with the right password", async () => {
    const name = `${closed.host}/team/app:1`;
    const attachables = [authProvider(logins("right"))];
    const { digest } = await solve(client, dockerfile, { exporters: push(name), attachables });
    assert.equal((await read(name, logins("right"))).digest, digest);
  });

  it("lend what they hold to a later build with the password", async () => {
    const attachables = [authProvider(logins("right"))];
    await solve(client, `FROM ${closed.host}/team/app:1\nRUN test -f /pushed\n`, { attachables });
  });

  const refusals: [sentence: string, attachables: () => Attachable[]][] = [
    ["no service for logins", () => []],
    ["no password", () => [authProvider(new Map())]],
    ["the wrong password", () => [authProvider(logins("wrong"))]],
  ];
  for (const [index, [sentence, attachables]] of refusals.entries()) {
    it(`refuse an image with ${sentence}`, async () => {
      const exporters = push(`${closed.host}/team/refused:${index}`);
      const error = await failure(
        solve(client, dockerfile, { exporters, attachables: attachables() }),
      );
      assert.deepEqual(
        [error.class, error.reason, error.retryable],
        ["Registry", "RegistryAuthFailed", false],
        error.message,
      );
      assert.doesNotMatch(error.message, /wrong/);
    });
  }

  it("see tokens of the daemon and never the password where there is a token server", async () => {
    const tokens = await tokenRegistry({ username: "me", password: "right", identityToken: "id" });
    const withHttp = await buildkitd({ insecureRegistries: [tokens.host], mirror: false });
    const builder = connect(parseEndpoint(withHttp.address));
    try {
      const auths = { [tokens.host]: { username: "me", password: "right" } };
      const attachables = [authProvider(parseDockerConfig(JSON.stringify({ auths })))];
      // The fake has no blobs: the build ends there, after the manifest was read.
      await failure(solve(builder, `FROM ${tokens.host}/team/app:1\n`, { attachables }));
      const ofDaemon = tokens.requests.filter(({ agent }) => agent !== "kiln");
      const shown = new Set(ofDaemon.map(({ authorization }) => authorization));
      assert.deepEqual([...shown].sort(), ["", "Bearer token for repository:team/app:pull"]);
      assert.ok(ofDaemon.every(({ path }) => path !== "/token"));
      assert.deepEqual([...new Set(tokens.scopes)], ["repository:team/app:pull"]);
    } finally {
      builder.close();
      await withHttp.stop();
      await tokens.stop();
    }
  });

  it("tell the wrong password from a missing image when read", async () => {
    await assert.rejects(read(`${closed.host}/team/app:1`, logins("wrong")), {
      reason: "RegistryAuthFailed",
    });
    await assert.rejects(read(`${open.host}/team/nothing:1`), { reason: "ImageNotFound" });
  });

  it("are read over TLS with their authority only", async () => {
    const secure = await registry({ tls: true });
    try {
      const name = parseReference(`${secure.host}/team/nothing:1`);
      const ca = readFileSync(secure.ca ?? "", "utf8");
      const ask = (trust: object) =>
        readManifest(name, { signal: deadline(), logins: new Map(), ...trust });
      await assert.rejects(ask({ ca }), { reason: "ImageNotFound" });
      await assert.rejects(
        ask({}),
        (error: { reason?: string }) => error.reason !== "ImageNotFound",
      );
    } finally {
      await secure.stop();
    }
  });
});

describe("a git server over SSH", () => {
  let git: GitServer;
  let daemon: Buildkitd;
  let client: BuildkitClient;
  before(async () => {
    git = await gitServer({ ssh: true });
    daemon = await buildkitd();
    client = connect(parseEndpoint(daemon.address));
    await git.commit("app", { Dockerfile: dockerfile });
  });
  after(async () => {
    client.close();
    await daemon.stop();
    await git.stop();
  });

  const context = () => ({ context: `${git.ssh?.url("app")}#main` });

  it("opens to the key that the session serves", async () => {
    const attachables = [sshProvider({ default: [git.ssh?.privateKey ?? ""] })];
    await solve(client, undefined, { attrs: context(), attachables });
  });

  it("stays closed to another key", async () => {
    await git.commit("app", { other: "key" });
    const key = generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" });
    const attachables = [sshProvider({ default: [key.toString()] })];
    const error = await failure(solve(client, undefined, { attrs: context(), attachables }));
    assert.deepEqual([error.class, error.reason], ["Source", "GitAuthFailed"], error.message);
  });

  it("lends its key to a step that mounts it", async () => {
    const attachables = [sshProvider({ default: [git.ssh?.privateKey ?? ""] })];
    await solve(
      client,
      'FROM busybox\nRUN --mount=type=ssh,required=true test -S "$SSH_AUTH_SOCK"\n',
      {
        attachables,
      },
    );
  });
});

describe("a daemon over mutual TLS", () => {
  let daemon: Buildkitd;
  let tls: TlsMaterial;
  before(async () => {
    daemon = await buildkitd({ tls: true });
    const file = (name: "ca" | "cert" | "key") => readFileSync(daemon.tls?.[name] ?? "", "utf8");
    tls = { ca: file("ca"), cert: file("cert"), key: file("key") };
  });
  after(() => daemon.stop());

  async function asked<T>(
    material: TlsMaterial,
    ask: (client: BuildkitClient) => Promise<T>,
  ): Promise<T> {
    const client = connect(parseEndpoint(daemon.address, material));
    try {
      return await ask(client);
    } finally {
      client.close();
    }
  }
  const info = (client: BuildkitClient) => client.info(deadline());

  it("answers the holder of a certificate, and builds for it", async () => {
    assert.match((await asked(tls, info)).version, /^0\.34\./);
    await asked(tls, (client) => solve(client, "FROM busybox\n"));
  });

  it("is not taken for a daemon of another name", async () => {
    const error = await failure(asked({ ...tls, serverName: "other.example" }, info));
    assert.deepEqual(
      [error.class, error.reason, error.retryable],
      ["Builder", "TlsRejected", false],
      error.message,
    );
  });

  it("is not trusted under another authority", async () => {
    const place = scratch("other-ca");
    try {
      const other = await authority(place.folder, "other");
      const pair = await leaf(other, { name: "client", commonName: "client" });
      const read = (file: string) => readFileSync(file, "utf8");
      const ca = await failure(asked({ ...tls, ca: read(other.cert) }, info));
      assert.deepEqual([ca.class, ca.reason], ["Builder", "TlsRejected"], ca.message);
      const cert = await failure(
        asked({ ca: tls.ca, cert: read(pair.cert), key: read(pair.key) }, info),
      );
      assert.equal(cert.class, "Builder", cert.message);
    } finally {
      place.remove();
    }
  });

  it("answers nobody without a certificate", async () => {
    assert.equal((await failure(asked({ ca: tls.ca }, info))).class, "Builder");
  });

  it("is not dialled with material that is not PEM", () => {
    assert.throws(() => connect(parseEndpoint(daemon.address, { ...tls, key: "nonsense" })), {
      reason: "TlsInvalid",
    });
    assert.throws(
      () => connect(parseEndpoint(daemon.address, { ca: tls.ca, cert: tls.cert ?? "" })),
      {
        reason: "TlsInvalid",
      },
    );
  });
});
