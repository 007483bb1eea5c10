// What is asked of the BuildKit inside a Docker engine, and what is not.

import assert from "node:assert/strict";
import { forEngine, isFor } from "../../../src/buildrun/plan/engine.ts";
import { isLoading, withDefaultLoad } from "../../../src/buildrun/plan/load.ts";
import type { BuilderSpec } from "../../../src/api/v1alpha1/index.ts";
import { KilnError } from "../../../src/errors/index.ts";

type Request = Parameters<typeof forEngine>[0];

function request(over: Partial<Request> = {}): Request {
  const empty = { exporters: [], cacheImports: [], cacheExports: [] };
  return { frontend: "dockerfile.v0", frontendAttrs: {}, ...empty, ...over };
}

const newer = { containerdStore: true, hostGateway: "172.17.0.1" };
const older = { containerdStore: false };

describe("a request to a Docker engine", () => {
  it("exports images with the engine's own exporter, and loads a result without outputs", () => {
    const image = { type: "image", attrs: { name: "a", push: "true" } };
    assert.deepEqual(forEngine(request({ exporters: [image] }), newer).exporters, [
      { ...image, type: "moby" },
    ]);
    assert.deepEqual(forEngine(request(), older).exporters, [{ type: "moby", attrs: {} }]);
  });

  it("pushes by digest with BuildKit's exporter, since the engine's own gives each name a tag", () => {
    const exporters = [
      { type: "image", attrs: { name: "a", push: "true", "push-by-digest": "true" } },
    ];
    const [made] = forEngine(request({ exporters }), newer).exporters;
    assert.deepEqual(made, { type: "image", attrs: { store: "false", ...exporters[0]?.attrs } });
    const kept = [{ type: "image", attrs: { ...exporters[0]?.attrs, store: "true" } }];
    assert.deepEqual(forEngine(request({ exporters: kept }), newer).exporters, kept);
  });

  it("looks for bases among the engine's images, unless it is told to pull", () => {
    const mode = (attrs: Record<string, string>) =>
      forEngine(request({ frontendAttrs: attrs }), newer).frontendAttrs["image-resolve-mode"];
    assert.equal(mode({}), "local");
    assert.equal(mode({ "image-resolve-mode": "pull" }), "pull");
  });

  it("has the engine's address in place of host-gateway", () => {
    const frontendAttrs = { "add-hosts": "a=10.0.0.1,b=host-gateway" };
    const { frontendAttrs: attrs } = forEngine(request({ frontendAttrs }), newer);
    assert.equal(attrs["add-hosts"], "a=10.0.0.1,b=172.17.0.1");
    assert.throws(
      () => forEngine(request({ frontendAttrs }), older),
      /does not say what host-gateway/,
    );
  });

  const refused: readonly (readonly [what: string, over: Partial<Request>])[] = [
    ["build for several platforms", { frontendAttrs: { platform: "linux/amd64,linux/arm64" } }],
    ["export cache", { cacheExports: [{ type: "registry", attrs: {} }] }],
    ["push", { exporters: [{ type: "image", attrs: { push: "true" } }] }],
    ["write image archives", { exporters: [{ type: "oci", attrs: { dest: '{"kind":"s3"}' } }] }],
    ["write image archives", { exporters: [{ type: "docker", attrs: { dest: '{"kind":"s3"}' } }] }],
    ["keep attestations", { frontendAttrs: { "attest:sbom": "" } }],
  ];
  for (const [what, over] of refused) {
    const kind = over.exporters?.[0]?.type ?? "result";
    it(`is refused when it wants to ${what} with the older image store: ${kind}`, () => {
      assert.throws(
        () => forEngine(request(over), older),
        (error) =>
          error instanceof KilnError &&
          error.reason === "NotForEngine" &&
          error.message.includes(what),
      );
      assert.ok(forEngine(request(over), newer));
    });
  }
});

describe("a result for the engine behind a builder", () => {
  const engine = { type: "docker", attrs: { name: "a:1", dest: '{"kind":"engine"}' } };
  const byDefault = { defaultLoad: true } as BuilderSpec;

  it("is made by the engine's own BuildKit as any image of it", () => {
    assert.deepEqual(forEngine(request({ exporters: [engine] }), newer).exporters, [
      { type: "moby", attrs: { name: "a:1" } },
    ]);
  });

  it("is for instances with an engine only", () => {
    const asked = request({ exporters: [engine] });
    assert.equal(isFor(asked, {}), false);
    assert.equal(isFor(asked, { loads: true }), true);
    assert.equal(isFor(request(), {}), true);
    assert.equal(isFor(request(), {}, byDefault), false);
  });

  it("is what a Builder with defaultLoad makes of a run without outputs, and of no other", () => {
    const loads = { loads: true } as const;
    assert.deepEqual(withDefaultLoad(request(), byDefault, loads).exporters, [
      { type: "docker", attrs: { dest: '{"kind":"engine"}' } },
    ]);
    const others: readonly Request[] = [
      request({ exporters: [{ type: "image", attrs: { name: "a" } }] }),
      request({ frontendAttrs: { requestid: "frontend.lint" } }),
    ];
    for (const other of others) {
      assert.equal(withDefaultLoad(other, byDefault, loads), other);
      assert.equal(isLoading(other, byDefault), false);
    }
    assert.deepEqual(withDefaultLoad(request(), byDefault, {}).exporters, []);
    assert.deepEqual(withDefaultLoad(request(), undefined, loads).exporters, []);
  });
});
