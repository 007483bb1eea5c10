import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { StatusSchema } from "../../../src/gen/google/rpc/status_pb.ts";
import { factsOfCall } from "../../../src/buildkit/errors/details.ts";
import { errorTable, rowOf } from "../../../src/buildkit/errors/table.ts";
import { buildkitError, cancelled, errorOfStatus } from "../../../src/buildkit/errors/errors.ts";
import { Transcript } from "../../../src/buildkit/progress/transcript.ts";

type Details = Readonly<Record<string, unknown>>;

/** A status as buildkitd sends it: JSON inside of Any. */
function status(code: number, message: string, details: Details = {}) {
  return create(StatusSchema, {
    code,
    message,
    details: Object.entries(details).map(([name, value]) => ({
      typeUrl: `github.com/moby/buildkit/${name}+json`,
      value: new TextEncoder().encode(JSON.stringify(value)),
    })),
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

describe("which failure is whose", () => {
  // Messages as buildkitd v0.34.2 and grpc-js 1.14.7 word them.
  const cases: [reason: string, code: number, message: string, details?: Details][] = [
    ["StepFailed", 2, 'process "/bin/sh -c echo no space left on device" exit code: 1', failedStep],
    ["PolicyDenied", 7, "source denied", { "policysession.DecisionResponse": { action: 1 } }],
    ["UnsupportedFeature", 12, "needs x", { "errdefs.FrontendCap": { name: "x" } }],
    ["UnsupportedRequest", 12, "unsupported request x", { "errdefs.Subrequest": { name: "x" } }],
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

  it("has a case for every row that is not told by a message size", () => {
    const told = new Set(cases.map(([reason]) => reason));
    const untold = errorTable.map(({ reason }) => reason).filter((reason) => !told.has(reason));
    assert.deepEqual([...new Set(untold)], ["BuilderOverloaded"]);
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
