// Messages of the gateway and answers to subrequests, without a daemon.
import assert from "node:assert/strict";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  APICapSchema,
  ResolveSourceMetaResponseSchema,
  ResultSchema,
} from "../../../src/gen/moby/buildkit/v1/frontend/gateway_pb.ts";
import { StatSchema } from "../../../src/gen/fsutil/types/wire_pb.ts";
import {
  enabledCaps,
  gatewayFile,
  sourceMetaOf,
  wireGatewaySolve,
  wirePlatform,
  wireWarning,
} from "../../../src/buildkit/gateway/bridge-wire.ts";
import {
  type GatewayResult,
  refsOf,
  resultOfWire,
  wireResult,
} from "../../../src/buildkit/gateway/result.ts";
import {
  describeResult,
  lintResult,
  outlineResult,
  subrequestAttrs,
  subrequestResult,
  targetsResult,
} from "../../../src/buildkit/gateway/subrequests.ts";

/** What the other side of the wire would read of it. */
function overTheWire(result: GatewayResult): GatewayResult {
  const bytes = toBinary(ResultSchema, create(ResultSchema, wireResult(result)));
  return resultOfWire(fromBinary(ResultSchema, bytes));
}

describe("a result of the gateway", () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const ref = { id: "r", definition: bytes("llb") };

  it("comes back as it went, with one ref and with one by platform", () => {
    const attestation = {
      kind: "in-toto",
      path: "/sbom.json",
      ref: { id: "a" },
      predicateType: "https://spdx.dev/Document",
      subjects: [{ kind: "raw", name: "n", digests: ["sha256:a"] }],
      metadata: { reason: bytes("x") },
    } as const;
    const single = { ref, metadata: { k: bytes("v") }, attestations: { p: [attestation] } };
    assert.deepEqual(overTheWire(single), single);
    const many = {
      refs: { "linux/amd64": ref, "linux/arm64": undefined },
      metadata: {},
      attestations: { p: [{ ...attestation, kind: "bundle", subjects: [] } as const] },
    };
    assert.deepEqual(overTheWire(many), many);
  });

  it("may be empty", () => {
    assert.deepEqual(overTheWire({}), { metadata: {}, attestations: {} });
    assert.deepEqual(resultOfWire(undefined), { metadata: {}, attestations: {} });
  });

  it("names its refs with their platforms", () => {
    assert.deepEqual(refsOf({ ref }), [["", ref]]);
    assert.deepEqual(refsOf({}), []);
    assert.deepEqual(refsOf({ refs: { a: ref, b: undefined } }), [["a", ref]]);
  });
});

describe("questions to the gateway", () => {
  it("name platforms in parts", () => {
    assert.equal(wirePlatform(undefined), undefined);
    const arm = { os: "linux", architecture: "arm", variant: "v7" };
    assert.deepEqual(wirePlatform("linux/arm/v7"), arm);
  });

  it("solve with results of every form allowed", () => {
    const message = wireGatewaySolve({
      frontend: "dockerfile.v0",
      sourcePolicies: [{ rules: [] }],
      evaluate: true,
    });
    assert.equal(
      message.allowResultReturn && message.allowResultArrayRef && message.evaluate,
      true,
    );
    assert.deepEqual(message.sourcePolicies, [{ version: 1n, rules: [] }]);
  });

  it("warn with the place that it is about", () => {
    const warning = wireWarning("sha256:v", {
      short: "s",
      detail: ["d"],
      source: { path: "Dockerfile", data: new Uint8Array(), ranges: [{ line: 2, endLine: 3 }] },
    });
    assert.deepEqual([warning.level, Buffer.from(warning.short ?? []).toString()], [1n, "s"]);
    assert.deepEqual(warning.ranges, [{ start: { line: 2 }, end: { line: 3 } }]);
    assert.equal(wireWarning("", { short: "" }).info, undefined);
  });

  it("are answered with files, capabilities and sources", () => {
    const directory = gatewayFile(create(StatSchema, { path: "d", mode: 0x800001ed, modTime: 5n }));
    assert.deepEqual(
      [directory.isDirectory, directory.mode, directory.mtimeNs],
      [true, 0x800001ed, 5n],
    );
    const caps = [
      create(APICapSchema, { id: "a", enabled: true }),
      create(APICapSchema, { id: "b" }),
    ];
    assert.deepEqual([...enabledCaps(caps)], ["a"]);
    const meta = sourceMetaOf(
      create(ResolveSourceMetaResponseSchema, {
        source: { identifier: "git://h/x", attrs: { a: "b" } },
        git: { checksum: "c", ref: "refs/heads/main", commitChecksum: "" },
        http: { checksum: "sha256:a", filename: "f", lastModified: { seconds: 1n } },
        image: { digest: "sha256:i", config: new TextEncoder().encode("{}") },
      }),
    );
    assert.deepEqual(meta, {
      identifier: "git://h/x",
      attrs: { a: "b" },
      git: { checksum: "c", ref: "refs/heads/main", commitChecksum: "" },
      http: { checksum: "sha256:a", filename: "f", lastModified: new Date(1000) },
      image: { digest: "sha256:i", config: Buffer.from("{}") },
    });
    assert.deepEqual(sourceMetaOf(create(ResolveSourceMetaResponseSchema, {})), {
      identifier: "",
      attrs: {},
    });
  });
});

