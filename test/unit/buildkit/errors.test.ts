import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { StatusSchema } from "../../../src/gen/google/rpc/status_pb.ts";
import { factsOfCall } from "../../../src/buildkit/errors/details.ts";
import { errorTable, rowOf } from "../../../src/buildkit/errors/table.ts";
import {
  buildkitError,
  callbackFailed,
  cancelled,
  errorOfStatus,
} from "../../../src/buildkit/errors/errors.ts";
import { renderSource, sourceOf } from "../../../src/buildkit/errors/source-lines.ts";
import { statusOf } from "../../../src/buildkit/errors/status.ts";
import { KilnError } from "../../../src/errors/index.ts";
import { Transcript } from "../../../src/buildkit/progress/transcript.ts";

type Details = Readonly<Record<string, unknown>>;

/** Several details of one kind. */
class Several {
  readonly values: readonly unknown[];
  constructor(...values: readonly unknown[]) {
    this.values = values;
  }
}

/** A status as buildkitd sends it: JSON inside of Any. */
function status(code: number, message: string, details: Details = {}) {
  return create(StatusSchema, {
    code,
    message,
    details: Object.entries(details).flatMap(([name, value]) =>
      (value instanceof Several ? value.values : [value]).map((one) => ({
        typeUrl: `github.com/moby/buildkit/${name}+json`,
        value: new TextEncoder().encode(JSON.stringify(one)),
      })),
    ),
  });
}

/** A rejection as grpc-js gives it. */
function call(code: number, message: string, details?: Details): Error {
  const bytes = Buffer.from(toBinary(StatusSchema, status(code, message, details)));
  const metadata = { get: () => (details === undefined ? [] : [bytes]) };
  return Object.assign(new Error(`${code} ${message}`), { code, details: message, metadata });
}

const dockerfile = "FROM busybox\nRUN one && \\\n  two\n";
const source = {
  info: { filename: "Dockerfile", data: Buffer.from(dockerfile).toString("base64") },
  ranges: [{ start: { line: 2 }, end: { line: 3 } }],
};
const vertex = { digest: "sha256:v" };
const failedStep = {
  "errdefs.Source": source,
  "errdefs.Vertex": vertex,
  "gatewayapi.ExitMessage": { Code: 7 },
};

function transcript(): Transcript {
  const told = new Transcript();
  told.add({
    kind: "vertex",
    digest: "sha256:v",
    name: "[2/2] RUN one",
    inputs: [],
    cached: false,
  });
  const data = new TextEncoder().encode("hello\nwor");
  const timestamp = new Date(0);
  told.add({ kind: "log", vertex: "sha256:v", stream: 1, data, timestamp });
  told.add({ kind: "log", vertex: "sha256:v", stream: 2, data: Buffer.from("ld\n"), timestamp });
  return told;
}

describe("errors of a build", () => {
  it("tells of a failed step: what, where, how it ended, its last words", () => {
    const error = buildkitError(call(2, "process did not complete", failedStep), transcript());
    assert.equal(
      error.message,
      'Step "[2/2] RUN one" at Dockerfile:2 failed with exit code 7. See its last output.',
    );
    assert.deepEqual(
      [error.class, error.reason, error.retryable, error.grpcCode, error.exitCode],
      ["User", "StepFailed", false, 2, 7],
    );
    assert.deepEqual(error.source, {
      path: "Dockerfile",
      line: 2,
      endLine: 3,
      excerpt: "RUN one && \\\n  two",
      language: "",
      ranges: [{ line: 2, character: 0, endLine: 3, endCharacter: 0 }],
      shown: { line: 1, lines: ["FROM busybox", "RUN one && \\", "  two", ""] },
    });
    assert.deepEqual(error.logTail, ["hello", "world"]);
  });

  it("reads the same out of a history record", () => {
    const error = errorOfStatus(status(2, "process did not complete", failedStep));
    assert.deepEqual(
      [error.reason, error.exitCode, error.vertexDigest],
      ["StepFailed", 7, "sha256:v"],
    );
  });

  it("shows no login that stands in a URL", () => {
    const error = buildkitError(call(2, 'Get "https://me:hunter2@host.example/x": boom'));
    assert.doesNotMatch(error.message, /hunter2/);
  });

  it("shortens what is endless", () => {
    assert.ok(buildkitError(call(2, "x".repeat(100_000))).message.length < 1200);
  });

  it("hands on its own errors as they are", () => {
    const error = cancelled("The build");
    assert.equal(buildkitError(error), error);
  });

  it("takes an error that is no call", () => {
    assert.equal(buildkitError(new Error("boom")).message, "boom. See the builder's log.");
    assert.equal(buildkitError("boom").reason, "SolveFailed");
  });
});

