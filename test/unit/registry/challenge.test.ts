import assert from "node:assert/strict";
import fc from "fast-check";
import { parseChallenges, parseToken, tokenRequests } from "../../../src/registry/challenge.ts";
import { parseManifest } from "../../../src/registry/manifest.ts";
import { baseUrls, loginWanted } from "../../../src/registry/token.ts";

const wish = {
  realm: "https://auth.example/token?x=1",
  service: "r",
  scopes: ["repository:a:pull"],
};

describe("registry challenges", () => {
  const cases: [
    sentence: string,
    header: string,
    challenges: ReturnType<typeof parseChallenges>,
  ][] = [
    ["reads Basic", 'Basic realm="x"', [{ scheme: "basic", parameters: { realm: "x" } }]],
    [
      "keeps commas inside of quotes",
      'Bearer realm="https://a.example/t",service="r",scope="repository:a:pull,push"',
      [
        {
          scheme: "bearer",
          parameters: {
            realm: "https://a.example/t",
            service: "r",
            scope: "repository:a:pull,push",
          },
        },
      ],
    ],
    [
      "reads two schemes in one header",
      'Basic realm="b", Bearer realm="c",service=plain',
      [
        { scheme: "basic", parameters: { realm: "b" } },
        { scheme: "bearer", parameters: { realm: "c", service: "plain" } },
      ],
    ],
    ["undoes escapes", 'Basic realm="a\\"b"', [{ scheme: "basic", parameters: { realm: 'a"b' } }]],
    ["reads a bare scheme", "Negotiate", [{ scheme: "negotiate", parameters: {} }]],
    ["reads nothing out of nothing", "", []],
  ];
  for (const [sentence, header, challenges] of cases) {
    it(sentence, () => assert.deepEqual(parseChallenges(header), challenges));
  }

  it("ends on any header", () => {
    fc.assert(fc.property(fc.string(), (header) => Array.isArray(parseChallenges(header))));
  });

  it("prefers Bearer to Basic, and knows a Bearer without realm for none", () => {
    assert.deepEqual(loginWanted('Basic realm="b", Bearer realm="c"'), {
      kind: "bearer",
      realm: "c",
      service: "",
    });
    assert.deepEqual(loginWanted("Bearer x=y"), { kind: "none" });
  });

  it("allows plain http on this machine only", () => {
    assert.deepEqual(baseUrls("r.example", false), ["https://r.example"]);
    assert.deepEqual(baseUrls("127.0.0.1:5", false), ["https://127.0.0.1:5", "http://127.0.0.1:5"]);
    assert.deepEqual(baseUrls("127.0.0.1.r.example", false), ["https://127.0.0.1.r.example"]);
  });
});

describe("token requests", () => {
  it("asks anonymously for just the wished scopes", () => {
    const [request, more] = tokenRequests(wish, undefined);
    assert.equal(more, undefined);
    assert.equal(
      request?.url,
      "https://auth.example/token?x=1&service=r&scope=repository%3Aa%3Apull",
    );
    assert.deepEqual(request?.headers, {});
  });

  it("tries a login as GET, then in the OAuth form", () => {
    const requests = tokenRequests(wish, { kind: "basic", username: "u", password: "p" });
    assert.deepEqual(
      requests.map(({ method }) => method),
      ["GET", "POST"],
    );
    assert.equal(requests[0]?.headers["authorization"], "Basic dTpw");
    assert.match(requests[1]?.body ?? "", /grant_type=password&username=u&password=p/);
  });

  it("exchanges an identity token by POST alone", () => {
    const requests = tokenRequests(wish, { kind: "identityToken", username: "", token: "id" });
    assert.equal(requests.length, 1);
    assert.match(requests[0]?.body ?? "", /grant_type=refresh_token&refresh_token=id/);
  });

  it("refuses a realm that is no http address", () => {
    assert.throws(
      () => tokenRequests({ ...wish, realm: "file:///etc/passwd" }, undefined),
      TypeError,
    );
  });

  const answers: [sentence: string, body: string, token: object | undefined][] = [
    ["reads token", '{"token":"t"}', { token: "t", expiresInSeconds: 60 }],
    [
      "reads access_token",
      '{"access_token":"t","expires_in":300}',
      { token: "t", expiresInSeconds: 300 },
    ],
    [
      "reads when it was issued",
      '{"token":"t","issued_at":"2026-01-02T03:04:05Z"}',
      { token: "t", expiresInSeconds: 60, issuedAt: new Date("2026-01-02T03:04:05Z") },
    ],
    ["knows an empty token for none", '{"token":""}', undefined],
    ["knows a page for none", "<html>", undefined],
    ["knows null for none", "null", undefined],
  ];
  for (const [sentence, body, token] of answers) {
    it(sentence, () => assert.deepEqual(parseToken(body), token));
  }
});

describe("manifests", () => {
  it("reads the platforms of an index and leaves out attestations", () => {
    const body = Buffer.from(
      JSON.stringify({
        mediaType: "application/vnd.oci.image.index.v1+json",
        manifests: [
          { digest: "sha256:a", size: 1, platform: { os: "linux", architecture: "amd64" } },
          {
            digest: "sha256:b",
            size: 2,
            platform: { os: "linux", architecture: "arm64", variant: "v8" },
          },
          {
            digest: "sha256:c",
            size: 3,
            platform: { os: "linux", architecture: "arm", variant: "v7" },
          },
          { digest: "sha256:d", size: 4, platform: { os: "unknown", architecture: "unknown" } },
          { digest: 5 },
        ],
      }),
    );
    assert.deepEqual(parseManifest(body, { digest: "sha256:x", type: "" }).platforms, [
      { platform: "linux/amd64", digest: "sha256:a", size: 1 },
      { platform: "linux/arm64", digest: "sha256:b", size: 2 },
      { platform: "linux/arm/v7", digest: "sha256:c", size: 3 },
    ]);
  });

  it("refuses what is not JSON", () => {
    assert.throws(
      () => parseManifest(Buffer.from("<"), { digest: "sha256:x", type: "" }),
      /not JSON/,
    );
  });
});
