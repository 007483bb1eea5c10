// Reasons that no healthy part gives, provoked through whole runs by a daemon that does what the test says; and those of
// specs that the API server would refuse, by CRDs that check less.
// Jobs that only another version's controller would send go to the agent itself.

import assert from "node:assert/strict";
import type { Job } from "../../../../src/agent/agent.ts";
import { InProcessAgent } from "../../../../src/agent/in-process.ts";
import { Sealed } from "../../../../src/agent/sealed.ts";
import { customResourceDefinitions } from "../../../../src/api/crd.ts";
import type { BuildRun } from "../../../../src/api/v1alpha1/index.ts";
import { connect } from "../../../../src/buildkit/index.ts";
import { customResourceDefinitions as crds } from "../../../../src/kube/types.ts";
import { rootLogger } from "../../../../src/log.ts";
import { hostileDaemon, type Script } from "../../buildkit/hostile/daemon.ts";
import { instanceAt, TestFleet } from "../fleet.ts";
import {
  aNamespace,
  aRunOf,
  create,
  ends,
  never,
  type Server,
  startKiln,
  startServer,
} from "../kiln.ts";

/** The definitions without patterns and rules. */
function lenient(): object[] {
  const text = JSON.stringify(customResourceDefinitions(), (key, value: unknown) =>
    key === "x-kubernetes-validations" || (key === "pattern" && typeof value === "string")
      ? undefined
      : value,
  );
  return JSON.parse(text) as object[];
}

describe("reasons that take a fault", () => {
  let server: Server;
  before(async () => {
    server = await startServer();
    for (const definition of lenient())
      await server.client.apply(crds, definition as never, {}, never);
  });
  after(async () => await server.stop());

  /** A run's end on a daemon of this script. */
  async function endOf(script: Script, spec: Record<string, unknown> = {}): Promise<BuildRun> {
    const daemon = await hostileDaemon(script);
    const namespace = await aNamespace(server.client, "faults");
    const fleet = new TestFleet();
    const builder = { kind: "Builder", namespace, name: "default" } as const;
    fleet.set(builder, { instances: [instanceAt(daemon.endpoint)] });
    const agent = new InProcessAgent({ log: rootLogger("error"), connect });
    const kiln = await startKiln({ server, agent, fleet });
    try {
      const run = aRunOf(namespace, "web", { retry: { limit: 0 }, ...spec });
      return await ends(server, await create(server, run));
    } finally {
      await kiln.stop();
      await agent.stop();
      await daemon.stop();
    }
  }

  const faults: readonly (readonly [string, string, Script])[] = [
    [
      "Builder",
      "BuilderOverloaded",
      { calls: { solve: (call) => call.end(8, "too many concurrent streams") } },
    ],
    ["Builder", "BuildStopped", { calls: { solve: (call) => call.end(1, "context canceled") } }],
    ["Builder", "SolveFailed", { calls: { solve: (call) => call.end(13, "bolt: page 7 gone") } }],
    [
      "Infra",
      "SessionLost",
      {
        build: async ({ http }) => {
          http.destroy();
          await new Promise(() => undefined);
          return {};
        },
      },
    ],
  ];
  for (const [owner, why, script] of faults)
    it(`are ${why} of class ${owner}`, async () => {
      const { status } = await endOf(script);
      const { failure } = status ?? {};
      assert.deepEqual([failure?.class, failure?.reason], [owner, why], failure?.message);
    });

  const specs: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
    ["InvalidSpec", { platforms: ["linux"] }, /spec\.platforms\[0\]/],
    ["DockerfileMissing", { dockerfile: { path: "Dockerfile" } }, /spec\.dockerfile\.inline/],
  ];
  for (const [why, spec, field] of specs)
    it(`are ${why} where the CRDs are another version's, and name the field`, async () => {
      const { failure } = (await endOf({}, spec)).status ?? {};
      assert.deepEqual([failure?.class, failure?.reason], ["User", why], failure?.message);
      assert.match(failure?.message ?? "", field);
    });

  const jobs: readonly (readonly [string, Partial<Job["request"]>])[] = [
    ["LocalCacheInvalid", { cacheExports: [{ type: "local", attrs: { dest: "../x" } }] }],
    ["OutputPlaceInvalid", { exporters: [{ type: "tar", attrs: { dest: '{"kind":"moon"}' } }] }],
  ];
  for (const [why, request] of jobs)
    it(`are ${why} for a job that no controller of the agent's version sends`, async () => {
      const daemon = await hostileDaemon();
      const agent = new InProcessAgent({ log: rootLogger("error"), connect, caches: "/none" });
      const materials = { logins: new Map(), secrets: new Map(), trees: new Map(), sshKeys: [] };
      const ref = `stranger-${why}`;
      const asked = { ref, frontend: "dockerfile.v0", frontendAttrs: {} };
      const none = { exporters: [], cacheImports: [], cacheExports: [] };
      try {
        await agent.start({
          ref,
          request: { ...asked, ...none, ...request },
          materials: new Sealed({ endpoint: daemon.endpoint, ...materials }),
        });
        const outcomes: unknown[] = [];
        for await (const event of agent.attach(ref, 0, never))
          if (event.kind === "finished" && event.outcome.kind === "failed")
            outcomes.push(event.outcome.failure.class, event.outcome.failure.reason);
        assert.deepEqual(outcomes, ["User", why]);
      } finally {
        await agent.stop();
        await daemon.stop();
      }
    });
});
