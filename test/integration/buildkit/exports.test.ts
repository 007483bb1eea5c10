// Outputs that come to us, against a real buildkitd: each exporter that sends them, and the same build by buildctl.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import {
  contentProvider,
  exportReceiver,
  layoutExport,
  toDirectory,
  toFile,
  type ExportMetadata,
} from "../../../src/buildkit/index.ts";
import { daemonPlace } from "./daemon-place.ts";
import { assertSameTree, build, buildByBuildctl } from "./outputs.ts";
import { failure } from "./solving.ts";

/** A whole root file system, with all that is odd in one. */
const odd = [
  "FROM busybox",
  "RUN mkdir -p /odd/deep/er '/odd/a b' /odd/ro \\",
  " && echo one > /odd/one && ln /odd/one /odd/deep/two && ln -s ../one /odd/deep/soft && ln -s /no/where /odd/gone \\",
  " && echo ü > '/odd/ü, \"name\"' && chmod 4755 /odd/one && chmod 1777 /odd/deep && touch /odd/empty \\",
  " && mkfifo /odd/pipe && mknod /odd/null c 1 3 && chmod 2750 /odd/deep/er && echo x > /odd/ro/f && chmod 555 /odd/ro \\",
  " && chown 1000:1000 /odd/empty && dd if=/dev/urandom of=/odd/large bs=1M count=9 \\",
  " && mkdir /odd/many && for i in $(seq 1500); do echo $i > /odd/many/$i; done",
  "",
].join("\n");
const small = "FROM scratch\nCOPY Dockerfile /\n";
const epoch = { "build-arg:SOURCE_DATE_EPOCH": "1700000000" };
const platforms = { platform: "linux/amd64,linux/arm64" };
const epochFlags = ["--opt", "build-arg:SOURCE_DATE_EPOCH=1700000000"];

