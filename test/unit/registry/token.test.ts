import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { KilnError } from "../../../src/errors/index.ts";
import { parseDockerConfig } from "../../../src/registry/docker-config.ts";
import { readDigest, readManifest } from "../../../src/registry/manifest.ts";
import { parseReference } from "../../../src/registry/reference.ts";
import { fetchToken, probe } from "../../../src/registry/token.ts";
import { tokenRegistry, type TokenRegistry } from "./token-registry.ts";

// Never aborts: a time that began when the file was loaded would be over in a slow suite.
const { signal } = new AbortController();
const login = { kind: "basic", username: "me", password: "pw" } as const;

describe("a registry with a token server", () => {
  let registry: TokenRegistry;
  beforeEach(async () => {
    registry = await tokenRegistry({ username: "me", password: "pw", identityToken: "id" });
  });
  afterEach(() => registry.stop());

  const wish = () => ({ realm: registry.realm, service: "fake", scopes: ["repository:a:pull"] });
  const logins = (password: string) =>
    parseDockerConfig(JSON.stringify({ auths: { [registry.host]: { username: "me", password } } }));

  it("says how it wants to be logged in to", async () => {
    assert.deepEqual(await probe(registry.host, { signal }), {
      kind: "bearer",
      realm: registry.realm,
      service: "fake",
    });
  });

  it("gives a token for a login", async () => {
    const { token, expiresInSeconds } = await fetchToken(registry.host, wish(), login, { signal });
    assert.deepEqual([token, expiresInSeconds], ["token for repository:a:pull", 120]);
  });

  it("gives a token for a login in the OAuth form when that is all it knows", async () => {
    registry.refuseGet(405);
    const { token } = await fetchToken(registry.host, wish(), login, { signal });
    assert.equal(token, "token for repository:a:pull");
  });

  it("exchanges an identity token", async () => {
    const identity = { kind: "identityToken", username: "", token: "id" } as const;
    const { token } = await fetchToken(registry.host, wish(), identity, { signal });
    assert.equal(token, "token for repository:a:pull");
  });

  it("hands on a token that is one already, and asks nobody", async () => {
    const ready = { kind: "registryToken", token: "rt" } as const;
    assert.equal((await fetchToken(registry.host, wish(), ready, { signal })).token, "rt");
    assert.equal(registry.requests.length, 0);
  });

  const failures: [sentence: string, status: number, reason: string, retryable: boolean][] = [
    ["a refusal", 403, "RegistryAuthFailed", false],
    ["a limit", 429, "RegistryRateLimited", true],
    ["an accident", 503, "RegistryUnavailable", true],
  ];
  for (const [sentence, status, reason, retryable] of failures) {
    it(`tells of ${sentence}`, async () => {
      registry.refuseGet(status);
      await assert.rejects(
        fetchToken(registry.host, wish(), login, { signal }),
        (error) =>
          error instanceof KilnError &&
          error.class === "Registry" &&
          error.reason === reason &&
          error.retryable === retryable &&
          !error.message.includes("pw"),
      );
    });
  }

  it("follows no redirect with a login", async () => {
    registry.refuseGet(307);
    await assert.rejects(fetchToken(registry.host, wish(), login, { signal }), KilnError);
    assert.deepEqual(
      registry.requests.map(({ path }) => path),
      ["/token"],
    );
  });

  it("reads a manifest with a token for pulling just that", async () => {
    const reference = parseReference(`${registry.host}/team/app:1`);
    const manifest = await readManifest(reference, { signal, logins: logins("pw") });
    const digest = `sha256:${createHash("sha256").update(registry.manifest).digest("hex")}`;
    assert.deepEqual([manifest.digest, manifest.size], [digest, registry.manifest.length]);
    assert.deepEqual(registry.scopes, ["repository:team/app:pull"]);
    assert.equal(await readDigest(reference, { signal, logins: logins("pw") }), digest);
  });

  it("says that the password is wrong", async () => {
    await assert.rejects(
      readManifest(parseReference(`${registry.host}/a:1`), { signal, logins: logins("wrong") }),
      { reason: "RegistryAuthFailed" },
    );
  });

  it("says that there is no such image", async () => {
    await assert.rejects(
      readManifest(parseReference(`${registry.host}/nothing:1`), { signal, logins: logins("pw") }),
      { reason: "ImageNotFound" },
    );
  });

  it("does not take other bytes for a digest", async () => {
    const reference = parseReference(`${registry.host}/a@sha256:${"0".repeat(64)}`);
    await assert.rejects(readManifest(reference, { signal, logins: logins("pw") }), {
      reason: "RegistryCorrupt",
    });
  });

  it("says that nobody answers", async () => {
    await registry.stop();
    await assert.rejects(probe(registry.host, { signal }), {
      class: "Registry",
      reason: "RegistryUnreachable",
      retryable: true,
    });
  });

  it("gives up at its deadline", async () => {
    registry.hang();
    await assert.rejects(probe(registry.host, { signal, deadlineMs: 50 }), {
      reason: "RegistryUnreachable",
    });
  });

  it("stops when it is told to", async () => {
    registry.hang();
    const stop = new AbortController();
    const asked = probe(registry.host, { signal: stop.signal });
    await registry.asked;
    stop.abort();
    await assert.rejects(asked, { name: "AbortError" });
  });
});
