import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { pino } from "pino";
import { ResourceCache } from "../../../src/kube/cache.ts";
import { loadKubeConfig } from "../../../src/kube/http/credentials.ts";
import { KilnOperator } from "../../../src/kube/shell.ts";
import { customResourceDefinitions } from "../../../src/kube/types.ts";
import { Controller } from "../../../src/runtime/controller.ts";
import { done } from "../../../src/runtime/outcome.ts";
import { start } from "../../cluster/base/process.ts";
import type { RunningProcess } from "../../cluster/base/process.ts";
import { aWorld, silent, things, thingsCrd, until } from "./world.ts";
import type { Thing, World } from "./world.ts";

describe("ResourceCache on a real API server", () => {
  let world: World;
  let restarted: RunningProcess | undefined;
  const caches: ResourceCache<Thing>[] = [];
  before(async () => {
    world = await aWorld();
  });
  after(async () => {
    await Promise.all(caches.map((cache) => cache.stop()));
    await restarted?.stop();
    await world?.stop();
  });

  function aCache(namespace: string): { cache: ResourceCache<Thing>; told: string[] } {
    const { client } = world;
    const cache = new ResourceCache<Thing>({ client, type: things, namespace, log: silent });
    caches.push(cache);
    const told: string[] = [];
    cache.onChange((e) => told.push(`${e.type} ${e.object.metadata.name} ${e.object.spec?.value}`));
    return { cache, told };
  }

  it("follows what is written, and is fresh once it has seen our own write", async () => {
    const { client, signal } = world;
    const namespace = await world.namespace("follow");
    const { cache, told } = aCache(namespace);
    const metadata = { namespace, name: "a" };
    await client.create(things, { metadata, spec: { value: 1 } }, signal());
    cache.start();
    await cache.synced;
    const written = await client.apply(things, { metadata, spec: { value: 2 } }, {}, signal());
    cache.wrote(written);
    await cache.waitFor(written.metadata.resourceVersion ?? "", signal());
    assert.equal(cache.isFresh("follow/a"), true);
    assert.equal(cache.get("follow/a")?.spec?.value, 2);
    await client.delete(things, metadata, signal());
    await client.create(things, { metadata, spec: { value: 3 } }, signal());
    await until("the namesake is in", () => cache.get("follow/a")?.spec?.value === 3);
    assert.deepEqual(told, ["Added a 1", "Modified a 2", "Deleted a 2", "Added a 3"]);
  });

  it("feeds a controller through the operator shell", async () => {
    const { client, signal, plane } = world;
    const namespace = await world.namespace("shell");
    const config = loadKubeConfig(plane.kubeconfig);
    const lines: { msg: string }[] = [];
    const log = pino({ level: "debug" }, { write: (line) => void lines.push(JSON.parse(line)) });
    const reconciled: string[] = [];
    const controller = new Controller({
      name: "things",
      concurrency: 2,
      log,
      reconcile: async (key) => {
        reconciled.push(key);
        return done;
      },
    });
    const cache = new ResourceCache<Thing>({ client, type: things, namespace, log });
    const priorities: string[] = [];
    const operator = new KilnOperator({
      config,
      client,
      log,
      init: (shell) =>
        shell.feed(cache, things, (key, priority) => {
          priorities.push(priority);
          controller.add(key, { priority });
        }),
    });
    await client.create(things, { metadata: { namespace, name: "first" } }, signal());
    assert.deepEqual(operator.unsynced, []);
    await operator.start(signal());
    controller.start();
    await client.create(things, { metadata: { namespace, name: "second" } }, signal());
    await until("both are reconciled", () => reconciled.length === 2);
    operator.stop();
    await operator.stopped;
    await controller.stop(1000);
    assert.deepEqual(reconciled, ["shell/first", "shell/second"]);
    assert.deepEqual(priorities, ["low", "normal"]);
    assert.ok(lines.some((line) => line.msg === "caches are in sync"));
  });

  it("registers a CRD that is there already, with what changed in it", async () => {
    const { client, signal, plane } = world;
    const config = loadKubeConfig(plane.kubeconfig);
    const operator = new KilnOperator({ config, client, log: silent, init: async () => undefined });
    const at = { name: "things.test.kiln.build" };
    const stored = await client.get(customResourceDefinitions, at, signal());
    assert.ok(stored !== undefined);
    const names = { ...stored.spec.names, shortNames: ["th"] };
    const changed = { metadata: at, spec: { ...stored.spec, names } };
    await client.apply(customResourceDefinitions, changed, {}, signal());
    const registered = await operator.registerCustomResourceDefinition(thingsCrd);
    assert.deepEqual([registered.group, registered.plural], ["test.kiln.build", "things"]);
    const again = await client.get(customResourceDefinitions, at, signal());
    assert.equal(again?.spec.names.shortNames, undefined);
  });

  it("misses nothing over a restart of the API server", async () => {
    const { client, signal, plane } = world;
    const namespace = await world.namespace("restart");
    const { cache, told } = aCache(namespace);
    const metadata = (name: string) => ({ namespace, name });
    await client.create(things, { metadata: metadata("a"), spec: { value: 1 } }, signal());
    cache.start();
    await cache.synced;
    const apiserver = plane.processes[0];
    assert.equal(apiserver?.name, "kube-apiserver");
    const command = readFileSync(`/proc/${apiserver.identity.pid}/cmdline`, "utf8")
      .split("\0")
      .slice(0, -1);
    const [program, ...args] = command.slice(
      command.findIndex((word) => word.endsWith("kube-apiserver")),
    );
    assert.ok(program !== undefined);
    await apiserver.stop();
    await assert.rejects(client.get(things, metadata("a"), signal()), { kind: "Unavailable" });
    assert.equal(cache.get("restart/a")?.spec?.value, 1, "the cache stays readable");
    restarted = await start({
      name: "kube-apiserver-2",
      folder: plane.folder,
      command: [program, ...args],
    });
    // Written as soon as the server takes it, so most likely before the watch is back.
    await until("the API server is back", async () => {
      const object = { metadata: metadata("a"), spec: { value: 2 } };
      const written = await client.apply(things, object, {}, signal()).catch(() => undefined);
      return written !== undefined;
    });
    await client.create(things, { metadata: metadata("b"), spec: { value: 1 } }, signal());
    await client.delete(things, metadata("b"), signal());
    await client.create(things, { metadata: metadata("c"), spec: { value: 1 } }, signal());
    await until("the watch has caught up", () => cache.get("restart/c") !== undefined, 60_000);
    assert.deepEqual(
      told.filter((line) => !line.includes(" b ")),
      ["Added a 1", "Modified a 2", "Added c 1"],
    );
    assert.equal(cache.get("restart/b"), undefined);
  });
});
