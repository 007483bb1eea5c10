// The examples of docs/cli.md, run as they stand, in order, in one folder.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import {
  type Buildkitd,
  buildkitd,
  type Registry,
  registry,
  repositoryRoot,
  type Scratch,
  scratch,
} from "../../cluster/index.ts";

const run = promisify(execFile);

const examples = readFileSync(path.join(repositoryRoot, "docs/cli.md"), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("$ "))
  .map((line) => line.slice(2));

describe("docs/cli.md", () => {
  let daemon: Buildkitd;
  let images: Registry;
  let place: Scratch;
  let env: Record<string, string>;

  before(async () => {
    images = await registry();
    daemon = await buildkitd({ insecureRegistries: [images.host] });
    place = scratch("cli-docs");
    const bin = path.join(place.folder, "bin");
    const work = path.join(place.folder, "work");
    for (const folder of [bin, work]) mkdirSync(folder);
    const main = path.join(repositoryRoot, "src/cli/main.ts");
    writeFileSync(path.join(bin, "kiln"), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`);
    chmodSync(path.join(bin, "kiln"), 0o755);
    const { privateKey } = generateKeyPairSync("ed25519");
    const files = {
      Dockerfile:
        "FROM busybox AS app\nARG VERSION\nRUN --mount=type=secret,id=npmrc --mount=type=ssh echo $VERSION > /v\n",
      npmrc: "token",
      id_ed25519: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      "manifests.yaml": readFileSync(
        path.join(repositoryRoot, "test/integration/kube/things.yaml"),
        "utf8",
      ),
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(work, name), text);
    env = {
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      BUILDKIT_HOST: daemon.address,
      REGISTRY: images.host,
      DOCKER_CONFIG: "/nowhere",
    };
  });

  after(async () => {
    await daemon.stop();
    await images.stop();
    place.remove();
  });

  it("has examples", () => assert.ok(examples.length > 10));

  for (const example of examples)
    it(`runs: ${example}`, async () => {
      await run("sh", ["-ec", example], { cwd: path.join(place.folder, "work"), env });
    });
});
