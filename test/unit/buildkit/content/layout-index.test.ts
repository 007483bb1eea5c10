import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { SolveResult } from "../../../../src/buildkit/client-types.ts";
import {
  findNamed,
  putManifest,
  readIndex,
  type LayoutDescriptor,
} from "../../../../src/buildkit/session/content/layout-index.ts";
import {
  layoutExport,
  localCacheExport,
  localCacheImport,
  ociLayoutContext,
} from "../../../../src/buildkit/session/content/local-stores.ts";

const refName = "org.opencontainers.image.ref.name";
const imageName = "io.containerd.image.name";

function descriptor(data: string): LayoutDescriptor {
  return {
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    digest: `sha256:${createHash("sha256").update(data).digest("hex")}`,
    size: data.length,
  };
}

function solved(fields: Partial<SolveResult>): SolveResult {
  return { exporterResponse: {}, imageNames: [], ...fields };
}

describe("an OCI layout's index", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "kiln-layout-"));
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  const index = (): { manifests: LayoutDescriptor[] } =>
    JSON.parse(readFileSync(path.join(folder, "index.json"), "utf8")) as {
      manifests: LayoutDescriptor[];
    };

  function put(data: string): LayoutDescriptor {
    const made = descriptor(data);
    mkdirSync(path.join(folder, "blobs/sha256"), { recursive: true });
    writeFileSync(path.join(folder, "blobs/sha256", made.digest.slice(7)), data);
    return made;
  }

  it("gives tags and whole names, as BuildKit's own client writes them", async () => {
    await putManifest(folder, descriptor("1"), [{ tag: "latest" }]);
    await putManifest(folder, descriptor("2"), [
      { image: "docker.io/library/app:1" },
      { image: "localhost:5000/app" },
    ]);
    assert.deepEqual(
      index().manifests.map(({ annotations }) => annotations),
      [
        { [refName]: "latest" },
        { [imageName]: "docker.io/library/app:1", [refName]: "1" },
        { [imageName]: "localhost:5000/app", [refName]: "" },
      ],
    );
    assert.deepEqual(readdirSync(folder).sort(), ["index.json", "oci-layout"]);
  });

  it("moves a name from one manifest to another", async () => {
    await putManifest(folder, descriptor("1"), [{ tag: "latest" }, { tag: "other" }]);
    await putManifest(folder, descriptor("2"), [{ tag: "latest" }]);
    const named = (name: string) => findNamed(index().manifests, name)?.digest;
    assert.equal(named("latest"), descriptor("2").digest);
    assert.equal(named("other"), descriptor("1").digest);
  });

  it("keeps fields that it does not know", async () => {
    const odd = { ...descriptor("1"), platform: { os: "linux" }, annotations: { a: "b" } };
    await putManifest(folder, odd, [{ tag: "latest" }]);
    assert.deepEqual(index().manifests, [{ ...odd, annotations: { a: "b", [refName]: "latest" } }]);
  });

  it("loses no change of several at once", async () => {
    const tags = Array.from({ length: 10 }, (_, number) => `t${number}`);
    await Promise.all(tags.map((tag) => putManifest(folder, descriptor(tag), [{ tag }])));
    assert.equal(index().manifests.length, 10);
  });

  it("takes a lock over that its owner left behind", async () => {
    const lock = path.join(folder, ".kiln-index-lock");
    writeFileSync(lock, "");
    utimesSync(lock, 1, 1);
    await putManifest(folder, descriptor("1"), [{ tag: "latest" }]);
    assert.ok(!existsSync(lock));
  });

  it("is nothing where there is none, and an error where it is no JSON", async () => {
    assert.equal(await readIndex(folder), undefined);
    writeFileSync(path.join(folder, "index.json"), "{");
    await assert.rejects(readIndex(folder), { reason: "OciLayoutInvalid" });
    writeFileSync(path.join(folder, "index.json"), '{"manifests":[{"digest":"../x"},7]}');
    assert.deepEqual(await readIndex(folder), []);
  });

  it("becomes a named context by tag, by digest, or because it has just one image", async () => {
    const made = put("1");
    await putManifest(folder, made, [{ tag: "v1" }]);
    const [byTag, byDigest, only] = [
      await ociLayoutContext("base", folder, { tag: "v1" }),
      await ociLayoutContext("base", folder, { digest: made.digest }),
      await ociLayoutContext("base", folder),
    ];
    const id = byTag.use.id.slice("oci:".length);
    assert.match(id, /^layout-[0-9a-f]{16}$/);
    assert.equal(byTag.frontendAttrs["context:base"], `oci-layout://${id}:v1@${made.digest}`);
    assert.equal(byDigest.frontendAttrs["context:base"], `oci-layout://${id}@${made.digest}`);
    assert.deepEqual(only.frontendAttrs, byDigest.frontendAttrs);
    await assert.rejects(ociLayoutContext("base", folder, { tag: "v2" }), {
      reason: "OciLayoutInvalid",
    });
    await assert.rejects(ociLayoutContext("base", folder, { digest: "sha256:x" }), {
      reason: "OciLayoutInvalid",
    });
  });

  it("is no cache to read as long as it has none", async () => {
    assert.equal(await localCacheImport(path.join(folder, "none")), undefined);
    await putManifest(folder, descriptor("gone"), [{ tag: "latest" }]);
    assert.equal(await localCacheImport(folder), undefined);
    await putManifest(folder, put("there"), [{ tag: "latest" }]);
    const found = await localCacheImport(folder, {}, { "ignore-error": "true" });
    assert.deepEqual(found?.cacheImport.attrs, {
      "ignore-error": "true",
      src: folder,
      digest: descriptor("there").digest,
    });
    assert.equal(await localCacheImport(folder, { tag: "v2" }), undefined);
  });

  it("names a cache after the solve that wrote it, and resets what nothing needs", async () => {
    const layer = { ...put("layer"), mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" };
    const config = { ...put("config"), mediaType: "application/vnd.buildkit.cacheconfig.v0" };
    const manifest = put(JSON.stringify({ config, layers: [layer] }));
    const stale = put("stale");
    const cache = await localCacheExport(folder, {
      tag: "v1",
      reset: true,
      attrs: { mode: "max" },
    });
    assert.deepEqual(cache.cacheExport.attrs, { mode: "max", dest: folder });
    await cache.afterSolve(solved({})); // ignore-error: nothing was written
    assert.equal(await readIndex(folder), undefined);
    await cache.afterSolve(solved({ cacheManifest: JSON.stringify(manifest) }));
    assert.equal(findNamed(index().manifests, "v1")?.digest, manifest.digest);
    const blobs = readdirSync(path.join(folder, "blobs/sha256")).sort();
    const needed = [layer, config, manifest].map(({ digest }) => digest.slice(7)).sort();
    assert.deepEqual(blobs, needed);
    assert.ok(!blobs.includes(stale.digest.slice(7)));
  });

  it("names an image layout after the solve that wrote it", async () => {
    const made = await layoutExport(folder, { type: "oci", attrs: { name: "app" } });
    assert.deepEqual(made.exporter, { type: "oci", attrs: { name: "app", tar: "false" } });
    await made.afterSolve(
      solved({ descriptor: descriptor("1"), imageNames: ["docker.io/library/app:latest"] }),
    );
    assert.equal(findNamed(index().manifests, "docker.io/library/app:latest")?.size, 1);
    await made.afterSolve(solved({ descriptor: descriptor("2") }));
    assert.equal(findNamed(index().manifests, "latest")?.digest, descriptor("1").digest);
  });
});