describe("outputs that a build sends us", () => {
  const place = daemonPlace("exports");
  const at = (...names: string[]): string => place.at(...names);

  it("local: the same tree as buildctl's, with links, modes, devices and times", async () => {
    await build(place.client, {
      dockerfile: odd,
      request: { exporters: [{ type: "local", attrs: {} }] },
      attachables: [exportReceiver({ 0: toDirectory(at("ours")) })],
    });
    await buildByBuildctl(place.daemon, place.folder, odd, [
      "--output",
      `type=local,dest=${at("theirs")}`,
    ]);
    assertSameTree(at("ours"), at("theirs"));
    assert.equal(readdirSync(at("ours/odd/many")).length, 1500);
    assert.ok(statSync(at("ours/odd/null")).isCharacterDevice());
  });

  it("local: merges into a directory, and removes the rest with mode=delete", async () => {
    mkdirSync(at("out"));
    writeFileSync(at("out", "mine"), "x");
    const run = (mode: "copy" | "delete") =>
      build(place.client, {
        dockerfile: small,
        request: { exporters: [{ type: "local", attrs: { mode } }] },
        attachables: [exportReceiver({ 0: toDirectory(at("out"), { mode }) })],
      });
    await run("copy");
    assert.deepEqual(readdirSync(at("out")).sort(), ["Dockerfile", "mine"]);
    await run("delete");
    assert.deepEqual(readdirSync(at("out")), ["Dockerfile"]);
  });

  for (const mode of ["copy", "delete"] as const) {
    it(`local: two platforms into one directory, mode=${mode}`, async () => {
      await build(place.client, {
        dockerfile: small,
        request: { exporters: [{ type: "local", attrs: { mode } }], frontendAttrs: platforms },
        attachables: [exportReceiver({ 0: toDirectory(at("ours"), { mode }) })],
      });
      await buildByBuildctl(place.daemon, place.folder, small, [
        "--opt",
        "platform=linux/amd64,linux/arm64",
        "--output",
        `type=local,dest=${at("theirs")},mode=${mode}`,
      ]);
      const names = (root: string) =>
        readdirSync(root, { recursive: true, encoding: "utf8" }).sort();
      assert.deepEqual(names(at("ours")), [
        "linux_amd64",
        "linux_amd64/Dockerfile",
        "linux_arm64",
        "linux_arm64/Dockerfile",
      ]);
      assert.deepEqual(names(at("ours")), names(at("theirs")));
    });
  }

  it("local: no folders of platforms with platform-split=false", async () => {
    const dockerfile = "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n";
    await build(place.client, {
      dockerfile,
      request: {
        exporters: [{ type: "local", attrs: { "platform-split": "false" } }],
        frontendAttrs: platforms,
      },
      attachables: [exportReceiver({ 0: toDirectory(at("out")) })],
    });
    assert.deepEqual(readdirSync(at("out")).sort(), ["amd64", "arm64"]);
  });

  it("local: attestations beside the files", async () => {
    await build(place.client, {
      dockerfile: small,
      request: {
        exporters: [{ type: "local", attrs: { "attestation-prefix": "att-" } }],
        frontendAttrs: { "attest:provenance": "mode=max" },
      },
      attachables: [exportReceiver({ 0: toDirectory(at("out")) })],
    });
    assert.deepEqual(readdirSync(at("out")).sort(), ["Dockerfile", "att-provenance.json"]);
  });

  for (const type of ["tar", "oci", "docker"]) {
    it(`${type}: the same bytes as buildctl's, when time stands still`, async () => {
      let told: ExportMetadata = new Map();
      const target = toFile(at("ours"), (metadata) => (told = metadata));
      const attrs = type === "tar" ? {} : { name: "docker.io/library/app:1" };
      const result = await build(place.client, {
        dockerfile: odd,
        request: { exporters: [{ type, attrs }], frontendAttrs: epoch },
        attachables: [exportReceiver({ 0: target })],
      });
      const named = type === "tar" ? "" : ",name=docker.io/library/app:1";
      await buildByBuildctl(place.daemon, place.folder, odd, [
        ...epochFlags,
        "--output",
        `type=${type},dest=${at("theirs")}${named}`,
      ]);
      assert.ok(readFileSync(at("ours")).equals(readFileSync(at("theirs"))));
      assert.equal(told.get("containerimage.digest"), result.digest);
    });
  }

  it("oci: a layout in a directory with tar=false, as buildctl's", async () => {
    const exporter = { type: "oci", attrs: { name: "docker.io/library/app:1" } };
    const layout = await layoutExport(at("ours"), exporter);
    const result = await build(place.client, {
      dockerfile: odd,
      request: { exporters: [layout.exporter], frontendAttrs: epoch },
      attachables: [contentProvider(layout.use)],
    });
    await layout.afterSolve(result);
    const output = `type=oci,tar=false,dest=${at("theirs")},name=docker.io/library/app:1`;
    await buildByBuildctl(place.daemon, place.folder, odd, [...epochFlags, "--output", output]);
    const blobs = (root: string) => readdirSync(path.join(root, "blobs/sha256")).sort();
    assert.deepEqual(blobs(at("ours")), blobs(at("theirs")));
    const index = (root: string): unknown =>
      JSON.parse(readFileSync(path.join(root, "index.json"), "utf8"));
    assert.deepEqual(index(at("ours")), index(at("theirs")));
    // A second export of the same finds all blobs there.
    await build(place.client, {
      dockerfile: odd,
      request: { exporters: [layout.exporter], frontendAttrs: epoch },
      attachables: [contentProvider(layout.use)],
    });
    assert.deepEqual(readdirSync(at("ours")).sort(), ["blobs", "index.json", "oci-layout"]);
  });

  it("all at once, and none with cacheonly", async () => {
    const result = await build(place.client, {
      dockerfile: small,
      request: {
        exporters: [
          { type: "local", attrs: {} },
          { type: "image", attrs: { name: "docker.io/library/several:1" } },
          { type: "tar", attrs: {} },
          { type: "oci", attrs: {} },
        ],
      },
      attachables: [
        exportReceiver({
          0: toDirectory(at("dir")),
          2: toFile(at("root.tar")),
          3: toFile(at("image.tar")),
        }),
      ],
    });
    assert.match(result.digest ?? "", /^sha256:/);
    assert.deepEqual(readdirSync(at("dir")), ["Dockerfile"]);
    const list = (file: string): string => execFileSync("tar", ["-tf", at(file)]).toString();
    assert.equal(list("root.tar"), "Dockerfile\n");
    assert.match(list("image.tar"), /^index\.json$/m);
    const none = await build(place.client, { dockerfile: small });
    assert.equal(none.digest, undefined);
  });

  it("fail the build in words of ours when they cannot be written", async () => {
    writeFileSync(at("file"), "in the way");
    const run = (
      type: string,
      target: ReturnType<typeof toFile> | ReturnType<typeof toDirectory>,
    ) =>
      failure(
        build(place.client, {
          dockerfile: small,
          request: { exporters: [{ type, attrs: {} }] },
          attachables: [exportReceiver({ 0: target })],
        }),
      );
    const directory = await run("local", toDirectory(at("file", "below")));
    assert.match(directory.message, /output directory failed with (ENOTDIR|EEXIST)/);
    const file = await run("tar", toFile(at("no", "where")));
    assert.match(file.message, /output file failed with ENOENT/);
    assert.ok(!file.message.includes(place.folder));
  });

  it("fail the build when nobody takes them in", async () => {
    const request = { exporters: [{ type: "tar", attrs: {} }] };
    await failure(build(place.client, { dockerfile: small, request }));
    const other = exportReceiver({ 1: toFile(at("out")) });
    const error = await failure(
      build(place.client, { dockerfile: small, request, attachables: [other] }),
    );
    assert.match(error.message, /exporter 0 not found/);
  });

  it("hold no more than was allowed", async () => {
    const error = await failure(
      build(place.client, {
        dockerfile: odd,
        request: { exporters: [{ type: "local", attrs: {} }] },
        attachables: [exportReceiver({ 0: toDirectory(at("out"), { maxBytes: 1_000_000 }) })],
      }),
    );
    assert.match(error.message, /more bytes than this export may have/);
  });
});
