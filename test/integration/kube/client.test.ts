// KubeClient: each verb against a real API server.
import assert from "node:assert/strict";
import { roleBindings, roles } from "./rbac.ts";
import { loadKubeConfig } from "../../../src/kube/http/credentials.ts";
import { isApiError } from "../../../src/kube/errors.ts";
import type { ApiErrorKind } from "../../../src/kube/errors.ts";
import { EventRecorder } from "../../../src/kube/events.ts";
import { kubeClient } from "../../../src/kube/rest.ts";
import {
  configMaps,
  coreEvents,
  events,
  secrets,
  serviceAccounts,
} from "../../../src/kube/types.ts";
import type { Event } from "../../../src/kube/types.ts";
import { aWorld, silent, things, until } from "./world.ts";
import type { Thing, World } from "./world.ts";

/** For assert.rejects. */
const refusedAs = (kind: ApiErrorKind) => (error: unknown) => {
  assert.ok(isApiError(error, kind), String(error));
  return true;
};

describe("KubeClient on a real API server", () => {
  let world: World;
  let n = 0;
  before(async () => {
    world = await aWorld();
  });
  after(() => world?.stop());
  const at = (): { namespace: string; name: string } => ({
    namespace: "default",
    name: `thing-${(n += 1)}`,
  });

  it("gives undefined for what is not there, and an error for a namespace left out", async () => {
    const { client, signal } = world;
    assert.equal(await client.get(things, at(), signal()), undefined);
    await assert.rejects(client.get(things, { name: "x" }, signal()), /Thing x needs a namespace/);
  });

  it("applies only what it owns, and takes a field over from another manager", async () => {
    const { client, signal } = world;
    const metadata = at();
    await client.apply(things, { metadata, spec: { value: 1 } }, { fieldManager: "a" }, signal());
    const both = await client.apply(
      things,
      { metadata, spec: { other: 2 } },
      { fieldManager: "b" },
      signal(),
    );
    assert.deepEqual(both.spec, { value: 1, other: 2 });
    const object = { metadata, spec: { value: 3 } };
    const polite = client.apply(things, object, { fieldManager: "b", force: false }, signal());
    await assert.rejects(polite, refusedAs("Conflict"));
    const taken = await client.apply(things, object, { fieldManager: "b" }, signal());
    assert.deepEqual(taken.spec, { value: 3 }, "b no longer applies `other`, so it goes");
  });

  it("applies the same thing again without a new version", async () => {
    const { client, signal } = world;
    const object = { metadata: at(), spec: { value: 1 } };
    const first = await client.apply(things, object, {}, signal());
    const again = await client.apply(things, object, {}, signal());
    assert.equal(again.metadata.resourceVersion, first.metadata.resourceVersion);
  });

  it("applies status apart from spec", async () => {
    const { client, signal } = world;
    const metadata = at();
    await client.apply(things, { metadata, spec: { value: 1 } }, {}, signal());
    const status = { phase: "Running" };
    const after = await client.applyStatus(
      things,
      { metadata, status, spec: { value: 9 } },
      {},
      signal(),
    );
    assert.deepEqual([after.spec, after.status], [{ value: 1 }, status]);
    assert.equal(after.metadata.generation, 1);
  });

  it("does not write the status of a namesake when the uid is given", async () => {
    const { client, signal } = world;
    const metadata = at();
    const old = await client.create(things, { metadata }, signal());
    await client.delete(things, metadata, signal());
    await client.create(things, { metadata }, signal());
    const object = { metadata: { ...metadata, uid: old.metadata.uid }, status: { phase: "Late" } };
    await assert.rejects(client.applyStatus(things, object, {}, signal()), refusedAs("Conflict"));
    await client.delete(things, metadata, signal());
    const gone = client.applyStatus(things, object, {}, signal());
    await assert.rejects(gone, (error) => isApiError(error, "NotFound", "Conflict"));
    assert.equal(await client.get(things, metadata, signal()), undefined, "nothing came back");
  });

  it("writes the status of the right one in a crowd of writers", async () => {
    const { client, signal } = world;
    const { metadata } = await client.create(things, { metadata: at() }, signal());
    const { namespace, name, uid } = metadata;
    const writes = ["a", "b", "c", "d"].map((note) =>
      client.applyStatus(
        things,
        { metadata: { namespace, name, uid }, status: { note } },
        { fieldManager: note },
        signal(),
      ),
    );
    assert.equal(
      (await Promise.allSettled(writes)).filter((w) => w.status === "rejected").length,
      0,
    );
  });

  it("neither changes a namesake nor makes a new one when the uid is given", async () => {
    const { client, signal } = world;
    const metadata = at();
    const old = await client.create(things, { metadata }, signal());
    await client.delete(things, metadata, signal());
    const object = { metadata: { ...metadata, uid: old.metadata.uid }, spec: { value: 9 } };
    await assert.rejects(client.apply(things, object, {}, signal()), refusedAs("Conflict"));
    assert.equal(await client.get(things, metadata, signal()), undefined, "nothing came back");
    await client.create(things, { metadata, spec: { value: 1 } }, signal());
    await assert.rejects(client.apply(things, object, {}, signal()), refusedAs("Conflict"));
  });

  it("refuses a field that the API server does not know, in its words", async () => {
    const { client, signal } = world;
    const object = { metadata: at(), spec: { value: 1, vlaue: 2 } } as {
      metadata: Thing["metadata"];
    };
    await assert.rejects(client.apply(things, object, {}, signal()), /spec\.vlaue.*not declared/);
  });

  it("says AlreadyExists to a second creation and Conflict to a replace of an old version", async () => {
    const { client, signal } = world;
    const metadata = at();
    const made = await client.create(things, { metadata, spec: { value: 1 } }, signal());
    await assert.rejects(client.create(things, { metadata }, signal()), refusedAs("AlreadyExists"));
    await client.replace(things, { ...made, spec: { value: 2 } }, signal());
    const old = client.replace(things, { ...made, spec: { value: 3 } }, signal());
    await assert.rejects(old, refusedAs("Conflict"));
  });

  it("deletes only the object and the version it was told of", async () => {
    const { client, signal } = world;
    const metadata = at();
    const made = await client.create(things, { metadata }, signal());
    const wrongUid = { ...metadata, uid: "00000000-0000-0000-0000-000000000000" };
    await assert.rejects(client.delete(things, wrongUid, signal()), refusedAs("Conflict"));
    await client.apply(things, { metadata, spec: { value: 2 } }, {}, signal());
    const { uid, resourceVersion } = made.metadata;
    const oldVersion = client.delete(things, { ...metadata, resourceVersion }, signal());
    await assert.rejects(oldVersion, refusedAs("Conflict"));
    await client.delete(things, { ...metadata, uid }, signal());
    await client.delete(things, { ...metadata, uid }, signal());
    assert.equal(await client.get(things, metadata, signal()), undefined);
  });

  it("never drops a finalizer that somebody else added meanwhile", async () => {
    const { client, signal } = world;
    const metadata = at();
    const made = await client.create(things, { metadata }, signal());
    const ours = await client.setFinalizers(things, made, ["kiln.build/run"], signal());
    assert.deepEqual(ours?.metadata.finalizers, ["kiln.build/run"]);
    await client.apply(
      things,
      { metadata: { ...metadata, finalizers: ["other.example/one"] } },
      { fieldManager: "other" },
      signal(),
    );
    assert.ok(ours !== undefined);
    await assert.rejects(client.setFinalizers(things, ours, [], signal()), refusedAs("Conflict"));
    const now = await client.get(things, metadata, signal());
    assert.deepEqual(now?.metadata.finalizers?.toSorted(), ["kiln.build/run", "other.example/one"]);
    assert.ok(now !== undefined);
    await client.delete(things, metadata, signal());
    const freed = await client.get(things, metadata, signal());
    assert.ok(freed?.metadata.deletionTimestamp !== undefined);
    await client.setFinalizers(things, freed, [], signal());
    assert.equal(await client.setFinalizers(things, freed, [], signal()), undefined);
  });

  it("reads what a service account may read, and nothing else", async () => {
    const { client, signal } = world;
    const namespace = await world.namespace("tenant");
    const metadata = { namespace, name: "builder" };
    await client.create(serviceAccounts, { metadata }, signal());
    const rules = [
      { apiGroups: [""], resources: ["secrets"], resourceNames: ["allowed"], verbs: ["get"] },
    ];
    await client.create(roles, { metadata, rules }, signal());
    const binding = {
      metadata,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "builder" },
      subjects: [{ kind: "ServiceAccount", name: "builder", namespace }],
    };
    await client.create(roleBindings, binding, signal());
    for (const name of ["allowed", "denied"]) {
      const object = { metadata: { namespace, name }, data: { key: "dmFsdWU=" } };
      await client.create(secrets, object, signal());
    }
    const builder = client.asServiceAccount(namespace, "builder");
    await until("the role is in force", async () => {
      const secret = await builder
        .get(secrets, { namespace, name: "allowed" }, signal())
        .catch((error: unknown) => {
          if (isApiError(error, "Forbidden")) return undefined;
          throw error;
        });
      return secret?.data?.["key"] === "dmFsdWU=";
    });
    await assert.rejects(
      builder.get(secrets, { namespace, name: "denied" }, signal()),
      /get Secret tenant\/denied: .*system:serviceaccount:tenant:builder.*cannot get/,
    );
    await assert.rejects(builder.list(secrets, { namespace }, signal()), refusedAs("Forbidden"));
    const other = client.asServiceAccount("default", "builder");
    await assert.rejects(
      other.get(secrets, { namespace, name: "allowed" }, signal()),
      refusedAs("Forbidden"),
    );
  });

  it("lists more objects than a page holds, by namespace and by selector", async () => {
    const { client, signal } = world;
    const namespace = await world.namespace("many");
    const make = async (from: number): Promise<void> => {
      for (let i = from; i < 1100; i += 16) {
        const labels = { parity: i % 2 === 0 ? "even" : "odd" };
        const metadata = { namespace, name: `cm-${i}`, labels };
        await client.create(configMaps, { metadata, data: { i: String(i) } }, signal());
      }
    };
    await Promise.all(Array.from({ length: 16 }, (_, from) => make(from)));
    const all = await client.list(configMaps, { namespace }, signal());
    assert.equal(new Set(all.map((map) => map.metadata.name)).size, 1100);
    assert.deepEqual([all[0]?.kind, all[0]?.apiVersion], ["ConfigMap", "v1"]);
    const even = await client.list(
      configMaps,
      { namespace, labelSelector: "parity=even" },
      signal(),
    );
    assert.equal(even.length, 550);
    const one = await client.list(
      configMaps,
      { namespace, fieldSelector: "metadata.name=cm-7" },
      signal(),
    );
    assert.deepEqual(
      one.map((map) => map.data?.["i"]),
      ["7"],
    );
  });

  it("says Unavailable when nobody listens, and ends when it is told to", async () => {
    const { client, plane } = world;
    const config = loadKubeConfig(plane.kubeconfig);
    const nobody = kubeClient({
      applyToHTTPSOptions: (options) => config.applyToHTTPSOptions(options),
      getCurrentUser: () => config.getCurrentUser(),
      getCurrentCluster: () => ({ name: "x", server: "https://127.0.0.1:1", skipTLSVerify: true }),
    });
    await assert.rejects(nobody.get(things, at(), world.signal()), refusedAs("Unavailable"));
    const abort = new AbortController();
    const asked = client.list(things, {}, abort.signal);
    abort.abort(new Error("told to"));
    await assert.rejects(asked, /told to/);
  });

  it("says what is wrong with a bad token", async () => {
    const config = loadKubeConfig(world.plane.kubeconfig);
    const cluster = config.getCurrentCluster();
    assert.ok(cluster !== null);
    const stranger = loadKubeConfig(world.plane.kubeconfig);
    stranger.loadFromClusterAndUser(cluster, { name: "stranger", token: "wrong" });
    const client = kubeClient(stranger);
    await assert.rejects(client.get(things, at(), world.signal()), refusedAs("Unauthorized"));
    client.close();
  });

  it("records Events that kubectl shows, repeats as one with a count", async () => {
    const { client, signal } = world;
    const metadata = at();
    const object = await client.create(things, { metadata }, signal());
    const recorder = new EventRecorder({ client, instance: "test-1", log: silent });
    const note = {
      type: "Warning",
      reason: "PullFailed",
      message: "cannot pull é".repeat(200),
    } as const;
    for (let i = 0; i < 5; i += 1) recorder.event(object, note);
    recorder.event(object, { type: "Normal", reason: "Started", message: "started" });
    await recorder.stop(10_000);
    const fieldSelector = `involvedObject.uid=${object.metadata.uid}`;
    const shown = await client.list(coreEvents, { namespace: "default", fieldSelector }, signal());
    const brief = shown.map((e) => `${e.type} ${e.reason} ${e.series?.count ?? 1}`).toSorted();
    assert.deepEqual(brief, ["Normal Started 1", "Warning PullFailed 5"]);
    const all: Event[] = await client.list(events, { namespace: "default" }, signal());
    const long = all.find((event) => event.reason === "PullFailed");
    assert.ok(Buffer.byteLength(long?.note ?? "") <= 1024);
    assert.equal(long?.reportingController, "kiln.build/controller");
  });

  it("drops Events that the API server will not take, without a word to the caller", async () => {
    const dropped: string[] = [];
    const recorder = new EventRecorder({
      client: world.client,
      instance: "test-2",
      log: silent,
      onDropped: (why) => dropped.push(why),
    });
    const object = { ...things, metadata: { name: "x", namespace: "no-such-namespace", uid: "u" } };
    recorder.event(object, { type: "Normal", reason: "Started", message: "x" });
    await recorder.stop(10_000);
    assert.deepEqual(dropped, ["refused"]);
  });
});
