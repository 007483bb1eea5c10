import assert from "node:assert/strict";
import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { StatusSchema } from "../../../src/gen/google/rpc/status_pb.ts";
import {
  BuildHistoryRecordSchema,
  SolveRequestSchema,
  UsageRecordSchema,
} from "../../../src/gen/moby/buildkit/v1/control_pb.ts";
import { WorkerRecordSchema } from "../../../src/gen/moby/buildkit/v1/types/worker_pb.ts";
import { endpointText, parseEndpoint, type Endpoint } from "../../../src/buildkit/rpc/endpoint.ts";
import { cacheRecordOf, wireDiskUsage, wirePrune } from "../../../src/buildkit/control/disk.ts";
import { historyRecordOf } from "../../../src/buildkit/control/history.ts";
import { wireRequest } from "../../../src/buildkit/control/request.ts";
import { resultOf } from "../../../src/buildkit/control/result.ts";
import { newSessionId } from "../../../src/buildkit/session/session.ts";
import { versionText, workerOf } from "../../../src/buildkit/control/workers.ts";

/** Fields of a protobuf message by number: varints as numbers, bytes as text; the last of a repeated one. */
function fieldsOf(bytes: Uint8Array): Record<number, string | number> {
  const fields: Record<number, string | number> = {};
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const value = varint();
    const text = (): string => Buffer.from(bytes.subarray(at, (at += value))).toString();
    fields[tag >> 3] = (tag & 7) === 0 ? value : text();
  }
  return fields;
}

describe("endpoints", () => {
  const good: [text: string, endpoint: Endpoint][] = [
    ["tcp://builder.example:1234", { kind: "tcp", host: "builder.example", port: 1234 }],
    ["tcp://10.0.0.1:1234", { kind: "tcp", host: "10.0.0.1", port: 1234 }],
    ["tcp://[::1]:1234", { kind: "tcp", host: "::1", port: 1234 }],
    ["unix:///run/buildkit/x.sock", { kind: "unix", path: "/run/buildkit/x.sock" }],
  ];
  for (const [text, endpoint] of good) {
    it(`reads ${text}`, () => {
      assert.deepEqual(parseEndpoint(text), endpoint);
      assert.equal(endpointText(endpoint), text);
    });
  }
  const bad = [
    "",
    "builder:1234",
    "tcp://builder",
    "tcp://builder:0",
    "tcp://builder:65536",
    "tcp://builder:1234/path",
    "tcp://user@builder:1234/",
    "unix://relative",
    "http://builder:1234",
  ];
  for (const text of bad) {
    it(`refuses ${JSON.stringify(text)}`, () =>
      assert.throws(() => parseEndpoint(text), { class: "User", reason: "InvalidEndpoint" }));
  }
  it("refuses TLS on a unix socket", () => {
    assert.throws(() => parseEndpoint("unix:///x", { ca: "" }), { reason: "InvalidEndpoint" });
  });
});

