import assert from "node:assert/strict";
import { InvalidResource, parseBuilder, parseBuildRun } from "../../../src/api/parse.ts";

const apiVersion = "kiln.build/v1alpha1";
const metadata = { name: "web", namespace: "shop", uid: "u", generation: 3, managedFields: [] };
const context = { git: { url: "https://git.example.com/shop/web.git" } };
const run = (spec: unknown) => ({ apiVersion, kind: "BuildRun", metadata, spec });

describe("parseBuildRun", () => {
  it("fills every default", () => {
    assert.deepEqual(parseBuildRun(run({ context })).spec, {
      serviceAccountName: "default",
      context,
      dockerfile: { path: "Dockerfile" },
      buildArgs: [],
      labels: {},
      labelsFrom: [],
      platforms: [],
      buildContexts: [],
      ssh: [],
      secrets: [],
      noCache: false,
      noCacheFilter: [],
      hostAliases: [],
      ulimits: [],
      entitlements: [],
      attestations: {},
      pull: false,
      outputs: [],
      cache: { from: [], to: [] },
      registryCredentials: [],
      timeout: "1h",
      retry: { limit: 2 },
      cancel: false,
    });
  });

  it("pushes an image unless told not to", () => {
    const { outputs } = parseBuildRun(run({ context, outputs: [{ image: {} }] })).spec;
    assert.deepEqual(outputs, [
      {
        image: {
          tags: [],
          push: true,
          insecure: false,
          rewriteTimestamp: false,
          annotations: [],
          pushByDigest: false,
        },
      },
    ]);
  });

  it("keeps the metadata as it came", () => {
    assert.deepEqual(parseBuildRun(run({ context })).metadata, metadata);
  });

  it("drops fields of a later version", () => {
    const { spec } = parseBuildRun(run({ context, later: true }));
    assert.ok(!("later" in spec));
  });

  it("does not let a label change the prototype of anything", () => {
    const labels = JSON.parse('{"__proto__": "x", "a": "b"}');
    const { spec } = parseBuildRun(run({ context, labels }));
    assert.equal(spec.labels["a"], "b");
    assert.equal(Object.getPrototypeOf({}), Object.prototype);
    assert.equal(({} as Record<string, unknown>)["x"], undefined);
  });

  const refused: readonly (readonly [name: string, value: unknown, path: string])[] = [
    ["another kind", { ...run({ context }), kind: "Pod" }, "kind"],
    ["another version", { ...run({ context }), apiVersion: "kiln.build/v9" }, "apiVersion"],
    ["no spec", { apiVersion, kind: "BuildRun", metadata }, "spec"],
    ["a text instead of an object", "BuildRun", ""],
    [
      "a bad field deep inside",
      run({ context, outputs: [{ image: { tags: ["A"] } }] }),
      "spec.outputs[0].image.tags[0]",
    ],
    ["two contexts", run({ context: { ...context, none: {} } }), "spec.context"],
  ];
  for (const [name, value, path] of refused) {
    it(`refuses ${name} and says where`, () => {
      assert.throws(
        () => parseBuildRun(value),
        (error) => error instanceof InvalidResource && error.path === path,
      );
    });
  }

  it("does not choke on long hostile texts", () => {
    const hostile = [`${"a-".repeat(200)}!`, `${"a.".repeat(190)}/`, "a".repeat(400)];
    for (const tag of hostile) {
      const spec = { context, outputs: [{ image: { tags: [tag] } }] };
      try {
        parseBuildRun(run(spec));
      } catch (error) {
        assert.ok(error instanceof InvalidResource);
      }
    }
  });
});

describe("parseBuilder", () => {
  const builder = (spec: unknown, kind = "Builder") => ({ apiVersion, kind, metadata, spec });

  it("fills every default of driver kubernetes", () => {
    assert.deepEqual(parseBuilder(builder({ kubernetes: {} })).spec, {
      kubernetes: {
        drainTimeout: "10m",
        imagePullPolicy: "IfNotPresent",
        imagePullSecrets: [],
        security: "Rootless",
        isolation: "Shared",
        loadBalance: "Sticky",
        platforms: [],
        startupTimeout: "2m",
        topologySpreadConstraints: [],
        automountServiceAccountToken: false,
        diskPressureThreshold: 90,
        env: [],
        volumes: [],
        volumeMounts: [],
        qemu: { install: false, image: "docker.io/tonistiigi/binfmt:latest" },
      },
      allow: { entitlements: [] },
      nodes: [],
      defaultLoad: false,
      drain: false,
      drainTimeout: "10m",
      deletionPolicy: "WaitForRuns",
      maxConcurrentRuns: 4,
      serviceAccountName: "default",
    });
  });

  it("keeps quantities as they were written", () => {
    const resources = { requests: { cpu: 2, memory: "4Gi" } };
    const { spec } = parseBuilder(builder({ kubernetes: { resources } }));
    assert.deepEqual(spec.kubernetes?.resources, resources);
  });
});
