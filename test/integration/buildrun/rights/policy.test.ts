// What a Builder does not allow ends a run at once on a real API server: as Policy, with the list to change.

import assert from "node:assert/strict";
import type { BuilderSpecInput } from "../../../../src/api/v1alpha1/index.ts";
import { aSpec } from "../../../unit/builder/samples.ts";
import { instanceAt } from "../fleet.ts";
import { aRunOf, create, ends, reason } from "../kiln.ts";
import { aScene, builderOf, output, socket, started } from "../scene.ts";

type Allow = NonNullable<BuilderSpecInput["allow"]>;

describe("a run that asks for more than its Builder allows", () => {
  const scene = aScene();

  const allows = (allow: Allow, more: Partial<BuilderSpecInput> = {}): void => {
    const spec = aSpec({ kubernetes: {}, allow, ...more });
    scene.fleet.set(builderOf(scene), { instances: [instanceAt(socket)], spec });
  };

  const syntax = { dockerfile: { inline: "# syntax=evil.example/frontend\nFROM scratch\n" } };
  const cache = { cache: { from: [{ registry: { ref: "elsewhere.example/cache" } }] } };
  const refused: readonly (readonly [
    what: string,
    Allow,
    Record<string, unknown>,
    reason: string,
    says: RegExp,
  ])[] = [
    [
      "from another namespace",
      { namespaces: ["other"] },
      {},
      "NamespaceNotAllowed",
      /spec\.allow\.namespaces/,
    ],
    [
      "as another account",
      { serviceAccounts: ["ci"] },
      {},
      "ServiceAccountNotAllowed",
      /spec\.allow\.serviceAccounts/,
    ],
    [
      "by another frontend",
      { frontends: ["docker/dockerfile"] },
      syntax,
      "FrontendNotAllowed",
      /evil\.example\/frontend/,
    ],
    [
      "with the network of the host",
      {},
      { network: "host" },
      "EntitlementNotAllowed",
      /does not grant network\.host: add it to spec\.allow\.entitlements/,
    ],
    [
      "to another registry",
      { outputs: { repositories: ["mine.example/*"] } },
      output,
      "OutputNotAllowed",
      /registry\.example\/web:1/,
    ],
    [
      "from another cache",
      { caches: { repositories: ["mine.example/*"] } },
      cache,
      "CacheNotAllowed",
      /elsewhere\.example\/cache/,
    ],
  ];
  for (const [what, allow, spec, wanted, says] of refused) {
    it(`fails: ${what}`, async () => {
      allows(allow);
      const ended = await ends(
        scene.server,
        await create(scene.server, aRunOf(scene.namespace, "web", spec)),
      );
      assert.deepEqual(
        [ended.status?.phase, ended.status?.failure?.class, reason(ended)],
        ["Failed", "Policy", wanted],
      );
      assert.match(ended.status?.failure?.message ?? "", says);
      assert.equal(ended.status?.attempts, undefined, "no attempt was made");
    });
  }

  it("fails when its result would go nowhere, on a Builder with defaultLoad", async () => {
    allows({}, { defaultLoad: true });
    const run = await create(scene.server, aRunOf(scene.namespace, "web"));
    const ended = await ends(scene.server, run);
    assert.deepEqual([ended.status?.failure?.class, reason(ended)], ["User", "NoEngineToLoad"]);
  });

  it("runs when it asks for what is allowed", async () => {
    allows({
      namespaces: [scene.namespace],
      serviceAccounts: ["default"],
      frontends: [],
      outputs: { types: ["image"], repositories: ["registry.example/*"] },
    });
    const run = await create(scene.server, aRunOf(scene.namespace, "web", output));
    const ref = await started(scene, run);
    scene.agent.finish(ref, {
      kind: "succeeded",
      facts: { images: [], baseImages: [] },
      finishedAt: new Date().toISOString(),
    });
    assert.equal((await ends(scene.server, run)).status?.phase, "Succeeded");
  });
});
