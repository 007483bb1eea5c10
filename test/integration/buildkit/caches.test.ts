// Caches of a build, out and in again, against a real buildkitd that has forgotten everything in between.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import {
  connect,
  contentProvider,
  localCacheExport,
  localCacheImport,
  parseEndpoint,
  type BuildkitClient,
  type SolveRequest,
  type SolveResult,
  type StoreUse,
} from "../../../src/buildkit/index.ts";
import {
  buildkitd,
  registry,
  scratch,
  type Buildkitd,
  type Registry,
  type Scratch,
} from "../../cluster/index.ts";
import { build, buildByBuildctl, manifestOf, Steps } from "./outputs.ts";
import { failure } from "./solving.ts";

/** The second stage is in the image, the first one only in a cache of mode=max. */
const dockerfile = [
  "FROM busybox AS first",
  "RUN echo first > /first && head -c 4 /dev/urandom >> /first",
  "FROM busybox",
  "COPY --from=first /first /",
  "RUN echo second > /second",
  "",
].join("\n");

describe("caches of a build", () => {
  let daemon: Buildkitd;
  let client: BuildkitClient;
  let images: Registry;
  let place: Scratch;
  let count = 0;

  before(async () => {
    images = await registry();
    daemon = await buildkitd({ insecureRegistries: [images.host] });
    client = connect(parseEndpoint(daemon.address));
    place = scratch("caches");
  });

  after(async () => {
    client.close();
    await daemon.stop();
    await images.stop();
    place.remove();
  });

  beforeEach(() => {
    count++;
    return forget();
  });

  const forget = async (): Promise<void> => void (await daemon.buildctl(["prune", "--all"]));
  const folder = (): string => path.join(place.folder, `cache${count}`);
  const reference = (): string => `${images.host}/cache/t${count}:x`;

  async function solve(
    request: Partial<SolveRequest>,
    ...uses: StoreUse[]
  ): Promise<{ result: SolveResult; first: boolean | undefined; second: boolean | undefined }> {
    const steps = new Steps();
    const result = await build(client, {
      dockerfile,
      request: { exporters: [{ type: "image", attrs: {} }], ...request },
      attachables: uses.length === 0 ? [] : [contentProvider(...uses)],
      onEvent: steps.onEvent,
    });
    return { result, first: steps.cached("echo first"), second: steps.cached("echo second") };
  }

  // With mode=min the first stage is known by its result alone: it is not needed, and not built.
  for (const mode of ["min", "max"]) {
    it(`registry, mode=${mode}`, async () => {
      const attrs = { ref: reference(), mode };
      const { result } = await solve({ cacheExports: [{ type: "registry", attrs }] });
      assert.match(result.cacheManifest ?? "", /sha256:/);
      await forget();
      const cacheImports = [{ type: "registry", attrs: { ref: reference() } }];
      const again = await solve({ cacheImports });
      assert.equal(again.second, true);
      assert.equal(again.result.digest, result.digest);
      const manifest = await manifestOf(images, `cache/t${count}`, "x");
      assert.equal(manifest.layers?.length, mode === "min" ? 3 : 4);
    });

    it(`local, mode=${mode}, and buildctl reads it`, async () => {
      const cache = await localCacheExport(folder(), { attrs: { mode } });
      const { result } = await solve({ cacheExports: [cache.cacheExport] }, cache.use);
      await cache.afterSolve(result);
      assert.deepEqual(readdirSync(folder()).sort(), ["blobs", "index.json", "oci-layout"]);
      await forget();
      const found = await localCacheImport(folder());
      assert.ok(found !== undefined);
      const again = await solve({ cacheImports: [found.cacheImport] }, found.use);
      assert.equal(again.second, true);
      assert.equal(again.result.digest, result.digest);
      await forget();
      const [other] = [path.join(place.folder, `peer${count}`)];
      mkdirSync(other);
      await buildByBuildctl(daemon, other, dockerfile, [
        "--import-cache",
        `type=local,src=${folder()}`,
        "--output",
        `type=oci,dest=${path.join(other, "image.tar")}`,
        "--metadata-file",
        path.join(other, "metadata.json"),
      ]);
      const told = readFileSync(path.join(other, "metadata.json"), "utf8");
      assert.ok(told.includes(result.configDigest ?? "none"));
    });
  }

  it("local: written by buildctl, read by us", async () => {
    mkdirSync(folder());
    const dest = path.join(folder(), "cache");
    await buildByBuildctl(daemon, folder(), dockerfile, [
      "--export-cache",
      `type=local,dest=${dest},mode=max`,
    ]);
    await forget();
    const found = await localCacheImport(dest);
    assert.ok(found !== undefined);
    const again = await solve({ cacheImports: [found.cacheImport] }, found.use);
    assert.deepEqual([again.first ?? true, again.second], [true, true]);
  });

  it("local: read and written at once, by tag, and reset", async () => {
    const options = { tag: "main", reset: true, attrs: { mode: "max" } };
    const write = await localCacheExport(folder(), options);
    const first = await solve({ cacheExports: [write.cacheExport] }, write.use);
    await write.afterSolve(first.result);
    const before = readdirSync(path.join(folder(), "blobs/sha256"));
    await forget();
    const read = await localCacheImport(folder(), { tag: "main" });
    assert.ok(read !== undefined);
    assert.equal(await localCacheImport(folder()), undefined);
    const again = await solve(
      { cacheImports: [read.cacheImport], cacheExports: [write.cacheExport] },
      read.use,
      write.use,
    );
    await write.afterSolve(again.result);
    assert.equal(again.second, true);
    assert.ok(readdirSync(path.join(folder(), "blobs/sha256")).length <= before.length);
  });

  it("inline, in the image itself", async () => {
    const exporters = [{ type: "image", attrs: { name: reference(), push: "true" } }];
    const { result } = await solve({ exporters, cacheExports: [{ type: "inline", attrs: {} }] });
    await forget();
    const again = await solve({
      cacheImports: [{ type: "registry", attrs: { ref: reference() } }],
    });
    assert.equal(again.second, true);
    assert.equal(again.result.configDigest === undefined, result.configDigest === undefined);
  });

  const forms: [attrs: Record<string, string>, check: (manifest: unknown) => void][] = [
    [
      { compression: "zstd", "force-compression": "true" },
      (manifest) => assert.match(JSON.stringify(manifest), /layer\.v1\.tar\+zstd/),
    ],
    [
      { compression: "uncompressed", "force-compression": "true" },
      (manifest) => assert.match(JSON.stringify(manifest), /layer\.v1\.tar"/),
    ],
    [
      { compression: "gzip", "compression-level": "9" },
      (manifest) => assert.match(JSON.stringify(manifest), /layer\.v1\.tar\+gzip/),
    ],
    [
      { "image-manifest": "false" },
      (manifest) => assert.match(JSON.stringify(manifest), /image\.index\.v1\+json/),
    ],
    [
      { "image-manifest": "true" },
      (manifest) => assert.match(JSON.stringify(manifest), /image\.manifest\.v1\+json/),
    ],
    [
      { "oci-mediatypes": "false", "image-manifest": "false" },
      (manifest) => assert.match(JSON.stringify(manifest), /docker\.distribution\.manifest\.list/),
    ],
  ];
  for (const [attrs, check] of forms) {
    const said = Object.entries(attrs).map((pair) => pair.join("="));
    it(`registry and local with ${said.join(", ")}`, async () => {
      const local = await localCacheExport(folder(), { attrs });
      const registryExport = { type: "registry", attrs: { ...attrs, ref: reference() } };
      // Distribution 3 takes no index of blobs, which is what a cache without an image manifest is.
      if (attrs["image-manifest"] !== "false") {
        await solve({ cacheExports: [registryExport] });
        check(await manifestOf(images, `cache/t${count}`, "x"));
      }
      const { result } = await solve({ cacheExports: [local.cacheExport] }, local.use);
      await local.afterSolve(result);
      const index = JSON.parse(readFileSync(path.join(folder(), "index.json"), "utf8")) as {
        manifests: { digest: string }[];
      };
      const blob = path.join(
        folder(),
        "blobs",
        (index.manifests[0]?.digest ?? "").replace(":", "/"),
      );
      check(JSON.parse(readFileSync(blob, "utf8")));
    });
  }

  it("that cannot be written fail the build, but not with ignore-error", async () => {
    const nobody = "127.0.0.1:1/none/none:x";
    const attrs = { ref: nobody, "registry.insecure": "true" };
    await failure(solve({ cacheExports: [{ type: "registry", attrs }] }));
    const ignore = { ...attrs, "ignore-error": "true" };
    const { result } = await solve({ cacheExports: [{ type: "registry", attrs: ignore }] });
    assert.match(result.digest ?? "", /^sha256:/);
    assert.equal(result.cacheManifest, undefined);
  });

  it("that are not there are no reason to fail", async () => {
    const attrs = { ref: `${images.host}/none/none:x` };
    const { second } = await solve({ cacheImports: [{ type: "registry", attrs }] });
    assert.equal(second, false);
  });
});
