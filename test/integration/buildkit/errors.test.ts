// Each reason of the error table that a real buildkitd can be made to give, given by one.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import {
  type Attachable,
  type BuildkitClient,
  BuildkitError,
  connect,
  filesync,
  inMemoryTree,
  parseEndpoint,
  renderSource,
  type SolveRequest,
} from "../../../src/buildkit/index.ts";
import { type Buildkitd, buildkitd, scratch } from "../../cluster/index.ts";
import { deadline, failure } from "./solving.ts";

/** A server that answers as its path says: /status/403/…, /s3/NoSuchBucket/…, or as a registry whose images are named so. */
async function oddServer(): Promise<{ readonly host: string; stop(): Promise<void> }> {
  const server: Server = createServer((request, response) => {
    const [, first = "", second = ""] = (request.url ?? "").split("/");
    if (first === "v2" && second === "") return void response.end("{}");
    if (first === "v2" && second === "hang") {
      const realm = `Bearer realm="http://${request.headers.host}/token",service="s"`;
      return void response.writeHead(401, { "www-authenticate": realm }).end();
    }
    if (first === "v2") return void response.writeHead(Number(second.slice(1))).end();
    if (first === "s3")
      return void response
        .writeHead(second === "NoSuchBucket" ? 404 : 403, { "content-type": "application/xml" })
        .end(`<Error><Code>${second}</Code><Message>no</Message></Error>`);
    if (first === "status") return void response.writeHead(Number(second)).end();
    response.end("some bytes");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A policy that denies every source: CheckPolicyResponse{decision{action: 1, denyMessages: [{message}]}}. */
function denies(message: string): Attachable {
  const field = (tag: number, bytes: Uint8Array): Buffer =>
    Buffer.concat([Buffer.from([tag, bytes.length]), bytes]);
  const messages = field(0x12, field(0x0a, Buffer.from(message)));
  const response = field(0x0a, Buffer.concat([Buffer.from([0x08, 1]), messages]));
  return {
    methods: {
      "/moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier/CheckPolicy": {
        kind: "unary",
        handle: () => Promise.resolve(response),
      },
    },
  };
}

describe("the reasons of a real buildkitd", () => {
  let odd: Awaited<ReturnType<typeof oddServer>>;
  let daemon: Buildkitd;
  let client: BuildkitClient;
  before(async () => {
    odd = await oddServer();
    daemon = await buildkitd({
      insecureRegistries: [odd.host],
      config:
        '[frontend."gateway.v0"]\n  allowedRepositories = ["docker.io/library/busybox"]\n[system]\n  sessionAuthTimeout = "1s"\n',
    });
    client = connect(parseEndpoint(daemon.address));
  });
  after(async () => {
    client.close();
    await daemon.stop();
    await odd.stop();
  });

  interface Asked extends Partial<SolveRequest> {
    /** Default: FROM busybox. */
    readonly dockerfile?: string;
    /** In place of the Dockerfile's directory. */
    readonly attachables?: readonly Attachable[];
  }

  async function reasonOf({ dockerfile, attachables, ...asked }: Asked): Promise<BuildkitError> {
    const data = dockerfile ?? "FROM busybox\n";
    const tree = inMemoryTree(new Map([["Dockerfile", { data }]]));
    const request = {
      ref: randomUUID(),
      frontend: "dockerfile.v0",
      frontendAttrs: {},
      exporters: [],
      cacheImports: [],
      cacheExports: [],
      ...asked,
    };
    return failure(
      client.solve(request, {
        attachables: attachables ?? [filesync({ dockerfile: tree, context: tree })],
        onEvent: () => undefined,
        signal: deadline(),
      }),
    );
  }

  const digest = `sha256:${"0".repeat(64)}`;
  const cache = (type: string, attrs: Record<string, string> = {}): Asked => ({
    cacheExports: [{ type, attrs }],
  });
  const s3 = (code: string): Record<string, string> => ({
    bucket: "b",
    region: "r",
    endpoint_url: code === "" ? "http://127.0.0.1:1" : `http://${odd.host}/s3/${code}`,
    use_path_style: "true",
    access_key_id: "a",
    secret_access_key: "b",
    retry_max_attempts: "1",
  });
  const output = (type: string, attrs: Record<string, string> = {}, more: Asked = {}): Asked => ({
    exporters: [{ type, attrs }],
    ...more,
  });
  const scopes = JSON.stringify([{ Scope: "s", Permission: 3 }]);
  const token = [{ alg: "none" }, { ac: scopes, nbf: 1, exp: 4_000_000_000 }, {}]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  const silentLogin: Attachable = {
    methods: {
      "/moby.filesync.v1.Auth/Credentials": {
        kind: "unary",
        handle: (_request, _metadata, signal) =>
          new Promise((_, reject) => {
            signal.addEventListener("abort", () => reject(new Error("over")));
          }),
      },
    },
  };

  const cases: [sentence: string, reason: string, asked: () => Asked][] = [
    ["a frontend that is not there", "FrontendUnknown", () => ({ frontend: "no.v0" })],
    ["a gateway without a frontend", "FrontendUnknown", () => ({ frontend: "gateway.v0" })],
    [
      "a frontend that the daemon does not allow",
      "FrontendNotAllowed",
      () => ({ frontend: "gateway.v0", frontendAttrs: { source: "docker.io/library/debian" } }),
    ],
    [
      "a frontend's image that is none",
      "StepFailed",
      () => ({
        frontend: "gateway.v0",
        frontendAttrs: { source: "docker.io/library/busybox" },
      }),
    ],
    [
      "a capability that the frontend does not have",
      "UnsupportedFeature",
      () => ({ frontendAttrs: { "frontend.caps": "moby.buildkit.frontend.no" } }),
    ],
    ["a version that never was", "CompatibilityUnsupported", () => ({ compatibilityVersion: 5 })],
    [
      "bytes that are no LLB",
      "DefinitionInvalid",
      () => ({ frontend: "", definition: Buffer.from("\n\u0003abc") }),
    ],
    [
      "LLB beside a frontend",
      "DefinitionInvalid",
      () => ({ definition: Buffer.from("\n\u0003abc") }),
    ],
    ["a directory that nobody serves", "ContextNotFound", () => ({ attachables: [] })],
    [
      "an OCI layout that nobody serves",
      "OciLayoutNotFound",
      () => ({
        dockerfile: "FROM base\n",
        frontendAttrs: { "context:base": `oci-layout://store@${digest}` },
      }),
    ],
    ["a cache of no kind", "CacheUnknown", () => cache("no")],
    [
      "two caches to one place",
      "CacheOptionInvalid",
      () => {
        const attrs = { ref: "r.example/c" };
        return {
          cacheExports: [
            { type: "registry", attrs },
            { type: "registry", attrs },
          ],
        };
      },
    ],
    ["a local cache without a place", "CacheOptionInvalid", () => cache("local")],
    ["an S3 cache without a bucket", "CacheOptionInvalid", () => cache("s3")],
    ["a GitHub cache without a URL", "CacheOptionInvalid", () => cache("gha")],
    ["an Azure cache without an account", "CacheOptionInvalid", () => cache("azblob")],
    ["an S3 cache that nobody serves", "CacheUnreachable", () => cache("s3", s3(""))],
    ["an S3 cache with the wrong key", "CacheAuthFailed", () => cache("s3", s3("AccessDenied"))],
    ["an S3 cache without its bucket", "CacheNotFound", () => cache("s3", s3("NoSuchBucket"))],
    [
      "a GitHub cache that nobody serves",
      "CacheUnreachable",
      () => cache("gha", { url: "http://127.0.0.1:1/", token }),
    ],
    [
      "an Azure cache that refuses",
      "CacheAuthFailed",
      () =>
        cache("azblob", {
          account_url: `http://${odd.host}/status/403`,
          account_name: "a",
          secret_access_key: "YQ==",
        }),
    ],
    [
      "several platforms for Docker",
      "ExporterOptionInvalid",
      () =>
        output(
          "docker",
          {},
          {
            dockerfile: "FROM scratch\nCOPY Dockerfile /\n",
            frontendAttrs: { platform: "linux/amd64,linux/arm64" },
          },
        ),
    ],
    [
      "annotations of an index that there is not",
      "ExporterOptionInvalid",
      () => output("image", { "annotation-index.a": "b" }),
    ],
    ["a value that is none", "ExporterOptionInvalid", () => output("image", { push: "perhaps" })],
    [
      "a compression that is not there",
      "ExporterOptionInvalid",
      () => output("image", { compression: "no" }),
    ],
    ["an output that nobody takes", "SessionMethodMissing", () => output("oci")],
    ["an entitlement of no kind", "EntitlementUnknown", () => ({ entitlements: ["sudo"] })],
    [
      "an entitlement that the daemon does not grant",
      "EntitlementNotAllowed",
      () => ({ entitlements: ["security.insecure"] }),
    ],
    [
      "an entitlement that the build did not ask for",
      "EntitlementNotAllowed",
      () => ({ dockerfile: "FROM busybox\nRUN --network=host true\n" }),
    ],
    [
      "a source that the policy denies",
      "PolicyDenied",
      () => ({
        sourcePolicy: {
          rules: [
            {
              action: "deny",
              selector: {
                identifier: "docker-image://docker.io/library/busybox:latest",
                match: "exact",
              },
            },
          ],
        },
      }),
    ],
    [
      "a file with another checksum",
      "ChecksumMismatch",
      () => ({
        dockerfile: `FROM scratch\nADD --checksum=${digest} http://${odd.host}/file /\n`,
      }),
    ],
    [
      "a file that its server refuses",
      "DownloadRefused",
      () => ({ dockerfile: `FROM scratch\nADD http://${odd.host}/status/404/file /\n` }),
    ],
    [
      "a file whose server fails",
      "DownloadFailed",
      () => ({ dockerfile: `FROM scratch\nADD http://${odd.host}/status/502/file /\n` }),
    ],
    [
      "a registry that has had enough",
      "RegistryRateLimited",
      () => ({ dockerfile: `FROM ${odd.host}/s429/x:1\n` }),
    ],
    [
      "a registry that fails",
      "RegistryUnavailable",
      () => ({ dockerfile: `FROM ${odd.host}/s503/x:1\n` }),
    ],
    [
      "a registry that refuses",
      "RegistryAuthFailed",
      () => ({ dockerfile: `FROM ${odd.host}/s403/x:1\n` }),
    ],
    [
      "a login that the session does not answer with",
      "TimedOut",
      () => {
        const data = `FROM ${odd.host}/hang/x:1\n`;
        const tree = inMemoryTree(new Map([["Dockerfile", { data }]]));
        return { attachables: [filesync({ dockerfile: tree, context: tree }), silentLogin] };
      },
    ],
    [
      "a Dockerfile with an option that is not there",
      "OptionInvalid",
      () => ({ frontendAttrs: { "force-network-mode": "no" } }),
    ],
  ];
  for (const [sentence, reason, asked] of cases) {
    it(`tells of ${sentence}`, async () => {
      const error = await reasonOf(asked());
      assert.equal(error.reason, reason, `code ${error.grpcCode}: ${error.message}`);
    });
  }

  it("says what the provenance lacks", async () => {
    const error = await reasonOf({
      dockerfile: "FROM scratch\nCOPY Dockerfile /\n",
      frontendAttrs: { "attest:provenance": "mode=max,complete-materials=true" },
      exporters: [{ type: "image", attrs: {} }],
    });
    assert.equal(error.reason, "ProvenanceIncomplete", error.message);
    const lacking = error.details.incompleteMaterials.map(({ name, reason }) => [name, reason]);
    assert.deepEqual(lacking, [
      ["context", "local_source"],
      ["dockerfile", "local_source"],
    ]);
  });

  it("says what an old version lacks", async () => {
    const error = await reasonOf({
      dockerfile: "FROM scratch\nCOPY Dockerfile /\n",
      compatibilityVersion: 10,
      exporters: [{ type: "image", attrs: { compression: "zstd" } }],
    });
    assert.equal(error.reason, "CompatibilityUnsupported", error.message);
    assert.deepEqual(error.details.compatibility, {
      version: 10,
      feature: "image exporter compression=zstd",
    });
  });

  it("says why the session denies a source", async () => {
    const data = "FROM busybox\n";
    const tree = inMemoryTree(new Map([["Dockerfile", { data }]]));
    const files = filesync({ dockerfile: tree, context: tree });
    const attachables = [files, denies("only on Sundays")];
    const error = await reasonOf({ sourcePolicySession: true, attachables });
    assert.deepEqual(error.details.decisions, [{ action: "deny", messages: ["only on Sundays"] }]);
    assert.match(error.message, /only on Sundays/);
  });

  it("shows the failing lines as buildctl does", async () => {
    const place = scratch("excerpt");
    try {
      for (const dockerfile of [
        "FROM busybox\n\nRUN true\nRUN false\n\nRUN true\n",
        "FROM busybox\nRUN true && \\\n  false\n",
        "FROM busybox\nRUNX make\n",
      ]) {
        writeFileSync(path.join(place.folder, "Dockerfile"), dockerfile);
        const local = ["dockerfile", "context"].map((name) => `--local=${name}=${place.folder}`);
        const told = await daemon
          .buildctl(["build", "--progress=plain", "--frontend=dockerfile.v0", ...local])
          .then(
            () => "",
            (error: unknown) => String(error),
          );
        const { source } = await reasonOf({ dockerfile });
        assert.ok(source);
        assert.ok(told.includes(renderSource(source)), `${told}\n---\n${renderSource(source)}`);
      }
    } finally {
      place.remove();
    }
  });
});