describe("the details of an error", () => {
  it("are all kept, several of a kind in their order", () => {
    const inner = { info: { filename: "inner", data: "" }, ranges: [{ start: { line: 1 } }] };
    const { details, ...error } = buildkitError(
      call(2, "x", {
        "errdefs.Vertex": new Several({ digest: "sha256:a" }, { digest: "sha256:b" }),
        "errdefs.Source": new Several(source, inner),
        "errdefs.Frontend": new Several(
          { name: "gateway.v0", source: "docker/dockerfile:1" },
          { name: "dockerfile.v0" },
        ),
        "errdefs.Solve": {
          inputIDs: ["i"],
          mountIDs: ["m", "n"],
          op: { exec: { meta: { args: ["false"] } } },
          file: { index: "1" },
          description: { "llb.customname": "RUN false", no: 1 },
        },
        "errdefs.ProvenanceMaterialsIncomplete": {
          incomplete: [
            { op: "o", name: "n", method: "GET", uri: "u", final_uri: "f", reason: "r" },
          ],
        },
        "errdefs.CompatibilityFeature": { version: 10, feature: "f" },
        "errdefs.FrontendCap": { name: "cap" },
        "errdefs.Subrequest": { name: "frontend.no" },
        "policysession.DecisionResponse": { action: 1, denyMessages: [{ message: "no" }, {}] },
        "gatewayapi.ExitMessage": { Code: 4 },
        "stack.Stack": { frames: [{ Name: "main" }] },
      }),
    );
    assert.deepEqual(details, {
      vertices: ["sha256:a", "sha256:b"],
      sources: [sourceOf(source), sourceOf(inner)],
      frontends: [
        { name: "gateway.v0", source: "docker/dockerfile:1" },
        { name: "dockerfile.v0", source: "" },
      ],
      solve: {
        inputIds: ["i"],
        mountIds: ["m", "n"],
        op: { exec: { meta: { args: ["false"] } } },
        subject: { kind: "file", index: 1 },
        description: { "llb.customname": "RUN false" },
      },
      incompleteMaterials: [
        { op: "o", name: "n", method: "GET", uri: "u", finalUri: "f", reason: "r" },
      ],
      compatibility: { version: 10, feature: "f" },
      frontendCap: "cap",
      subrequest: "frontend.no",
      decisions: [{ action: "deny", messages: ["no"] }],
      exitCode: 4,
    });
    assert.equal(error.vertexDigest, "sha256:a");
  });

  it("say why a policy refuses, and what the provenance lacks", () => {
    const denied = buildkitError(
      call(7, "source denied", {
        "policysession.DecisionResponse": {
          action: "DENY",
          denyMessages: [{ message: "only signed images" }],
        },
      }),
    );
    assert.match(denied.message, /^source denied: only signed images\. /);
    const incomplete = [{ method: "GET", uri: "https://h/x", reason: "unsuccessful_response" }];
    const lacking = buildkitError(
      call(2, "provenance materials are incomplete", {
        "errdefs.ProvenanceMaterialsIncomplete": { incomplete },
      }),
    );
    assert.match(lacking.message, /GET https:\/\/h\/x unsuccessful_response/);
  });

  it("go back to the daemon as they came", () => {
    const failed = call(2, "process did not complete", failedStep);
    const told = statusOf(callbackFailed(buildkitError(failed)));
    assert.deepEqual(errorOfStatus(told).details, buildkitError(failed).details);
    assert.deepEqual([told.code, told.message], [2, "process did not complete"]);
    const plain = statusOf(new Error("boom"));
    assert.deepEqual([plain.code, plain.message, plain.details], [2, "boom", []]);
    assert.equal(statusOf("boom").message, "boom");
    assert.equal(statusOf(call(0, "odd")).code, 2);
    const broken = Object.assign(call(2, "x"), { metadata: { get: () => [Buffer.from([255])] } });
    assert.deepEqual(statusOf(broken).details, []);
  });

  it("of a callback are its own", () => {
    const known = new KilnError({ class: "Source", reason: "R", message: "m", retryable: true });
    const error = callbackFailed(known);
    assert.deepEqual(
      [error.class, error.reason, error.message, error.retryable, error.cause],
      ["Source", "R", "m", true, known],
    );
    assert.deepEqual(
      [callbackFailed("x").class, callbackFailed("x").reason],
      ["User", "CallbackFailed"],
    );
  });
});