describe("a solve request", () => {
  const request = {
    ref: "r",
    frontend: "dockerfile.v0",
    frontendAttrs: { target: "t" },
    exporters: [],
    cacheImports: [],
    cacheExports: [],
  } as const;

  it("tells cache imports to the solver and to the frontend", () => {
    const imports = [{ type: "registry", attrs: { ref: "r.example/c" } }];
    const { cache, frontendAttrs } = wireRequest({ ...request, cacheImports: imports }, "s");
    assert.deepEqual(cache?.imports, imports);
    assert.deepEqual(frontendAttrs, {
      target: "t",
      "cache-imports": '[{"Type":"registry","Attrs":{"ref":"r.example/c"}}]',
    });
  });

  it("says nothing of a cache when there is none", () => {
    assert.deepEqual(wireRequest(request, "s").frontendAttrs, { target: "t" });
  });

  it("numbers a source policy as the daemon does", () => {
    const selector = { identifier: "https://h/x", match: "exact" } as const;
    const updates = { identifier: "https://h/x", attrs: { "http.checksum": "sha256:a" } };
    const { sourcePolicy } = wireRequest(
      { ...request, sourcePolicy: { rules: [{ action: "convert", selector, updates }] } },
      "s",
    );
    assert.deepEqual(sourcePolicy?.rules, [
      {
        action: 2,
        selector: { identifier: "https://h/x", matchType: 1, constraints: [] },
        updates,
      },
    ]);
  });

  it("has every field under the number that the daemon knows", () => {
    const definition = new Uint8Array([10, 1, 7]);
    const message = wireRequest(
      {
        ...request,
        frontend: "",
        definition,
        frontendInputs: { base: definition },
        entitlements: ["network.host"],
        internal: true,
        enableSessionExporter: true,
        sourcePolicySession: true,
        compatibilityVersion: 20,
        proxyNetwork: true,
      },
      "session",
    );
    const bytes = toBinary(SolveRequestSchema, create(SolveRequestSchema, message));
    assert.deepEqual(fieldsOf(bytes), {
      1: "r",
      2: "\n\u0001\u0007",
      5: "session",
      7: "\n\u0006target\u0012\u0001t",
      8: "",
      9: "network.host",
      10: "\n\u0004base\u0012\u0003\n\u0001\u0007",
      11: 1,
      14: 1,
      15: "session",
      16: 20,
      17: 1,
    });
  });

  it("says nothing that it was not told", () => {
    const bytes = toBinary(
      SolveRequestSchema,
      create(SolveRequestSchema, wireRequest(request, "s")),
    );
    assert.deepEqual(Object.keys(fieldsOf(bytes)), ["1", "5", "6", "7", "8"]);
  });

  it("names its session as BuildKit names its own", () => {
    const ids = Array.from({ length: 100 }, newSessionId);
    assert.ok(ids.every((id) => /^[0-9a-z]{25}$/.test(id)));
    assert.equal(new Set(ids).size, 100);
  });
});

describe("a solve's result", () => {
  it("decodes what the image exporter says", () => {
    const descriptor = { mediaType: "m", digest: "sha256:a", size: 5 };
    const response = {
      "containerimage.digest": "sha256:a",
      "containerimage.config.digest": "sha256:c",
      "containerimage.descriptor": Buffer.from(JSON.stringify(descriptor)).toString("base64"),
      "image.name": "a:1,b:1",
      "cache.manifest": "sha256:m",
    };
    assert.deepEqual(resultOf(response), {
      exporterResponse: response,
      digest: "sha256:a",
      configDigest: "sha256:c",
      descriptor,
      imageNames: ["a:1", "b:1"],
      cacheManifest: "sha256:m",
    });
  });

  for (const descriptor of ["", "nonsense", Buffer.from("null").toString("base64")]) {
    it(`does without the descriptor ${JSON.stringify(descriptor)}`, () => {
      const response = { "containerimage.descriptor": descriptor };
      assert.equal(resultOf(response).descriptor, undefined);
    });
  }
});

describe("a history record", () => {
  const times = { createdAt: timestampFromMs(1000), completedAt: timestampFromMs(2000) };
  const recordOf = (init: MessageInitShape<typeof BuildHistoryRecordSchema>, error?: Uint8Array) =>
    historyRecordOf(create(BuildHistoryRecordSchema, { ref: "r", ...init }), error);

  it("is active until it is completed", () => {
    const record = recordOf({ createdAt: timestampFromMs(1000) });
    assert.deepEqual([record.active, record.result, record.error], [true, undefined, undefined]);
  });

  it("puts the result together that the solve was answered", () => {
    const record = recordOf({
      ...times,
      exporters: [
        { type: "image", attrs: { name: "a:1,a:2" } },
        { type: "image", attrs: { name: "b:1" } },
      ],
      result: { results: { 1: { digest: "sha256:b" }, 0: { digest: "sha256:a" } } },
      results: {
        "linux/amd64": {
          attestations: [
            { digest: "sha256:p", annotations: { "in-toto.io/predicate-type": "slsa" } },
          ],
        },
      },
    });
    assert.deepEqual(
      [record.result?.digest, record.result?.imageNames],
      ["sha256:a", ["a:1", "a:2", "b:1"]],
    );
    assert.deepEqual(
      record.images.map(({ exporter, descriptor }) => [exporter, descriptor.digest]),
      [
        [0, "sha256:a"],
        [1, "sha256:b"],
      ],
    );
    const [attestation] = record.attestations;
    assert.deepEqual([attestation?.platform, attestation?.predicateType], ["linux/amd64", "slsa"]);
  });

  it("prefers the whole error to its short form", () => {
    const value = new TextEncoder().encode('{"Code":7}');
    const typeUrl = "github.com/moby/buildkit/gatewayapi.ExitMessage+json";
    const whole = create(StatusSchema, { code: 2, message: "x", details: [{ typeUrl, value }] });
    const short = { code: 2, message: "x" };
    assert.equal(recordOf({ ...times, error: short }).error?.reason, "SolveFailed");
    const told = recordOf({ ...times, error: short }, toBinary(StatusSchema, whole));
    assert.equal(told.error?.exitCode, 7);
  });
});

