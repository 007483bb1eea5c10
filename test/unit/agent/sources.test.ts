// Sources that the agent opens: layouts inside archives that are somewhere else, and sources as inputs of a frontend.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { sourceDefinition } from "../../../src/agent/sources/inputs.ts";
import { layoutArchive } from "../../../src/agent/sources/layout-archive.ts";
import { artifactContext, artifactOf } from "../../../src/agent/sources/marks.ts";
import { openSources } from "../../../src/agent/sources/sources.ts";
import { ownRegistries } from "../../../src/agent/sources/own-registries.ts";
import { type OutputPlace, placeAttr } from "../../../src/agent/outputs/places.ts";

function entry(path: string, data: Buffer): Buffer {
  const block = Buffer.alloc(512);
  block.write(path, 0);
  block.write("0000644\0", 100);
  block.write(`${data.length.toString(8).padStart(11, "0")}\0`, 124);
  block.write("0", 156);
  block.write("ustar\0", 257);
  block.fill(" ", 148, 156);
  const checksum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${checksum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([block, data, Buffer.alloc((512 - (data.length % 512)) % 512)]);
}

function sum(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

function layout(blobs: readonly Buffer[], index: object): Buffer {
  const files = blobs.map((data) => entry(`blobs/sha256/${sum(data)}`, data));
  const named = entry("index.json", Buffer.from(JSON.stringify(index)));
  return Buffer.concat([...files, named, Buffer.alloc(1024)]);
}

function damaged(archive: Buffer): Buffer {
  archive.write("7", 130);
  return archive;
}

function reading(archive: Buffer) {
  return async (from: number, length: number): Promise<Buffer> =>
    archive.subarray(from, from + length);
}

describe("an OCI layout in an archive", () => {
  it("gives every blob, whatever its size", async () => {
    const blobs = fc.uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 3000 }), {
      minLength: 1,
      maxLength: 6,
      selector: (data) => sum(Buffer.from(data)),
    });
    await fc.assert(
      fc.asyncProperty(blobs, async (list) => {
        const all = list.map((data) => Buffer.from(data));
        const [first = Buffer.alloc(0)] = all;
        const digest = `sha256:${sum(first)}`;
        const archive = layout(all, { manifests: [{ digest }] });
        const found = await layoutArchive(reading(archive));
        assert.equal(found.digest, digest);
        for (const data of all) {
          const name = `sha256:${sum(data)}`;
          assert.equal(await found.size(name), data.length);
          assert.deepEqual(await found.read(name, 1, data.length), data.subarray(1));
        }
      }),
      { numRuns: 50 },
    );
  });

  it("means the image named latest, when there are several", async () => {
    const [a, b] = [Buffer.from("a"), Buffer.from("b")];
    const latest = { "org.opencontainers.image.ref.name": "latest" };
    const index = {
      manifests: [
        { digest: `sha256:${sum(a)}` },
        { digest: `sha256:${sum(b)}`, annotations: latest },
      ],
    };
    const found = await layoutArchive(reading(layout([a, b], index)));
    assert.equal(found.digest, `sha256:${sum(b)}`);
    assert.equal(await found.size(`sha256:${"0".repeat(64)}`), undefined);
  });

  const broken: readonly (readonly [string, Buffer])[] = [
    ["without an index", Buffer.alloc(1024)],
    [
      "whose image is not there",
      layout([], { manifests: [{ digest: `sha256:${"0".repeat(64)}` }] }),
    ],
    ["that names no image", layout([], {})],
    ["that is no archive", Buffer.alloc(2048, "x")],
    ["with a damaged header", damaged(layout([Buffer.from("a")], {}))],
  ];
  for (const [what, archive] of broken)
    it(`is refused ${what}`, async () => {
      await assert.rejects(layoutArchive(reading(archive)), {
        class: "User",
        reason: "OciLayoutInvalid",
      });
    });
});

describe("a source as an input", () => {
  const bare = { exporters: [], cacheImports: [], cacheExports: [], ref: "r" };
  const open = async (frontendAttrs: Record<string, string>) =>
    await openSources(
      { ...bare, frontend: "dockerfile.v0", frontendAttrs },
      { logins: new Map() },
      new AbortController().signal,
    );

  it("is what buildctl would marshal for the image", () => {
    // Op{source:{identifier}} and the result that points to it, field by field.
    const bytes = Buffer.from(sourceDefinition({ identifier: "docker-image://a", attrs: {} }));
    const op = Buffer.from("1a120a10646f636b65722d696d6167653a2f2f61", "hex");
    assert.deepEqual(bytes.subarray(2, 2 + op.length), op);
    assert.ok(bytes.includes(`sha256:${sum(op)}`));
  });

  it("takes the place of a main context that is an image, with its Dockerfile", async () => {
    const { request } = await open({ context: "docker-image://a", filename: "D" });
    assert.deepEqual(Object.keys(request.frontendInputs ?? {}), ["context", "dockerfile"]);
    assert.deepEqual(request.frontendAttrs, { filename: "D" });
    const beside = await open({ context: "docker-image://a", dockerfilekey: "dockerfile" });
    assert.deepEqual(Object.keys(beside.request.frontendInputs ?? {}), ["context"]);
  });

  it("leaves every other context as it is", async () => {
    for (const context of ["https://a.example/b.git", "http://a.example/c.tar", "local:x"]) {
      const { request } = await open({ context, "context:b": "docker-image://b" });
      assert.deepEqual(request.frontendAttrs, { context, "context:b": "docker-image://b" });
      assert.equal(request.frontendInputs, undefined);
    }
  });

  it("keeps what a mark says", () => {
    const artifact = { ref: "registry.example/a:1", insecure: true };
    assert.deepEqual(artifactOf(artifactContext(artifact)), artifact);
    assert.equal(artifactOf("docker-image://a"), undefined);
  });
});

describe("the registries that the agent itself asks", () => {
  it("are those of artifacts, written or lent, and no others", () => {
    const dest = (place: OutputPlace) => ({ [placeAttr]: JSON.stringify(place) });
    const exporters = [
      { type: "image", attrs: { name: "images.example/web:1", push: "true" } },
      {
        type: "tar",
        attrs: dest({ kind: "artifact", ref: "files.example:5000/a:1", insecure: false }),
      },
      { type: "local", attrs: dest({ kind: "configMap", name: "a", key: "b" }) },
    ];
    const frontendAttrs = {
      context: artifactContext({ ref: "lent.example/c", insecure: true }),
      "context:base": "docker-image://bases.example/b:1",
      "context:busy": artifactContext({ ref: "busybox", insecure: false }),
    };
    const found = ownRegistries({ exporters, frontendAttrs });
    assert.deepEqual(found, new Set(["files.example:5000", "lent.example", "docker.io"]));
  });
});
