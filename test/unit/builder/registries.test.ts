// What a Builder says of registries to others than its daemon: authorities and flags, and never a key.

import assert from "node:assert/strict";
import type { BuilderSpec } from "../../../src/api/v1alpha1/index.ts";
import { registryFacts } from "../../../src/builder/remote/registries.ts";
import type { KubeClient } from "../../../src/kube/client.ts";

const signal = new AbortController().signal;
const certificate = (text: string): string =>
  `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
const key = "-----BEGIN PRIVATE KEY-----\nc4n4ry\n-----END PRIVATE KEY-----\n";

type Registries = NonNullable<BuilderSpec["buildkitd"]>["registries"];

const registry = (host: string, more: object = {}): Registries[number] => ({
  host,
  mirrors: [],
  http: false,
  insecure: false,
  ...more,
});

/** Has these Secrets, and remembers who asked for which. Honours `get` only. */
function cluster(data: Readonly<Record<string, Readonly<Record<string, string>>>>) {
  const asked: string[] = [];
  const client = {
    asServiceAccount: (namespace: string, account: string) => ({
      get: async (_: unknown, { name }: { readonly name: string }) => {
        asked.push(`${namespace}/${account} ${name}`);
        const texts = data[name];
        if (texts === undefined) return undefined;
        const encoded = Object.entries(texts).map(([key_, text]) => [
          key_,
          Buffer.from(text).toString("base64"),
        ]);
        return { metadata: { name }, data: Object.fromEntries(encoded) as object };
      },
    }),
  } as unknown as KubeClient;
  const reader = { client, namespace: "shop", serviceAccountName: "farm", mayUseSockets: false };
  return { asked, reader };
}

const facts = async (
  { reader }: ReturnType<typeof cluster>,
  hosts: readonly string[],
  ...registries: Registries
) => {
  const spec = { buildkitd: { registries } } as unknown as Pick<BuilderSpec, "buildkitd">;
  return await registryFacts(spec, new Set(hosts), reader, signal);
};

describe("what a Builder says of registries", () => {
  const ca = (secretName: string, of = "ca.crt") => ({ ca: { secretName, key: of } });

  it("is read for those that are asked for, with the rights of its account", async () => {
    const there = cluster({ a: { "ca.crt": certificate("A") }, b: { "ca.crt": certificate("B") } });
    const { authorities, insecureRegistries } = await facts(
      there,
      ["a.example", "plain.example", "careless.example", "elsewhere.example"],
      registry("a.example", ca("a")),
      registry("b.example", ca("b")),
      registry("plain.example", { http: true }),
      registry("careless.example", { insecure: true }),
      registry("far.example", { insecure: true }),
    );
    assert.deepEqual(authorities, new Map([["a.example", certificate("A")]]));
    assert.deepEqual(insecureRegistries, new Set(["plain.example", "careless.example"]));
    assert.deepEqual(there.asked, ["shop/farm a"]);
  });

  it("is nothing but certificates, whatever else is in the file, and no client certificate", async () => {
    const bundle = `# ours\n${certificate("A")}${key}${certificate("B")}`;
    const there = cluster({ a: { "all.pem": bundle }, client: { "tls.key": key } });
    const clientCertificate = {
      secretName: "client",
      certificateKey: "tls.crt",
      privateKeyKey: "tls.key",
    };
    const { authorities } = await facts(
      there,
      ["a.example"],
      registry("a.example", { ...ca("a", "all.pem"), clientCertificate }),
    );
    assert.equal(authorities.get("a.example"), certificate("A") + certificate("B"));
    assert.deepEqual(there.asked, ["shop/farm a"]);
  });

  const broken: [string, string, Record<string, Record<string, string>>, RegExp][] = [
    ["that is not there", "SecretNotFound", {}, /Secret shop\/a does not exist/],
    ["without the key", "SecretInvalid", { a: { other: "x" } }, /has no key ca\.crt/],
    ["with a key for an authority", "SecretInvalid", { a: { "ca.crt": key } }, /no certificate/],
  ];
  for (const [what, reason, data, message] of broken)
    it(`is not to be had from a Secret ${what}`, async () => {
      const asking = facts(cluster(data), ["a.example"], registry("a.example", ca("a")));
      await assert.rejects(asking, (error: Error & { class: string; reason: string }) => {
        assert.deepEqual([error.class, error.reason], ["Builder", reason]);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /c4n4ry/);
        return true;
      });
    });
});
