// What is asked of the BuildKit inside a Docker engine, and what is not.

import assert from "node:assert/strict";
import { forEngine } from "../../../src/buildrun/plan/engine.ts";
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
    ["keep attestations", { frontendAttrs: { "attest:sbom": "" } }],
  ];
  for (const [what, over] of refused) {
    it(`is refused when it wants to ${what} with the older image store`, () => {
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
