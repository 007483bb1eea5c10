import assert from "node:assert/strict";
import {
  buildkitError,
  callbackFailed,
  cancelled,
  errorOfStatus,
} from "../../../src/buildkit/errors/errors.ts";
import { renderSource, sourceOf } from "../../../src/buildkit/errors/source-lines.ts";
import { statusOf } from "../../../src/buildkit/errors/status.ts";
import { Transcript } from "../../../src/buildkit/progress/transcript.ts";
import { KilnError } from "../../../src/errors/index.ts";
import { call, failedStep, Several, source, status } from "./statuses.ts";

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

  it("shows no login that stands in a URL, whatever its scheme looks like", () => {
    // Found by fuzzing, seeds 347950573 and 348797911: schemes that are damaged.
    for (const url of [
      "https://me:hunter2@host.example/x",
      "http#://a:me:hunter2@h",
      "x://a@hunter2@h",
    ]) {
      const error = buildkitError(call(2, `Get "${url}": boom`));
      assert.doesNotMatch(error.message, /hunter2/);
    }
  });

  it("leaves the digest of an image alone", () => {
    const image = `docker-image://alpine:3.20@sha256:${"a".repeat(64)}`;
    assert.match(buildkitError(call(2, `${image}: not found`)).message, /alpine:3\.20@sha256:aaa/);
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
