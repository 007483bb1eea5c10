// Runs that push to registries that are hard to please: tokens that end during a push, layers that are in another repository
// already, a password and a certificate of an authority of one's own.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { send } from "../../../../src/registry/http.ts";
import { type Registry, registry } from "../../../cluster/index.ts";
import {
  aDaemon,
  build,
  inline,
  namesAuthority,
  namesRegistries,
  secret,
  succeeds,
} from "../daemon.ts";
import { outerAddress } from "../outer-address.ts";
import { type TokenGate, tokenGate } from "./token-gate.ts";

const [user, password] = ["kiln", "c4n4ry-registry-password"];

describe("a run that pushes", () => {
  let gate: TokenGate;
  let secure: Registry;
  const daemon = aDaemon({
    insecure: async () => {
      gate = await tokenGate({ user, password, lifeMs: 1_000, slowMs: 400 });
      secure = await registry({ tls: true, auth: { user, password }, address: outerAddress() });
      return [gate.host];
    },
    config: () => `[registry."${secure.host}"]\n  ca = ["${secure.ca}"]\n`,
  });
  before(() => gate.behind(daemon.registry.url));
  after(async () => {
    await Promise.all([gate.stop(), secure.stop()]);
  });
  beforeEach(async () => {
    gate.scopes.length = 0;
    gate.passages.length = 0;
    const auths = Object.fromEntries(
      [gate.host, secure.host].map((host) => [host, { username: user, password }]),
    );
    const type = "kubernetes.io/dockerconfigjson";
    await secret(daemon, "login", { ".dockerconfigjson": JSON.stringify({ auths }) }, type);
  });

  const to = (tag: string, more: object = {}) => ({
    outputs: [{ image: { tags: [tag] } }],
    registryCredentials: [{ secretRef: { name: "login" } }],
    ...more,
  });

  it("gets new tokens when the registry does not take the old ones any more, in the middle of the push", async () => {
    const steps = [1, 2, 3, 4].map((n) => `RUN head -c 300000 /dev/urandom > /${n}`);
    const dockerfile = ["FROM busybox", ...steps, ""].join("\n");
    const { outputs, attempts } = await succeeds(
      daemon,
      inline(dockerfile, to(`${gate.host}/long:1`, { retry: { limit: 0 } })),
    );
    assert.equal(attempts?.length, 1);
    const { digest, readBack } = outputs?.[0]?.image ?? {};
    assert.equal(readBack?.[0]?.digest, digest, "the tag was read back with a token, too");
    const refused = gate.passages.filter(({ expired }) => expired);
    assert.ok(refused.some(({ status, method }) => status === 401 && method !== "GET"));
    const pushing = gate.scopes.filter((scope) => /^repository:long:.*push/.test(scope));
    assert.ok(pushing.length > 1, gate.scopes.join(" "));
  });

  it("mounts the layers of its base image from their repository, and sends its own only", async () => {
    const random = "RUN head -c 200000 /dev/urandom > /layer\n";
    await succeeds(daemon, inline(`FROM busybox\n${random}`, to(`${gate.host}/base:1`)));
    gate.passages.length = 0;
    const dockerfile = `FROM ${gate.host}/base:1\nRUN date > /own\n`;
    const { outputs } = await succeeds(daemon, inline(dockerfile, to(`${gate.host}/app:1`)));
    const digest = outputs?.[0]?.image?.digest ?? "";
    const manifest = async (name: string, reference: string): Promise<string[]> => {
      const accept =
        "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
      const url = `${daemon.registry.url}/v2/${name}/manifests/${reference}`;
      const found = (await (await fetch(url, { headers: { accept } })).json()) as {
        layers?: { digest: string }[];
        manifests?: { digest: string; annotations?: object }[];
      };
      const [first] = found.manifests ?? [];
      if (first !== undefined) return await manifest(name, first.digest);
      return (found.layers ?? []).map((layer) => layer.digest);
    };
    const ofBase = await manifest("base", "1");
    const all = await manifest("app", digest);
    assert.deepEqual(all.slice(0, -1), ofBase, "its base's layers and one more");
    const mounted = gate.passages
      .filter(({ method, status }) => method === "POST" && status === 201)
      .map(({ path }) => new URL(path, "http://gate").searchParams)
      .map((query) => query.get("mount"));
    assert.deepEqual(new Set(mounted), new Set(ofBase));
    const sent = gate.passages
      .filter(({ method, status }) => method === "PUT" && status === 201)
      .map(({ path }) => new URL(path, "http://gate").searchParams.get("digest"));
    assert.ok(sent.includes(all.at(-1) ?? ""));
    assert.ok(
      ofBase.every((layer) => !sent.includes(layer)),
      "nothing of the base was sent",
    );
    assert.ok(gate.scopes.some((scope) => scope === "repository:base:pull"));
  });

  it("knows a registry with a password by the authority that the builder is told", async () => {
    const tag = `${secure.host}/private:1`;
    const { outputs } = await succeeds(daemon, inline("FROM busybox\nRUN date > /d\n", to(tag)));
    const { digest } = outputs?.[0]?.image ?? {};
    const answer = await readSecure("private", "1");
    assert.equal(answer, digest);
    const from = `FROM ${secure.host}/private:1\nRUN test -f /d\n`;
    const login = { registryCredentials: [{ secretRef: { name: "login" } }] };
    await succeeds(daemon, inline(from, login));
    const { failure } = await build(daemon, inline(from, { pull: true, noCache: true }));
    assert.deepEqual([failure?.class, failure?.reason], ["Registry", "RegistryAuthFailed"]);
    assert.doesNotMatch(JSON.stringify(outputs), /c4n4ry/);
  });

  it("writes and lends artifacts, and reads tags back, by the authority that only the Builder names", async () => {
    const ref = `${secure.host}/files:1`;
    const tag = `${secure.host}/beside:1`;
    const login = { registryCredentials: [{ secretRef: { name: "login" } }], retry: { limit: 0 } };
    const outputs = [{ image: { tags: [tag] } }, { oci: { to: { artifact: { ref } } } }];
    const made = inline("FROM busybox\nRUN echo made > /made\n", { ...login, outputs });
    const { failure } = await build(daemon, made);
    assert.deepEqual([failure?.class, failure?.reason], ["Registry", "RegistryTlsFailed"]);
    await namesAuthority(daemon, secure);
    const { outputs: [image, files] = [] } = await succeeds(daemon, made);
    assert.equal(image?.image?.readBack?.[0]?.digest, image?.image?.digest);
    assert.equal(await readSecure("beside", "1"), image?.image?.digest);
    assert.equal(await readSecure("files", "1"), files?.files?.digest);
    const context = { buildContexts: [{ name: "made", artifact: { ref } }] };
    await succeeds(daemon, inline("FROM made\nRUN grep made /made\n", { ...login, ...context }));
  });

  it("writes an artifact to a registry whose certificate the Builder overlooks", async () => {
    namesRegistries(daemon, [{ host: secure.host, insecure: true }]);
    const to = { artifact: { ref: `${secure.host}/overlooked:1` } };
    const login = { registryCredentials: [{ secretRef: { name: "login" } }] };
    const spec = { ...login, outputs: [{ local: { to } }] };
    const { outputs } = await succeeds(daemon, inline("FROM scratch\nCOPY <<E /f\nE\n", spec));
    assert.equal(await readSecure("overlooked", "1"), outputs?.[0]?.files?.digest);
  });

  /** The digest under a tag, as whoever trusts the authority sees it. */
  async function readSecure(repository: string, tag: string): Promise<string | undefined> {
    const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
    const accept =
      "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
    const url = `${secure.url}/v2/${repository}/manifests/${tag}`;
    const { headers } = await send(
      { method: "HEAD", url, headers: { authorization, accept } },
      { signal: AbortSignal.timeout(10_000), ca: readFileSync(secure.ca ?? "", "utf8") },
    );
    return headers["docker-content-digest"] as string | undefined;
  }
});
