// Both slices together, as the operator has them: a Builder resource that names a buildkitd behind mutual TLS, and a run
// that is applied before it.

import assert from "node:assert/strict";
import { InProcessAgent } from "../../../../src/agent/in-process.ts";
import { InstanceAgents } from "../../../../src/agent/instance-agents.ts";
import type { Builder, BuildRun } from "../../../../src/api/v1alpha1/index.ts";
import {
  builderCaches,
  builderFeeds,
  builders as builderType,
  type Builders,
  cacheList,
  createBuilders,
} from "../../../../src/builder/index.ts";
import { connect } from "../../../../src/buildkit/index.ts";
import { buildRuns, type BuildRuns } from "../../../../src/buildrun/index.ts";
import { ResourceCache } from "../../../../src/kube/cache.ts";
import { secrets } from "../../../../src/kube/types.ts";
import { rootLogger } from "../../../../src/log.ts";
import { type Buildkitd, buildkitd } from "../../../cluster/index.ts";
import {
  aNamespace,
  aRunOf,
  buildRunType,
  create,
  ends,
  never,
  reaches,
  reason,
  type Server,
  startServer,
  textOf,
  until,
} from "../kiln.ts";

describe("a remote Builder and its runs", () => {
  let server: Server;
  let daemon: Buildkitd;
  let namespace = "";
  let slices: { builders: Builders; runs: BuildRuns; stop: () => Promise<void> };

  before(async () => {
    [server, daemon] = await Promise.all([startServer(), buildkitd({ tls: true })]);
    namespace = await aNamespace(server.client, "whole");
    slices = await startSlices();
  });
  after(async () => {
    await slices.stop();
    await server.stop();
    await daemon.stop();
  });

  async function startSlices() {
    const { client } = server;
    const log = rootLogger("error");
    const events = { event: () => undefined };
    const caches = builderCaches(client, { log });
    const cache = new ResourceCache<BuildRun>({ client, type: buildRunType, log });
    const agent = new InProcessAgent({ log, connect });
    const images = { privileged: "none", rootless: "none", agent: "none" };
    const common = { client, events, log, concurrency: 4 };
    const at = { namespace, namespacedSockets: true };
    const builders = createBuilders({ ...common, ...at, caches, images });
    const agents = new InstanceAgents(agent);
    const runs = buildRuns({
      image: "kiln:test",
      ...common,
      type: buildRunType,
      cache,
      agents,
      fleet: builders.fleet,
    });
    const all = [...cacheList(caches), cache];
    for (const feed of builderFeeds(caches))
      feed.cache.onChange(({ object }) => {
        const key = feed.keyFor(object);
        if (key !== undefined) builders.changed(key, "normal");
      });
    cache.onChange(({ key }) => runs.changed(key));
    for (const each of all) each.start();
    await Promise.all(all.map(async (each) => await each.synced));
    builders.start();
    runs.start();
    const stop = async (): Promise<void> => {
      await runs.stop(2_000);
      await builders.stop(2_000);
      await agent.stop();
      await Promise.all(all.map(async (each) => await each.stop()));
    };
    return { builders, runs, stop };
  }

  it("lets a run wait for its Builder, builds it over mutual TLS, and counts it", async () => {
    // Longer than the time for which a Builder that has just told something keeps numbers back.
    const dockerfile = { inline: "FROM busybox\nRUN sleep 8\n" };
    const run = await create(server, aRunOf(namespace, "early", { dockerfile }));
    await reaches(server, run, "stalled", (now) => reason(now, "Stalled") === "BuilderNotFound");
    assert.ok(daemon.tls !== undefined);
    const { ca, cert, key } = daemon.tls;
    const stringData = { "ca.pem": textOf(ca), "cert.pem": textOf(cert), "key.pem": textOf(key) };
    await allowSecret("client");
    await server.client.create(
      secrets,
      { metadata: { namespace, name: "client" }, stringData } as never,
      never,
    );
    const remote = { endpoint: daemon.address, tls: { secretRef: { name: "client" } } };
    const made = { metadata: { namespace, name: "default" }, spec: { remote } };
    await server.client.create(builderType, made as never, never);
    await until("the Builder to count the run", async () => {
      const stored = await server.client.get(builderType, made.metadata, never);
      const builder = stored as Builder | undefined;
      return builder?.status?.runningRuns === 1;
    });
    const { status } = await ends(server, run);
    assert.equal(status?.phase, "Succeeded", JSON.stringify(status?.failure));
    assert.deepEqual(status?.builder, {
      kind: "Builder",
      namespace,
      name: "default",
      instance: "remote-0",
    });
    await until("the Builder to be idle", async () => {
      const stored = await server.client.get(builderType, made.metadata, never);
      const builder = stored as Builder | undefined;
      return (builder?.status?.runningRuns ?? 0) === 0;
    });
  });

  it("starts a run again, as lost, that outlasts the time of a drain", async () => {
    const own = await buildkitd();
    const made = { namespace, name: "drained" };
    const write = async (drain: boolean): Promise<void> => {
      const spec = { remote: { endpoint: own.address }, drainTimeout: "3s", drain };
      const options = { fieldManager: "test" };
      await server.client.apply(builderType, { metadata: made, spec }, options, never);
    };
    await write(false);
    const dockerfile = { inline: "FROM busybox\nRUN sleep 20\n" };
    const spec = { dockerfile, builderRef: { name: "drained" }, retry: { limit: 0 } };
    const run = await create(server, aRunOf(namespace, "cut", spec));
    await reaches(server, run, "running", ({ status }) => (status?.progress?.total ?? 0) > 0);
    await write(true);
    const waiting = await reaches(server, run, "waiting again", ({ status }) => {
      const [first] = status?.attempts ?? [];
      return first?.outcome === "Lost" && status?.phase === "Pending";
    });
    assert.deepEqual(
      waiting.status?.attempts?.map((attempt) => [attempt.reason, attempt.class]),
      [["AttemptLost", "Builder"]],
    );
    await write(false);
    const { status } = await ends(server, run);
    assert.deepEqual(
      status?.attempts?.map(({ outcome }) => outcome),
      ["Lost", "Succeeded"],
    );
    await own.stop();
  });

  /** Lets the Builder's service account (default) read one Secret. */
  async function allowSecret(name: string): Promise<void> {
    const rbac = { apiVersion: "rbac.authorization.k8s.io/v1", namespaced: true };
    await server.client.create(
      { ...rbac, kind: "Role", plural: "roles" },
      {
        metadata: { namespace, name },
        rules: [{ apiGroups: [""], resources: ["secrets"], resourceNames: [name], verbs: ["get"] }],
      } as never,
      never,
    );
    await server.client.create(
      { ...rbac, kind: "RoleBinding", plural: "rolebindings" },
      {
        metadata: { namespace, name },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
        subjects: [{ kind: "ServiceAccount", name: "default", namespace }],
      } as never,
      never,
    );
  }
});