describe("the answer to a subrequest", () => {
  const location = { sourceIndex: 1, ranges: [{ start: { line: 3 }, end: { line: 4 } }] };
  const place = { source: 1, ranges: [{ line: 3, endLine: 4 }] };

  it("is asked for by attributes", () => {
    assert.equal(subrequestAttrs("frontend.lint")["requestid"], "frontend.lint");
  });

  it("comes as bytes of the gateway or as text of the history", () => {
    const metadata = {
      "result.json": '{"a":1}',
      "result.txt": "text",
      "result.statuscode": "2",
      version: "1.0.0",
    };
    const want = { json: { a: 1 }, text: "text", statusCode: 2, version: "1.0.0" };
    assert.deepEqual(subrequestResult(metadata), want);
    const asBytes = Object.entries(metadata).map(([key, value]) => [key, Buffer.from(value)]);
    assert.deepEqual(subrequestResult(Object.fromEntries(asBytes)), want);
    const nothing = { json: undefined, text: "", statusCode: 0, version: "" };
    assert.deepEqual(subrequestResult({ "result.json": "{" }), nothing);
  });

  it("has warnings, sources and why it does not build", () => {
    const json = {
      warnings: [{ ruleName: "R", description: "d", url: "u", detail: "x", location }],
      sources: [{ filename: "Dockerfile", data: Buffer.from("FROM a").toString("base64") }],
      buildError: { message: "no", location },
    };
    assert.deepEqual(lintResult({ json }), {
      warnings: [{ rule: "R", description: "d", url: "u", detail: "x", location: place }],
      sources: [{ path: "Dockerfile", data: Buffer.from("FROM a") }],
      buildError: { message: "no", location: place },
    });
  });

  it("has what can be given to a target", () => {
    const json = {
      name: "t",
      args: [{ name: "A", value: "1", location }],
      secrets: [{ name: "s", required: true }],
      ssh: [{ name: "default" }],
      cache: [{ ID: "c" }],
    };
    assert.deepEqual(outlineResult({ json }), {
      name: "t",
      description: "",
      args: [{ name: "A", description: "", value: "1", location: place }],
      secrets: [{ name: "s", required: true }],
      ssh: [{ name: "default", required: false }],
      cacheIds: ["c"],
    });
  });

  it("has targets, and questions", () => {
    const target = { name: "t", default: true, description: "d", base: "b", platform: "p" };
    assert.deepEqual(targetsResult({ json: { targets: [target] } }), [target]);
    const opts = [{ name: "o", description: "d" }];
    const question = { name: "n", version: "1", type: "rpc", description: "d", opts };
    assert.deepEqual(describeResult({ json: [question] }), [question]);
  });

  it("never throws, whatever it is", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        for (const read of [lintResult, outlineResult, targetsResult, describeResult]) {
          read({ json });
          read({ json: { warnings: json, sources: [json], targets: [json], args: json } });
        }
      }),
    );
  });
});
