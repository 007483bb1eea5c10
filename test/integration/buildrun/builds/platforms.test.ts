// Two buildkitds that build for one platform each, as nodes of two architectures do: a run for both is split, its images
// are put together as real buildx puts them together over the same two, and what goes wrong is told for its platform.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { parseEndpoint } from "../../../../src/buildkit/index.ts";
import {
  binary,
  type Buildkitd,
  buildkitd,
  type ObjectStore,
  objectStore,
  type Registry,
  registry,
  scratch,
} from "../../../cluster/index.ts";
import {
  aDaemon,
  build,
  builderOf,
  image,
  inline,
  pushed,
  secret,
  start,
  namesAuthority,
  succeeds,
} from "../daemon.ts";
import { instanceAt } from "../fleet.ts";
import { type IndexEntry, shapeOf } from "./index-shape.ts";
import { buildRunType, cancel, ends, never, reaches, reason, until } from "../kiln.ts";

const run = promisify(execFile);
const both = ["linux/amd64", "linux/arm64"];
const dockerfile = "FROM busybox\nARG TARGETARCH\nRUN echo $TARGETARCH $(uname -m) > /arch\n";

describe("a run for platforms of two instances", () => {
  let arm: Buildkitd;
  let plain: Registry;
  let s3: ObjectStore;
  let secured: Registry;
  const trusting = () =>
    `[registry."${secured.host}"]\n  http = false\n  ca = ["${secured.ca ?? ""}"]\n`;
  const daemon = aDaemon({
    insecure: async () => {
      plain = await registry();
      secured = await registry({ tls: true });
      return [plain.host];
    },
    config: trusting,
  });
  before(async () => {
    s3 = await objectStore();
    arm = await buildkitd({
      platforms: ["linux/arm64"],
      insecureRegistries: [daemon.registry.host, plain.host],
      config: trusting(),
    });
  });
  after(async () => {
    await arm.stop();
    await Promise.all([plain.stop(), secured.stop(), s3.stop()]);
  });
  beforeEach(() => twoInstances());

  function twoInstances(): void {
    daemon.fleet.set(builderOf(daemon), { instances: [...bothInstances()] });
  }

  function bothInstances() {
    const [amd64, arm64] = [daemon.buildkitd, arm].map(({ address }) => parseEndpoint(address));
    assert.ok(amd64 !== undefined && arm64 !== undefined);
    return [
      instanceAt(amd64, { id: "remote-0", platforms: ["linux/amd64"] }),
      instanceAt(arm64, { id: "remote-1", platforms: ["linux/arm64"] }),
    ] as const;
  }

  /** The instance for amd64 is the BuildKit of a Docker engine with the older image store; perhaps with another beside it. */
  function withAnEngine(...others: string[]): void {
    const [amd64, arm64] = bothInstances();
    const engine = { containerdStore: false };
    daemon.fleet.set(builderOf(daemon), {
      instances: [
        { ...amd64, id: "docker-0", engine },
        arm64,
        ...others.map((id) => ({ ...amd64, id })),
      ],
    });
  }

  it("is refused before it is split when a part would be of an engine that cannot push", async () => {
    withAnEngine();
    const spec = inline(dockerfile, { platforms: both, ...image(daemon, "split:engine") });
    const status = await build(daemon, spec);
    assert.deepEqual([status.failure?.class, status.failure?.reason], ["User", "NotForEngine"]);
    assert.match(status.failure?.message ?? "", /for linux\/amd64 there is only .* docker-0/);
    assert.deepEqual([status.parts, status.attempts], [undefined, undefined]);
  });

  it("leaves such an engine aside when another instance has its platform", async () => {
    withAnEngine("remote-2");
    const spec = inline(dockerfile, { platforms: both, ...image(daemon, "split:beside") });
    const status = await succeeds(daemon, spec);
    assert.deepEqual(
      status.parts?.map(({ instance }) => instance),
      ["remote-1", "remote-2"],
    );
  });

  const reproducible = {
    platforms: both,
    buildArgs: [{ name: "SOURCE_DATE_EPOCH", value: "1700000000" }],
    attestations: { provenance: { mode: "min" } },
  };

  it("is one index, with the manifests and attestations that buildx makes over the same two", async () => {
    const status = await succeeds(
      daemon,
      inline(dockerfile, {
        ...reproducible,
        ...image(daemon, "split:kiln", { rewriteTimestamp: true }),
      }),
    );
    assert.deepEqual(
      status.parts?.map(({ platforms, phase, instance }) => [...platforms, phase, instance]),
      [
        ["linux/amd64", "Succeeded", "remote-0"],
        ["linux/arm64", "Succeeded", "remote-1"],
      ],
    );
    const ours = await pushed(daemon, "split", "kiln");
    const [made] = status.outputs ?? [];
    assert.equal(made?.image?.digest, ours.digest);
    assert.deepEqual(
      made?.image?.platforms?.map(({ platform }) => platform),
      both,
    );
    assert.equal(made.image.attestations?.length, 2);
    await withBuildx("split:buildx");
    const theirs = await pushed(daemon, "split", "buildx");
    assert.deepEqual(
      shapeOf(ours.manifest.manifests as IndexEntry[]),
      shapeOf(theirs.manifest.manifests as IndexEntry[]),
    );
  });

  /** Builds the same with real buildx, on one builder of both daemons. */
  async function withBuildx(tag: string): Promise<void> {
    const place = scratch("buildx");
    try {
      const { folder } = place;
      const context = path.join(folder, "context");
      mkdirSync(context);
      writeFileSync(path.join(context, "Dockerfile"), dockerfile);
      const buildx = await binary("buildx");
      const env = {
        PATH: process.env["PATH"],
        HOME: folder,
        BUILDX_CONFIG: path.join(folder, ".buildx"),
        DOCKER_CONFIG: path.join(folder, ".docker"),
      };
      const node = ["create", "--driver=remote", "--name=two"];
      await run(buildx, [...node, "--platform=linux/amd64", daemon.buildkitd.address], { env });
      await run(buildx, [...node, "--append", "--platform=linux/arm64", arm.address], { env });
      const output = `type=image,name=${daemon.registry.host}/${tag},push=true,rewrite-timestamp=true`;
      await run(
        buildx,
        [
          ...["build", "--builder=two", `--platform=${both.join(",")}`, "--provenance=mode=min"],
          ...["--build-arg=SOURCE_DATE_EPOCH=1700000000", `--output=${output}`, context],
        ],
        { env, timeout: 60_000 },
      );
    } finally {
      place.remove();
    }
  }

  it("tells of the caches, attempts and base images of its parts, whose caches have names of their own", async () => {
    const caches = s3.bucket("caches");
    await secret(daemon, "bucket", {
      AWS_ACCESS_KEY_ID: s3.accessKey,
      AWS_SECRET_ACCESS_KEY: s3.secretKey,
    });
    const bucket = {
      bucket: "caches",
      region: s3.region,
      endpoint: s3.url,
      pathStyle: true,
      names: ["main"],
      credentials: { secretRef: { name: "bucket" } },
    };
    const ref = `${daemon.registry.host}/parts:cache`;
    const spec = inline(`${dockerfile}RUN true # cached\n`, {
      platforms: both,
      cache: { from: [{ s3: bucket }], to: [{ s3: bucket }, { registry: { ref } }] },
      ...image(daemon, "parts:1"),
    });
    const first = await succeeds(daemon, spec);
    const suffixes = ["linux-amd64", "linux-arm64"];
    const written = first.cache?.exports?.map(({ ref: place, ok }) => `${place} ${ok}`);
    assert.deepEqual(
      new Set(written),
      new Set(suffixes.flatMap((of) => [`${ref}-${of} true`, `s3://caches/ (main-${of}) true`])),
    );
    const condition = first.conditions?.find(({ type }) => type === "CacheExported");
    assert.deepEqual([condition?.status, condition?.reason], ["True", "Exported"]);
    assert.deepEqual(
      (await readdir(path.join(caches, "manifests"))).toSorted(),
      suffixes.map((suffix) => `main-${suffix}`),
    );
    assert.deepEqual(
      new Set(first.attempts?.map(({ part, outcome }) => `${part} ${outcome}`)),
      new Set(first.parts?.map(({ run: name }) => `${name} Succeeded`)),
    );
    assert.match(first.baseImages?.[0]?.ref ?? "", /busybox/);
    assert.ok((first.timings?.buildMs ?? 0) > 0 && (first.timings?.cacheExportMs ?? 0) > 0);
    const second = await succeeds(daemon, spec);
    const read = second.cache?.imports?.filter(({ ok }) => ok) ?? [];
    assert.ok(read.length > 0, JSON.stringify(second.cache));
  });

  it("writes every tag, in each repository, over plain HTTP where it is asked for", async () => {
    const tags = [`${plain.host}/one:1`, `${plain.host}/one:2`, `${plain.host}/two:1`];
    const annotations = [
      { name: "org.example.i", value: "index", level: "index" },
      { name: "org.example.m", value: "manifest" },
    ];
    const { outputs } = await succeeds(
      daemon,
      inline(dockerfile, {
        platforms: both,
        outputs: [{ image: { tags, insecure: true, annotations } }],
      }),
    );
    const digest = outputs?.[0]?.image?.digest;
    for (const [repository, tag] of [
      ["one", "1"],
      ["one", "2"],
      ["two", "1"],
    ]) {
      const found = await fetch(`${plain.url}/v2/${repository}/manifests/${tag}`, {
        headers: { accept: "application/vnd.oci.image.index.v1+json" },
      });
      assert.equal(found.headers.get("docker-content-digest"), digest, `${repository}:${tag}`);
      const index = (await found.json()) as { annotations?: Record<string, string> };
      assert.equal(index.annotations?.["org.example.i"], "index");
    }
  });

  it("is put together in a registry of an authority that a Secret names", async () => {
    const type = "kubernetes.io/dockerconfigjson";
    const data = {
      ".dockerconfigjson": JSON.stringify({ auths: { [secured.host]: {} } }),
      "ca.crt": await readFile(secured.ca ?? "", "utf8"),
    };
    await secret(daemon, "authority", data, type);
    await isSecured("split:1", { registryCredentials: [{ secretRef: { name: "authority" } }] });
  });

  it("is in a registry whose authority only the Builder names", async () => {
    await namesAuthority(daemon, secured, [...bothInstances()]);
    await isSecured("split:2");
  });

  async function isSecured(name: string, more: object = {}): Promise<void> {
    const outputs = [{ image: { tags: [`${secured.host}/${name}`] } }];
    const spec = { platforms: both, outputs, ...more };
    const [made] = (await succeeds(daemon, inline(dockerfile, spec))).outputs ?? [];
    assert.equal(made?.image?.platforms?.length, 2);
    assert.equal(made.image.readBack?.[0]?.digest, made.image.digest);
  }

  it("has no tag when it is pushed by digest", async () => {
    const { outputs } = await succeeds(
      daemon,
      inline(dockerfile, { platforms: both, ...image(daemon, "untagged", { pushByDigest: true }) }),
    );
    const digest = outputs?.[0]?.image?.digest ?? "";
    assert.equal((await pushed(daemon, "untagged", digest)).manifest.manifests?.length, 2);
    const tags = await fetch(`${daemon.registry.url}/v2/untagged/tags/list`);
    assert.doesNotMatch(await tags.text(), /latest/);
  });

  it("keeps what one platform made when the other fails, and says which", async () => {
    const failing = `${dockerfile}RUN test $TARGETARCH = amd64 || exit 9\n`;
    const status = await build(
      daemon,
      inline(failing, { platforms: both, ...image(daemon, "half:1") }),
    );
    assert.equal(status.phase, "Failed");
    assert.deepEqual(
      [status.failure?.class, status.failure?.reason, status.failure?.exitCode],
      ["User", "StepFailed", 9],
    );
    assert.match(status.failure?.message ?? "", /^linux\/arm64 \(BuildRun /);
    const [good, bad] = status.parts ?? [];
    assert.deepEqual([good?.phase, bad?.phase, bad?.reason], ["Succeeded", "Failed", "StepFailed"]);
    assert.equal((await pushed(daemon, "half", good?.digest ?? "")).digest, good?.digest);
    const tag = await fetch(`${daemon.registry.url}/v2/half/manifests/1`);
    assert.equal(tag.status, 404, "no index of half of the platforms");
  });

  it("repeats the platform that failed for now, and no other", async () => {
    const away = parseEndpoint("unix:///nobody/is/here");
    const amd64 = parseEndpoint(daemon.buildkitd.address);
    daemon.fleet.set(builderOf(daemon), {
      instances: [
        instanceAt(amd64, { id: "remote-0", platforms: ["linux/amd64"] }),
        instanceAt(away, { id: "remote-1", platforms: ["linux/arm64"] }),
      ],
    });
    const started = await start(
      daemon,
      inline(dockerfile, { platforms: both, ...image(daemon, "again:1") }),
    );
    const partName = (index: number) =>
      `${started.metadata.name}-${started.metadata.uid?.split("-")[0]}-${index}`;
    const metadata = { namespace: daemon.namespace, name: partName(1) };
    await until("a failed attempt for arm64", async () => {
      const part = await daemon.server.client.get(buildRunType, metadata, never);
      return part?.status?.attempts?.some(({ reason: why }) => why === "BuilderUnreachable");
    });
    twoInstances();
    const { status } = await ends(daemon.server, started);
    assert.equal(status?.phase, "Succeeded", JSON.stringify(status?.failure));
    assert.deepEqual(
      status.parts?.map(({ attempts = 0 }) => attempts > 1),
      [false, true],
    );
    const failed = status.attempts?.filter(({ outcome }) => outcome === "Failed") ?? [];
    assert.ok(failed.length > 0 && failed.every(({ part }) => part === partName(1)));
    assert.match(failed[0]?.message ?? "", /^linux\/arm64: /);
  });

  it("ends its parts when it is cancelled", async () => {
    const started = await start(
      daemon,
      inline(`${dockerfile}RUN sleep 603\n`, { platforms: both }),
    );
    await reaches(
      daemon.server,
      started,
      "building",
      ({ status }) => status?.parts?.every(({ phase }) => phase === "Running") === true,
    );
    await cancel(daemon.server, started);
    const ended = await ends(daemon.server, started);
    assert.deepEqual([ended.status?.phase, reason(ended)], ["Cancelled", "Cancelled"]);
    assert.deepEqual(
      ended.status?.parts?.map(({ phase }) => phase),
      ["Cancelled", "Cancelled"],
    );
  });

  it("leaves archives and files of each part in places of their own", async () => {
    const to = (name: string) => ({
      artifact: { ref: `${daemon.registry.host}/${name}`, insecure: true },
    });
    const outputs = [{ oci: { to: to("layouts:1") } }, { local: { to: to("files:1") } }];
    const status = await succeeds(daemon, inline(dockerfile, { platforms: both, outputs }));
    const places = status.outputs?.map(({ files }) => files?.location.replace(/@.*/, ""));
    const named = (name: string, one: string) => `${daemon.registry.host}/${name}:1-linux-${one}`;
    assert.deepEqual(places, [
      named("layouts", "amd64"),
      named("layouts", "arm64"),
      named("files", "amd64"),
      named("files", "arm64"),
    ]);
    assert.ok(status.outputs?.every(({ files }) => (files?.size ?? 0) > 0));
    for (const { files } of status.outputs ?? []) {
      const [, name = "", tag = ""] = /\/(\w+):([^@]+)@/.exec(files?.location ?? "") ?? [];
      assert.equal((await pushed(daemon, name, tag)).digest, files?.digest);
    }
  });

  it("is refused when its image is not pushed: it would be in two places", async () => {
    const spec = { platforms: both, ...image(daemon, "kept:1", { push: false }) };
    const { failure, parts } = await build(daemon, inline(dockerfile, spec));
    assert.deepEqual([failure?.class, failure?.reason], ["User", "OutputNotSplittable"]);
    assert.match(failure?.message ?? "", /spec\.outputs\[0\]/);
    assert.equal(parts, undefined);
  });

  it("is one solve when one instance can do all", async () => {
    daemon.fleet.set(builderOf(daemon), {
      instances: [instanceAt(parseEndpoint(arm.address), { platforms: both })],
    });
    const status = await succeeds(
      daemon,
      inline("FROM scratch\nCOPY --from=busybox /bin/busybox /b\n", { platforms: both }),
    );
    assert.equal(status.parts, undefined);
  });
});
