// What is read out of provenance and image blobs, and how secret values are cut out of text.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { inspect } from "node:util";
import fc from "fast-check";
import { imageFacts } from "../../../src/agent/facts/image.ts";
import { provenanceFacts } from "../../../src/agent/facts/provenance.ts";
import { redactor } from "../../../src/agent/events/redact.ts";
import { Sealed } from "../../../src/agent/sealed.ts";

const sha = "c".repeat(64);
const commit = "d".repeat(40);
const materials = [
  { uri: "pkg:docker/debian@bookworm-slim?platform=linux%2Famd64", digest: { sha256: sha } },
  { uri: "pkg:docker/debian@bookworm-slim?platform=linux%2Farm64", digest: { sha256: sha } },
  { uri: "https://git.example/other.git#v1", digest: { sha1: "e".repeat(40) } },
  { uri: "https://git.example/web.git#main", digest: { sha1: commit } },
];

describe("provenance", () => {
  const statements: readonly (readonly [string, unknown])[] = [
    ["v0.2", { predicate: { materials } }],
    ["v1", { predicate: { buildDefinition: { resolvedDependencies: materials } } }],
    ["a bare predicate", { materials }],
  ];
  for (const [name, statement] of statements)
    it(`tells the commit and the base images: ${name}`, () => {
      assert.deepEqual(provenanceFacts(statement, "https://git.example/web.git#main:app"), {
        git: { url: "https://git.example/web.git", commit },
        baseImages: [{ ref: "debian:bookworm-slim", digest: `sha256:${sha}` }],
      });
    });

  const spellings: readonly (readonly [string, string])[] = [
    ["git@git.example:shop/web.git#main", "ssh://git@git.example/shop/web.git"],
    ["git@git.example:shop/web.git", "git@git.example:shop/web.git#main"],
    ["ssh://git@git.example:22/shop/web.git#:app", "ssh://xxxxx@git.example:22/shop/web.git"],
    ["https://git.example/shop/web.git", "git+https://git.example/shop/web.git#main"],
  ];
  for (const [context, uri] of spellings)
    it(`knows that ${uri} is ${context}`, () => {
      const other = { uri: "https://git.example/shop/other.git", digest: { sha1: "f".repeat(40) } };
      const facts = provenanceFacts(
        { materials: [other, { uri, digest: { sha1: commit } }] },
        context,
      );
      assert.equal(facts.git?.commit, commit);
    });

  it("tells the checksum of an archive", () => {
    const statement = {
      materials: [{ uri: "https://files.example/a.tar.gz", digest: { sha256: sha } }],
    };
    assert.deepEqual(provenanceFacts(statement, "https://files.example/a.tar.gz"), {
      http: { url: "https://files.example/a.tar.gz", checksum: `sha256:${sha}` },
      baseImages: [],
    });
  });

  it("survives anything that is JSON", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) =>
        assert.ok(Array.isArray(provenanceFacts(value, "https://a/b.git").baseImages)),
      ),
    );
  });
});

/** A content store of JSON blobs. */
function store(...blobs: object[]): {
  digests: string[];
  read: (digest: string) => Promise<Buffer | undefined>;
} {
  const bytes = blobs.map((blob) => Buffer.from(JSON.stringify(blob)));
  const digests = bytes.map((blob) => `sha256:${createHash("sha256").update(blob).digest("hex")}`);
  return { digests, read: async (digest) => bytes[digests.indexOf(digest)] };
}

const manifest = {
  config: { digest: "sha256:none", size: 10 },
  layers: [
    { digest: "l", size: 100 },
    { digest: "m", size: 200 },
  ],
};

describe("image facts", () => {
  it("adds up a manifest and names its platform by its configuration", async () => {
    const { digests, read } = store({ os: "linux", architecture: "arm", variant: "v7" });
    const withConfig = { ...manifest, config: { digest: digests[0], size: 10 } };
    const top = store(withConfig);
    const both = async (digest: string) => (await top.read(digest)) ?? (await read(digest));
    const facts = await imageFacts(top.digests[0] ?? "", both);
    const size = 310 + JSON.stringify(withConfig).length;
    assert.deepEqual(facts, {
      digest: top.digests[0],
      size,
      platforms: [{ platform: "linux/arm/v7", digest: top.digests[0], size }],
    });
  });

  it("reads an index without its attestations", async () => {
    const part = store(manifest);
    const digest = part.digests[0] ?? "";
    const index = store({
      manifests: [
        { digest, platform: { os: "linux", architecture: "amd64" } },
        {
          digest: "sha256:att",
          platform: { os: "unknown", architecture: "unknown" },
          annotations: { "vnd.docker.reference.type": "attestation-manifest" },
        },
      ],
    });
    const facts = await imageFacts(
      index.digests[0] ?? "",
      async (d) => (await index.read(d)) ?? (await part.read(d)),
    );
    assert.deepEqual(
      facts.platforms.map(({ platform }) => platform),
      ["linux/amd64"],
    );
  });

  it("says only the digest when the daemon has let go of the blobs", async () => {
    assert.deepEqual(await imageFacts("sha256:gone", async () => undefined), {
      digest: "sha256:gone",
      platforms: [],
    });
  });
});

describe("redaction", () => {
  const canary = 'can"ary/4711 +ümlaut';
  const redact = redactor([Buffer.from(`${canary}\n`)]);
  const encodings: readonly (readonly [string, string])[] = [
    ["as it is", canary],
    ["in base64", Buffer.from(canary).toString("base64")],
    ["in base64 with its line break", Buffer.from(`${canary}\n`).toString("base64")],
    ["in URL-safe base64", Buffer.from(canary).toString("base64url")],
    ["escaped for a URL", encodeURIComponent(canary)],
    ["escaped for JSON", JSON.stringify(canary)],
  ];
  for (const [name, text] of encodings)
    it(`finds a value ${name}`, () => assert.equal(redact(`a ${text} b`).includes("4711"), false));

  it("finds each line of a value", () => {
    assert.equal(
      redactor([Buffer.from("first-line\nsecond-line\n")])("x second-line y"),
      "x [redacted] y",
    );
  });

  it("leaves text alone when there is nothing to hide", () => {
    fc.assert(fc.property(fc.string(), (text) => assert.equal(redactor([])(text), text)));
  });
});

describe("Sealed", () => {
  it("prints as nothing but a seal", () => {
    const sealed = new Sealed({ password: "hunter2" });
    const printed = [
      String(sealed),
      JSON.stringify({ sealed }),
      inspect(sealed),
      inspect({ a: [sealed] }, { depth: 9, showHidden: true }),
    ];
    for (const text of printed) assert.equal(text.includes("hunter2"), false, text);
    assert.equal(sealed.open().password, "hunter2");
  });
});