describe("workers", () => {
  it("are told in the words that people know", () => {
    const worker = workerOf(
      create(WorkerRecordSchema, {
        id: "w",
        labels: { a: "b" },
        platforms: [
          { os: "linux", architecture: "amd64" },
          { os: "linux", architecture: "arm64", variant: "v8" },
          { os: "linux", architecture: "arm64" },
          { os: "linux", architecture: "arm", variant: "v7" },
        ],
        gcPolicy: [
          { all: true, keepDuration: 3_600_000_000_000n, maxUsedSpace: 5n, filters: ["x"] },
        ],
        cdiDevices: [{ name: "v/d", autoAllow: true, annotations: { a: "b" } }],
        buildkitVersion: { version: "v0.34.2" },
      }),
    );
    assert.deepEqual(worker, {
      id: "w",
      labels: { a: "b" },
      platforms: ["linux/amd64", "linux/arm64", "linux/arm/v7"],
      gcPolicy: [{ all: true, filters: ["x"], keepDurationSeconds: 3600, maxUsedSpace: 5 }],
      devices: [{ name: "v/d", autoAllow: true, onDemand: false, annotations: { a: "b" } }],
      version: "0.34.2",
    });
  });

  it("have versions without a v", () => {
    assert.equal(versionText("v0.34.2-rc1"), "0.34.2-rc1");
    assert.equal(versionText("vendor"), "vendor");
    assert.equal(versionText(undefined), "");
  });
});

describe("the cache of a daemon", () => {
  it("is asked for in the daemon's units", () => {
    assert.deepEqual(wireDiskUsage({ filters: ["a"], unusedSeconds: 1.5 }), {
      filter: ["a"],
      ageLimit: 1_500_000_000n,
    });
    assert.deepEqual(
      wirePrune({
        all: true,
        filters: ["a"],
        keepDurationSeconds: 172_800,
        reservedSpace: 1,
        maxUsedSpace: 2,
        minFreeSpace: 3,
      }),
      {
        all: true,
        filter: ["a"],
        keepDuration: 172_800_000_000_000n,
        reservedSpace: 1n,
        maxUsedSpace: 2n,
        minFreeSpace: 3n,
      },
    );
    assert.deepEqual(wirePrune({}), {
      all: false,
      filter: [],
      keepDuration: 0n,
      reservedSpace: 0n,
      maxUsedSpace: 0n,
      minFreeSpace: 0n,
    });
  });

  it("is told record by record", () => {
    const record = create(UsageRecordSchema, {
      id: "i",
      recordType: "regular",
      description: "d",
      size: 5n,
      inUse: true,
      parents: ["p"],
      usageCount: 2n,
      createdAt: timestampFromMs(1000),
    });
    assert.deepEqual(cacheRecordOf(record), {
      id: "i",
      type: "regular",
      description: "d",
      size: 5,
      mutable: false,
      inUse: true,
      shared: false,
      parents: ["p"],
      usageCount: 2,
      createdAt: new Date(1000),
    });
    assert.deepEqual(
      cacheRecordOf(create(UsageRecordSchema, { lastUsedAt: timestampFromMs(2000) })).lastUsedAt,
      new Date(2000),
    );
  });
});
