// Each row of the error table, met by a message as buildkitd words it.
import assert from "node:assert/strict";
import { toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { StatusSchema } from "../../../src/gen/google/rpc/status_pb.ts";
import { factsOfCall } from "../../../src/buildkit/errors/details.ts";
import { buildkitError } from "../../../src/buildkit/errors/errors.ts";
import { errorTable, rowOf } from "../../../src/buildkit/errors/table.ts";
import { call, type Details, failedStep, source, status, vertex } from "./statuses.ts";

describe("which failure is whose", () => {
  // Messages as buildkitd v0.34.2 and this client word them.
  const cases: [reason: string, code: number, message: string, details?: Details][] = [
    ["StepFailed", 2, 'process "/bin/sh -c echo no space left on device" exit code: 1', failedStep],
    ["PolicyDenied", 7, "source denied", { "policysession.DecisionResponse": { action: 1 } }],
    ["UnsupportedFeature", 12, "needs x", { "errdefs.FrontendCap": { name: "x" } }],
    ["UnsupportedRequest", 12, "unsupported request x", { "errdefs.Subrequest": { name: "x" } }],
    [
      "CompatibilityUnsupported",
      12,
      "unsupported compatibility-version 10 feature x",
      { "errdefs.CompatibilityFeature": { version: 10, feature: "x" } },
    ],
    ["CompatibilityUnsupported", 2, "unsupported compatibility-version 5 (supported: [10 20 30])"],
    [
      "ProvenanceIncomplete",
      2,
      "provenance materials are incomplete",
      { "errdefs.ProvenanceMaterialsIncomplete": { incomplete: [] } },
    ],
    ["RefNotFound", 5, "no such job abc"],
    ["RefNotFound", 2, "failed to retrieve ref abc: file does not exist"],
    ["RefNotFound", 2, "ref abc is deleted: file does not exist"],
    ["BlobNotFound", 5, "content digest sha256:abc: not found"],
    ["FilterInvalid", 2, 'failed to parse history filters ["(("]: parse error'],
    ["FilterInvalid", 2, "invalid limit -1"],
    ["EntitlementUnknown", 2, "unknown entitlement sudo"],
    ["EntitlementNotAllowed", 2, "network.host is not allowed"],
    [
      "EntitlementNotAllowed",
      2,
      "device vendor.com/x=a is requested by the build but not allowed",
      { "errdefs.Source": source },
    ],
    ["FrontendNotAllowed", 2, "'docker.io/a/b' is not an allowed gateway source"],
    ["FrontendNotAllowed", 2, "invalid frontend: gateway.v0"],
    ["SecretTooLarge", 2, "secret big too big. max size 512000"],
    [
      "CacheAuthFailed",
      2,
      "failed to upload blob: operation error S3: HeadObject, https response error StatusCode: 403, RequestID: , HostID: , api error Forbidden: Forbidden",
    ],
    [
      "CacheNotFound",
      2,
      "operation error S3: PutObject, https response error StatusCode: 404, NoSuchBucket: The specified bucket does not exist",
    ],
    [
      "CacheUnreachable",
      2,
      'operation error S3: HeadObject, exceeded maximum number of attempts, 3, https response error StatusCode: 0, request send failed, Head "http://127.0.0.1:1/b/x": dial tcp 127.0.0.1:1: connect: connection refused',
    ],
    ["SignatureInvalid", 2, "signature verification failed: no signer found"],
    ["OciLayoutNotFound", 5, "unknown store oci:base: not found"],
    [
      "SessionMethodMissing",
      2,
      "method /moby.filesync.v1.FileSend/diffcopy not supported by the client",
    ],
    ["DefinitionInvalid", 2, "invalid empty definition"],
    ["DefinitionInvalid", 2, "cannot solve with both Definition and Frontend specified"],
    ["FrontendUnknown", 2, "invalid frontend: no.v0"],
    ["FrontendFailed", 2, "frontend grpc server closed unexpectedly"],
    ["CacheUnknown", 2, 'unknown cache exporter: "no"'],
    [
      "CacheOptionInvalid",
      2,
      "failed to configure s3 cache exporter: bucket ($AWS_BUCKET) not set for s3 cache",
    ],
    ["CacheOptionInvalid", 2, "duplicate cache exports [registry]"],
    [
      "ExporterOptionInvalid",
      2,
      "docker exporter does not currently support exporting manifest lists",
    ],
    ["MessageTooLarge", 8, "grpc: received message larger than max (17000000 vs. 16777216)"],
    ["MessageTooLarge", 8, "a message of 17000000 bytes is larger than 16777216"],
    ["MessageTooLarge", 8, "Attempted to send message with a size larger than 16777216"],
    ["MessageTooLarge", 2, "/x exceeds maximum allowed size of 16777216 bytes"],
    ["BuilderOverloaded", 8, "too many requests"],
    ["TimedOut", 4, "context deadline exceeded", { "errdefs.Source": source }],
    ["TimedOut", 4, "context deadline exceeded", { "errdefs.Vertex": vertex }],
    [
      "SessionMethodMissing",
      12,
      "this session does not answer /moby.exporter.v1.Exporter/FindExporters",
    ],
    ["TimedOut", 2, "failed to do something: context deadline exceeded"],
    ["DiskFull", 2, "failed to copy: write /var/lib/x: no space left on device"],
    [
      "SessionLost",
      2,
      "failed to get session: no active session for abc: context deadline exceeded",
    ],
    ["SessionLost", 2, "failed to read: no active sessions"],
    ["DuplicateRef", 2, "job ID abc-1 exists"],
    ["TlsRejected", 14, "no connection: self-signed certificate in certificate chain"],
    ["BuilderUnreachable", 14, "no connection: connect ECONNREFUSED 10.0.0.1:1234"],
    ["BuilderUnreachable", 14, "no connection: getaddrinfo ENOTFOUND nowhere"],
    ["BuilderLost", 14, "the connection has ended"],
    ["BuilderLost", 14, "read ECONNRESET"],
    ["BuilderSilent", 4, "Deadline exceeded after 15.001s"],
    [
      "EntitlementNotAllowed",
      2,
      "granting entitlement network.host is not allowed by build daemon configuration",
    ],
    ["PolicyDenied", 2, 'source "docker-image://x" denied by policy: not allowed'],
    ["SecretMissing", 5, "secret npmrc: not found", { "errdefs.Source": source }],
    ["SshKeyMissing", 2, "failed to load cache key: unset ssh forward key default"],
    [
      "GitAuthFailed",
      2,
      "failed to fetch remote ssh://git@h/x.git: git stderr:\ngit@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
    ],
    [
      "GitAuthFailed",
      2,
      "failed to load cache key: git stderr:\nfatal: could not read Username for 'https://h': terminal prompts disabled",
    ],
    [
      "GitAuthFailed",
      2,
      "failed to fetch remote ssh://git@h/x.git: git stderr:\nHost key verification failed.",
    ],
    [
      "GitRevisionNotFound",
      2,
      'failed to load cache key: repository does not contain ref nobranch, output: ""',
    ],
    [
      "GitRepositoryNotFound",
      2,
      "error fetching default branch for repository http://h/x.git: git stderr:\nfatal: repository 'http://h/x.git/' not found",
    ],
    [
      "GitUnreachable",
      2,
      "failed to fetch remote http://h/x.git: git stderr:\nfatal: unable to access 'http://h/x.git/': Failed to connect to h port 80",
    ],
    [
      "RegistryRateLimited",
      2,
      "failed to copy: httpReadSeeker: toomanyrequests: You have reached your pull rate limit",
    ],
    [
      "RegistryAuthFailed",
      2,
      "failed to push r.example/a:1: unexpected status from HEAD request to https://r.example/v2/a/blobs/sha256:x: 401 Unauthorized",
    ],
    [
      "RegistryAuthFailed",
      2,
      "x: failed to resolve source metadata for docker.io/x/y:latest: pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
      { "errdefs.Source": source },
    ],
    [
      "RegistryAuthFailed",
      2,
      "failed to fetch oauth token: unauthorized: Registry r.example refuses access",
    ],
    [
      "RegistryUnavailable",
      2,
      "failed to push r.example/a:1: unexpected status from POST request to https://r.example/v2/: 503 Service Unavailable",
    ],
    [
      "RegistryUnavailable",
      14,
      "failed to push r.example/a:1: unexpected status from POST request to https://r.example/v2/: 503 Service Unavailable",
    ],
    [
      "RegistryRefused",
      2,
      "failed to push r.example/a:1: unexpected status from HEAD request to http://r.example/v2/a/blobs/sha256:0: 400 Bad Request",
    ],
    [
      "RegistryTlsFailed",
      2,
      'failed to push r.example/a:1: failed to do request: Head "https://r.example/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority',
    ],
    [
      "RegistryUnreachable",
      2,
      'r.example/a: failed to resolve source metadata for r.example/a:1: failed to do request: Head "https://r.example/v2/a/manifests/1": dial tcp 10.0.0.1:443: connect: connection refused',
      { "errdefs.Source": source },
    ],
    [
      "PlatformNotFound",
      2,
      "no match for platform in manifest sha256:x: not found",
      { "errdefs.Source": source },
    ],
    [
      "ImageNotFound",
      5,
      "nosuch:1: failed to resolve source metadata for docker.io/library/nosuch:1: docker.io/library/nosuch:1: not found",
      { "errdefs.Source": source },
    ],
    ["ChecksumMismatch", 2, "failed to load cache key: digest mismatch sha256:a: sha256:b"],
    ["DownloadRefused", 2, "failed to load cache key: invalid response status 404"],
    ["DownloadFailed", 2, "failed to load cache key: invalid response status 502"],
    [
      "DownloadFailed",
      2,
      'failed to load cache key: Get "https://127.0.0.1:1/x.tar": dial tcp 127.0.0.1:1: connect: connection refused',
    ],
    ["UnknownTarget", 2, 'target stage "nope" could not be found'],
    [
      "ContextNotFound",
      2,
      'error from sender: local directory "context" is not there',
      { "errdefs.Vertex": vertex },
    ],
    [
      "DockerfileNotFound",
      2,
      "failed to read dockerfile: open Dockerfile: no such file or directory",
    ],
    [
      "ContextFileNotFound",
      2,
      'failed to compute cache key: failed to calculate checksum of ref a::b: "/x": not found',
      { "errdefs.Source": source },
    ],
    [
      "LintViolation",
      2,
      "lint violation found for rules: FromAsCasing",
      { "errdefs.Frontend": {} },
    ],
    [
      "DockerfileInvalid",
      2,
      "dockerfile parse error on line 2: unknown instruction: RUNX",
      { "errdefs.Source": source },
    ],
    [
      "BuildFailed",
      2,
      "mkdir /a/b: not a directory",
      { "errdefs.Vertex": vertex, "errdefs.Source": source },
    ],
    ["DockerfileInvalid", 2, 'failed to parse platform : "nope" is an invalid component'],
    ["ExporterUnknown", 2, 'exporter "nope" could not be found'],
    [
      "OptionInvalid",
      2,
      "invalid value x for y",
      { "errdefs.Frontend": { name: "dockerfile.v0" } },
    ],
    ["BuilderUnreachable", 14, "the server answered HTTP 503 and not gRPC"],
    ["BuilderUnreachable", 2, "the server answered HTTP 200 text/html and not gRPC"],
    ["BuildStopped", 1, "context canceled"],
    ["BuildFailed", 2, "something new", { "errdefs.Vertex": vertex }],
    ["SolveFailed", 2, "something new"],
  ];
  for (const [reason, code, message, details] of cases) {
    it(`${reason}: ${message.slice(0, 70)}`, () => {
      assert.equal(buildkitError(call(code, message, details)).reason, reason);
    });
  }

  it("has a case for every row", () => {
    const met = new Set(
      cases.map(([, code, message, details]) => {
        const bytes = toBinary(StatusSchema, status(code, message, details));
        return rowOf(factsOfCall(code, message, bytes));
      }),
    );
    assert.deepEqual(
      errorTable.filter((row) => !met.has(row)),
      [],
    );
  });

  it("never repeats what only its author can mend", () => {
    const wrong = errorTable.filter(
      ({ class: whose, retryable }) => retryable && (whose === "User" || whose === "Policy"),
    );
    assert.deepEqual(wrong, []);
  });

  it("has a reason in one class only", () => {
    const classes = new Map<string, string>();
    for (const { reason, class: whose } of errorTable) {
      assert.equal(classes.get(reason) ?? whose, whose, reason);
      classes.set(reason, whose);
    }
  });

  it("finds a row for any facts, whatever the details' bytes", () => {
    fc.assert(
      fc.property(fc.nat(20), fc.string(), fc.uint8Array(), (code, message, bytes) => {
        assert.ok(rowOf(factsOfCall(code, message, bytes)).reason.length > 0);
      }),
      { numRuns: 300 },
    );
  });

  it("survives details of any shape", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const details = {
          "errdefs.Source": value,
          "errdefs.Vertex": value,
          "gatewayapi.ExitMessage": value,
        };
        assert.equal(buildkitError(call(2, "x", details)).reason, "StepFailed");
      }),
    );
  });

  it("comes to an end on hostile messages", () => {
    for (const word of [
      "failed to fetch remote ",
      "secret ",
      "x",
      "unexpected status ",
      "session ",
    ]) {
      buildkitError(call(2, word.repeat(400_000 / word.length)));
    }
  });
});
