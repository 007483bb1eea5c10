// Attributes of the image exporter, told by what stands in a real registry afterwards.
import assert from "node:assert/strict";
import { connect, parseEndpoint, type BuildkitClient } from "../../../src/buildkit/index.ts";
import { buildkitd, registry, type Buildkitd, type Registry } from "../../cluster/index.ts";
import { build, jsonBlobOf, manifestOf, type RegistryManifest } from "./outputs.ts";
import { failure } from "./solving.ts";

const dockerfile = "FROM scratch\nCOPY Dockerfile /\nLABEL a=b\n";
const both = { platform: "linux/amd64,linux/arm64" };
const provenance = { "attest:provenance": "mode=min" };

interface Case {
  readonly attrs: Record<string, string>;
  readonly frontendAttrs?: Record<string, string>;
  readonly check: (manifest: RegistryManifest, repository: string) => Promise<void> | void;
}

describe("an image's attributes", () => {
  let daemon: Buildkitd;
  let client: BuildkitClient;
  let images: Registry;
  let count = 0;

  before(async () => {
    images = await registry();
    daemon = await buildkitd({ insecureRegistries: [images.host] });
    client = connect(parseEndpoint(daemon.address));
  });

  after(async () => {
    client.close();
    await daemon.stop();
    await images.stop();
  });

  async function push(
    attrs: Record<string, string>,
    frontendAttrs: Record<string, string> = {},
    name?: string,
  ) {
    const repository = `attrs/t${count++}`;
    const exporter = {
      type: "image",
      attrs: { name: name ?? `${images.host}/${repository}:x`, push: "true", ...attrs },
    };
    const request = { exporters: [exporter], frontendAttrs };
    return { repository, exporter, result: await build(client, { dockerfile, request }) };
  }

  const layerType = ({ layers }: RegistryManifest): string => layers?.[0]?.mediaType ?? "";

  async function amd64(manifest: RegistryManifest, repository: string): Promise<RegistryManifest> {
    const found = manifest.manifests?.find(({ platform }) => platform?.architecture === "amd64");
    return manifestOf(images, repository, found?.digest ?? "none");
  }

  async function attestation(
    manifest: RegistryManifest,
    repository: string,
  ): Promise<RegistryManifest> {
    const found = manifest.manifests?.find(
      ({ annotations }) => annotations?.["vnd.docker.reference.type"] === "attestation-manifest",
    );
    return manifestOf(images, repository, found?.digest ?? "none");
  }

  const cases: Record<string, Case> = {
    "compression=uncompressed": {
      attrs: { compression: "uncompressed", "force-compression": "true" },
      check: (manifest) => assert.match(layerType(manifest), /layer\.v1\.tar$/),
    },
    "compression=gzip with a level": {
      attrs: { compression: "gzip", "compression-level": "0", "force-compression": "true" },
      check: (manifest) => assert.match(layerType(manifest), /\+gzip$/),
    },
    "compression=zstd": {
      attrs: { compression: "zstd", "compression-level": "19", "force-compression": "true" },
      check: (manifest) => assert.match(layerType(manifest), /\+zstd$/),
    },
    "compression=estargz": {
      attrs: { compression: "estargz", "force-compression": "true" },
      check: ({ layers }) =>
        assert.ok(layers?.[0]?.annotations?.["containerd.io/snapshot/stargz/toc.digest"]),
    },
    "oci-mediatypes=false": {
      attrs: { "oci-mediatypes": "false" },
      check: (manifest) =>
        assert.equal(manifest.mediaType, "application/vnd.docker.distribution.manifest.v2+json"),
    },
    "annotations of a manifest": {
      attrs: { "annotation.a": "1", "annotation-manifest.b": "2" },
      check: ({ annotations }) => assert.deepEqual(annotations, { a: "1", b: "2" }),
    },
    "annotations of each level": {
      attrs: {
        "annotation-index.i": "1",
        "annotation-manifest-descriptor[linux/amd64].d": "2",
        "annotation[linux/amd64].m": "3",
      },
      frontendAttrs: both,
      async check(index, repository) {
        assert.deepEqual(index.annotations, { i: "1" });
        const [first, second] = index.manifests ?? [];
        assert.deepEqual([first?.annotations, second?.annotations], [{ d: "2" }, undefined]);
        assert.deepEqual((await amd64(index, repository)).annotations, { m: "3" });
      },
    },
    "provenance, by default beside the image": {
      attrs: {},
      frontendAttrs: provenance,
      async check(index, repository) {
        const { layers, artifactType } = await attestation(index, repository);
        assert.equal(layers?.[0]?.mediaType, "application/vnd.in-toto+json");
        assert.match(layers?.[0]?.annotations?.["in-toto.io/predicate-type"] ?? "", /provenance/);
        assert.equal(artifactType, "application/vnd.docker.attestation.manifest.v1+json");
      },
    },
    "oci-artifact=false": {
      attrs: { "oci-artifact": "false" },
      frontendAttrs: provenance,
      async check(index, repository) {
        assert.equal((await attestation(index, repository)).artifactType, undefined);
      },
    },
    "attestation-inline": {
      attrs: { "attestation-inline": "true" },
      frontendAttrs: { "attest:provenance": "mode=min,inline-only=true" },
      check: ({ manifests }) => assert.equal(manifests?.length, 2),
    },
    "source-date-epoch and rewrite-timestamp": {
      attrs: { "source-date-epoch": "1700000000", "rewrite-timestamp": "true" },
      async check(manifest, repository) {
        const config = await jsonBlobOf(images, repository, manifest.config?.digest ?? "");
        assert.equal(config["created"], "2023-11-14T22:13:20Z");
      },
    },
    "prefer-nondist-layers, unpack and store, which change nothing here": {
      attrs: {
        "prefer-nondist-layers": "true",
        unpack: "true",
        store: "true",
      },
      check: (manifest) => assert.equal(manifest.layers?.length, 1),
    },
  };
  for (const [name, { attrs, frontendAttrs, check }] of Object.entries(cases)) {
    it(name, async () => {
      const { repository, result } = await push(attrs, frontendAttrs);
      const manifest = await manifestOf(images, repository, "x");
      assert.deepEqual(manifest, await manifestOf(images, repository, result.digest ?? ""));
      await check(manifest, repository);
    });
  }

  it("source-date-epoch makes the same image again, and rewrite-timestamp its layers", async () => {
    const attrs = { "source-date-epoch": "1700000000", "rewrite-timestamp": "true" };
    const first = await push(attrs);
    await daemon.buildctl(["prune", "--all"]);
    assert.equal((await push(attrs)).result.digest, first.result.digest);
  });

  it("push-by-digest leaves no tag", async () => {
    const repository = `attrs/t${count}`;
    const attrs = { "push-by-digest": "true", "name-canonical": "true" };
    const { result } = await push(attrs, {}, `${images.host}/${repository}`);
    assert.ok(await manifestOf(images, repository, result.digest ?? ""));
    const tags = await fetch(`${images.url}/v2/${repository}/tags/list`);
    assert.ok(tags.status === 404 || !(await tags.text()).includes('"latest"'));
  });

  it("dangling-name-prefix names what has no name", async () => {
    const exporter = { type: "image", attrs: { "dangling-name-prefix": "none" } };
    const { imageNames, digest } = await build(client, {
      dockerfile,
      request: { exporters: [exporter] },
    });
    assert.deepEqual(imageNames, [`none@${digest}`]);
  });

  it("compression-level makes a difference", async () => {
    const size = async (level: string): Promise<number> => {
      const attrs = {
        compression: "gzip",
        "compression-level": level,
        "force-compression": "true",
      };
      const exporter = {
        type: "image",
        attrs: { name: `${images.host}/level/l${level}:x`, push: "true", ...attrs },
      };
      // A layer of its own: BuildKit does not compress again what it has compressed at another level.
      const text = `FROM busybox\nRUN seq 100000 > /f && : ${level}\n`;
      await build(client, { dockerfile: text, request: { exporters: [exporter] } });
      return (await manifestOf(images, `level/l${level}`, "x")).layers?.at(-1)?.size ?? 0;
    };
    assert.ok((await size("0")) > (await size("9")));
  });

  for (const attrs of [{ compression: "rar" }, { push: "perhaps" }, { "oci-mediatypes": "7" }]) {
    it(`${JSON.stringify(attrs)} is refused in words`, async () => {
      const [value = ""] = Object.values(attrs);
      const error = await failure(push(attrs));
      assert.ok(error.message.includes(value), error.message);
    });
  }
});
