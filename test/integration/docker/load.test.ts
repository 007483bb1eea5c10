// Runs on Builders with a real Docker engine: results that are loaded there, through a buildkitd in a container on it, by
// its own BuildKit, and by default; a container that is made anew under a build; and runs that are split over both.

import assert from "node:assert/strict";
import { InProcessAgent } from "../../../src/agent/in-process.ts";
import type {
  BuilderSpecInput,
  BuildRun,
  BuildRunStatus,
} from "../../../src/api/v1alpha1/index.ts";
import { connect } from "../../../src/buildkit/index.ts";
import { pullImage } from "../../../src/docker/index.ts";
import { rootLogger } from "../../../src/log.ts";
import { dockerd, type Registry, registry } from "../../cluster/index.ts";
import { pushed } from "../buildrun/daemon.ts";
import {
  aRunOf,
  bakeType,
  cancel,
  create,
  ends,
  never,
  reaches,
  type Kiln as Runs,
  startKiln,
  until,
} from "../buildrun/kiln.ts";
import { type Container, image, type Scene, scene } from "./engine.ts";

interface EngineImage {
  readonly Id: string;
  readonly RepoDigests: readonly string[];
  readonly RepoTags: readonly string[] | null;
  readonly Config: { readonly Labels: Readonly<Record<string, string>> | null };
}

interface Listed {
  readonly RepoTags: readonly string[] | null;
  readonly Manifests: readonly { readonly Kind: string }[];
}

const portOf = ({ host }: Registry): number => Number(host.split(":")[1]);