describe("an excerpt of a source", () => {
  const text = Array.from({ length: 12 }, (_, index) => `line ${index + 1}`).join("\n");
  const at = (data: string, ...ranges: [line: number, endLine?: number][]) => {
    const info = { filename: "Dockerfile", data: Buffer.from(data).toString("base64") };
    return sourceOf({
      info,
      ranges: ranges.map(([line, endLine]) => ({ start: { line }, end: { line: endLine } })),
    });
  };
  const rendered = (...args: Parameters<typeof at>): string => {
    const found = at(...args);
    assert.ok(found);
    return renderSource(found);
  };
  const rule = "--------------------";

  it("has lines around it, more for one line than for many", () => {
    assert.equal(
      rendered(text, [5]),
      `Dockerfile:5\n${rule}\n   3 |     line 3\n   4 |     line 4\n   5 | >>> line 5\n   6 |     line 6\n   7 |     line 7\n${rule}\n`,
    );
    assert.equal(
      rendered(text, [5, 6]),
      `Dockerfile:5\n${rule}\n   4 |     line 4\n   5 | >>> line 5\n   6 | >>> line 6\n   7 |     line 7\n${rule}\n`,
    );
  });

  it("ends with its source, and marks only what the ranges name", () => {
    assert.equal(rendered("FROM a", [1]), `Dockerfile:1\n${rule}\n   1 | >>> FROM a\n${rule}\n`);
    const marked = rendered(text, [9], [11, 12])
      .split("\n")
      .flatMap((line) => / (\d+) \| >>>/.exec(line)?.[1] ?? []);
    assert.deepEqual(marked, ["9", "11", "12"]);
    assert.ok(rendered(text, [12, 99]).includes("12 | >>> line 12"));
  });

  it("is nothing for a line that is not there, and bounded for a long range", () => {
    assert.equal(rendered("FROM a", [7]), "");
    assert.equal(at("FROM a"), undefined);
    assert.equal(at("FROM a", [0]), undefined);
    assert.ok((at("x\n".repeat(10_000), [1, 10_000])?.shown.lines.length ?? 0) <= 500);
  });
});

describe("which failure is whose", () => {
  // Messages as buildkitd v0.34.2 and grpc-js 1.14.7 word them.
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
    [
      "SessionSilent",
      2,
      "failed to authorize: fetching auth token from session: context deadline exceeded",
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
    [
      "TlsRejected",
      14,
      "No connection established. Last error: self-signed certificate in certificate chain. Resolution note: ",
    ],
    [
      "BuilderUnreachable",
      14,
      "No connection established. Last error: connect ECONNREFUSED 10.0.0.1:1234.",
    ],
    ["BuilderUnreachable", 14, "Name resolution failed for target dns:nowhere:1234"],
    ["BuilderLost", 14, "Connection dropped"],
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
      "DockerfileInvalid",
      2,
      "dockerfile parse error on line 2: unknown instruction: RUNX",
      { "errdefs.Source": source },
    ],
    ["DockerfileInvalid", 2, 'failed to parse platform : "nope" is an invalid component'],
    ["ExporterUnknown", 2, 'exporter "nope" could not be found'],
    [
      "OptionInvalid",
      2,
      "invalid value x for y",
      { "errdefs.Frontend": { name: "dockerfile.v0" } },
    ],
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
      { numRuns: 2000 },
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