describe("a run on a Builder with a Docker engine", function () {
  this.timeout(240_000);
  let world: Scene;
  let runs: Runs;
  let agent: InProcessAgent;
  const namespaces = new Map<string, string>();
  let count = 0;

  let shared: Registry;

  before(async () => {
    shared = await registry();
    world = await scene({ registryPort: portOf(shared) });
    const engine = { kind: "unix", path: world.engine.socket } as const;
    await pullImage(engine, `docker.io/${image}`, AbortSignal.timeout(120_000));
    agent = new InProcessAgent({ log: rootLogger("error"), connect });
    runs = await startKiln({ server: serverOf(), agent, fleet: world.kiln.fleet });
    const endpoint = `unix://${world.engine.socket}`;
    const specs: Readonly<Record<string, BuilderSpecInput>> = {
      container: { dockerContainer: world.container() },
      loading: { dockerContainer: world.container(), defaultLoad: true },
      engine: { docker: { endpoint } },
      remote: { remote: { endpoint } },
    };
    for (const [name, spec] of Object.entries(specs)) {
      const namespace = await world.kiln.namespace();
      namespaces.set(name, namespace);
      await world.kiln.builder(namespace, spec);
    }
  });
  after(async () => {
    await runs?.stop();
    await agent?.stop();
    await world?.stop();
    await shared?.stop();
  });

  const serverOf = () => ({
    plane: world.kiln.plane,
    client: world.kiln.client,
    stop: async () => undefined,
  });

  async function ran(builder: string, spec: Record<string, unknown>): Promise<BuildRunStatus> {
    count += 1;
    const dockerfile = { inline: `FROM scratch\nLABEL made=${count}\nCOPY file /\n` };
    const context = { inline: { files: [{ path: "file", text: "file\n".repeat(10_000) }] } };
    const builderRef = { name: "main" };
    const run = aRunOf(namespaces.get(builder) ?? "", `load-${count}`, {
      ...{ context, dockerfile, builderRef },
      ...spec,
    });
    const ended = await ends(serverOf(), await create(serverOf(), run));
    assert.ok(ended.status !== undefined);
    return ended.status;
  }

  async function loaded(name: string): Promise<EngineImage> {
    return (await world.engine.ask("GET", `/images/${name}/json`)) as EngineImage;
  }

  const intoEngine = (...tags: string[]) => ({
    outputs: [{ docker: { tags, to: { engine: {} } } }],
  });

  for (const builder of ["container", "engine"]) {
    it(`is loaded under its name: ${builder}`, async () => {
      const tag = `shop.example/${builder}:1`;
      const status = await ran(builder, intoEngine(tag));
      assert.equal(status.phase, "Succeeded", JSON.stringify(status.failure));
      const { RepoTags: tags, Config: config } = await loaded(tag);
      assert.deepEqual(tags, [tag]);
      assert.equal(config.Labels?.["made"], String(count));
      const [output] = status.outputs ?? [];
      if (builder === "engine") return;
      assert.equal(output?.files?.location, `engine://${tag}`);
      assert.ok((output?.files?.size ?? 0) > 0);
    });
  }

  it("is loaded for several platforms, with what is said of it", async () => {
    const tag = "shop.example/both:1";
    const status = await ran("container", {
      ...intoEngine(tag),
      platforms: ["linux/amd64", "linux/arm64"],
      attestations: { provenance: {} },
    });
    assert.equal(status.phase, "Succeeded", JSON.stringify(status.failure));
    const list = (await world.engine.ask("GET", "/images/json?manifests=true")) as Listed[];
    const found = list.find(({ RepoTags: tags }) => tags?.includes(tag));
    assert.deepEqual(found?.Manifests.map(({ Kind: kind }) => kind).toSorted(), [
      "attestation",
      "attestation",
      "image",
      "image",
    ]);
  });

  it("is loaded without a name when it has no output and the Builder loads by default", async () => {
    const status = await ran("loading", {});
    assert.equal(status.phase, "Succeeded", JSON.stringify(status.failure));
    const location = status.outputs?.[0]?.files?.location ?? "";
    assert.match(location, /^engine:\/\/sha256:[0-9a-f]{64}$/);
    const { Config: config } = await loaded(location.slice("engine://".length));
    assert.equal(config.Labels?.["made"], String(count));
  });

  it("is not loaded by default when it has an output of another kind, as with buildx", async () => {
    const tag = "shop.example/other:1";
    const status = await ran("loading", { outputs: [{ image: { tags: [tag], push: false } }] });
    assert.equal(status.phase, "Succeeded", JSON.stringify(status.failure));
    await assert.rejects(loaded(tag), /404|No such image/i);
  });

  it("starts again, as lost, when its container is made anew and it takes longer than it may", async () => {
    const { mirror } = world.engine;
    const buildkitd = {
      registries: [
        { host: mirror, http: true },
        { host: "docker.io", mirrors: [mirror] },
      ],
    };
    const namespace = await world.kiln.namespace();
    const of = (env: Container["env"]) => ({
      dockerContainer: world.container({ env }),
      buildkitd,
      drainTimeout: "1s",
    });
    await world.kiln.builder(namespace, of([]));
    const dockerfile = { inline: "FROM busybox\nRUN sleep 605\n" };
    const builderRef = { name: "main" };
    const run = await create(serverOf(), aRunOf(namespace, "long", { dockerfile, builderRef }));
    const isBuilding = (attempt: number) => (now: BuildRun) =>
      now.status?.phase === "Running" && now.status.attempts?.length === attempt;
    await reaches(serverOf(), run, "building", isBuilding(1));
    const name = `kiln_${namespace}_main`;
    const before = await world.inspect(name);
    await world.kiln.builder(namespace, of([{ name: "A", value: "b" }]));
    const again = await reaches(serverOf(), run, "building again", isBuilding(2));
    assert.equal(again.status?.attempts?.[0]?.reason, "AttemptLost");
    assert.notEqual((await world.inspect(name)).Id, before.Id);
    await cancel(serverOf(), run);
    assert.equal((await ends(serverOf(), run)).status?.phase, "Cancelled");
  });

  /** The end of a Bake of one target, as `docker buildx bake --load --print` prints it. */
  async function baked(builder: string, tag: string) {
    const { client } = world.kiln;
    const target = {
      "dockerfile-inline": "FROM scratch\nLABEL made=baked\n",
      tags: [tag],
      output: [{ type: "docker" }],
    };
    const file = { inline: { target: { web: target } } };
    const metadata = { namespace: namespaces.get(builder) ?? "", name: "loaded" };
    const spec = { file, targets: ["web"], builderRef: { name: "main" } };
    const bake = await client.create(bakeType, { metadata, spec } as never, never);
    return await until("the Bake to end", async () => {
      const { status } = (await client.get(bakeType, bake.metadata, never)) ?? {};
      return status?.completionTime !== undefined && status;
    });
  }

  it("is loaded for a target of a Bake whose output is type=docker", async () => {
    const tag = "shop.example/baked:1";
    const status = await baked("container", tag);
    assert.equal(status.phase, "Succeeded", JSON.stringify(status.failure));
    assert.equal((await loaded(tag)).Config.Labels?.["made"], "baked");
  });

  it("fails a target of a Bake where there is no engine, with what to do instead", async () => {
    const { failure } = await baked("remote", "shop.example/unbaked:1");
    assert.deepEqual([failure?.target, failure?.reason], ["web", "NoEngineToLoad"]);
    assert.match(failure?.message ?? "", /needs a Docker engine, .* pushes the image/);
  });

  const both = ["linux/amd64", "linux/arm64"];
  const outputs = (name: string) => ({
    outputs: [{ image: { tags: [`${shared.host}/${name}`], insecure: true } }],
    platforms: both,
  });

  /** A Builder with an engine for amd64, and containers in its network, which see the registry as we do. */
  async function nodesOf(engine: string, containers: Readonly<Record<string, string>>) {
    const namespace = await world.kiln.namespace();
    const nodes = [
      { name: "engine", docker: { endpoint: `unix://${engine}` }, platforms: ["linux/amd64"] },
      ...Object.entries(containers).map(([name, platform]) => ({
        name,
        dockerContainer: world.container({ network: "host" }),
        platforms: [platform],
      })),
    ];
    await world.kiln.builder(namespace, { nodes });
    await world.kiln.becomes(
      namespace,
      "True InstancesReady",
      ({ readyInstances }) => readyInstances === nodes.length,
    );
    namespaces.set(namespace, namespace);
    return namespace;
  }

  const placesOf = ({ parts = [] }: BuildRunStatus) =>
    parts
      .map(({ platforms: [platform = ""], instance }) => [platform, instance] as const)
      .toSorted(([one], [other]) => one.localeCompare(other));

  const places = (amd64: string) => [
    ["linux/amd64", amd64],
    ["linux/arm64", "container"],
  ];

  it("is split over an engine and a container, and is one index", async () => {
    const names = async () =>
      ((await world.engine.ask("GET", "/images/json")) as EngineImage[])
        .flatMap(({ RepoTags: tags, RepoDigests: digests }) => [...(tags ?? []), ...digests])
        .filter((name) => name.includes("split"));
    const builder = await nodesOf(world.engine.socket, { container: "linux/arm64" });
    const status = await ran(builder, {
      ...outputs("split/nodes:1"),
      attestations: { provenance: {} },
    });
    assert.equal(status.phase, "Succeeded", JSON.stringify(status.failure));
    assert.deepEqual(placesOf(status), places("engine"));
    const { digest, manifest } = await pushed({ registry: shared } as never, "split/nodes", "1");
    assert.equal(status.outputs?.[0]?.image?.digest, digest);
    assert.deepEqual(manifest.manifests?.map(({ platform }) => platform?.architecture).toSorted(), [
      "amd64",
      "arm64",
      "unknown",
      "unknown",
    ]);
    assert.deepEqual(await names(), [], "the engine lists no part");
  });

  it("is not split onto an engine with the older image store, which pushes nothing by digest", async () => {
    const old = await dockerd({ containerdStore: false });
    try {
      const alone = await nodesOf(old.socket, { container: "linux/arm64" });
      const refused = await ran(alone, outputs("split/old:1"));
      assert.equal(refused.failure?.reason, "NotForEngine", JSON.stringify(refused));
      assert.match(
        refused.failure?.message ?? "",
        /for linux\/amd64 there is only the Docker engine of engine, .* add a node for the platform/,
      );
      assert.deepEqual([refused.parts, refused.attempts], [undefined, undefined]);
      const built = await ran(alone, { platforms: both });
      assert.equal(built.phase, "Succeeded", JSON.stringify(built.failure));
      assert.deepEqual(placesOf(built), places("engine"), "what is not pushed is built there");
      const more = { other: "linux/amd64", container: "linux/arm64" };
      const status = await ran(await nodesOf(old.socket, more), outputs("split/old:2"));
      assert.equal(status.phase, "Succeeded", JSON.stringify(status.failure));
      assert.deepEqual(placesOf(status), places("other"));
    } finally {
      await old.stop();
    }
  });

  it("is refused where there is no engine, with what to do instead", async () => {
    const { failure } = await ran("remote", intoEngine("shop.example/none:1"));
    assert.equal(failure?.reason, "NoEngineToLoad");
    assert.match(
      failure?.message ?? "",
      /spec\.outputs\[0\]\.docker\.to\.engine .* pushes the image/,
    );
  });
});
