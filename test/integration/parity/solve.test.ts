// The same Dockerfile through `kiln solve` and through buildctl, with the same flags on the same daemon and without
// cache: the images are the same to the byte.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import {
  type Buildkitd,
  buildkitd,
  type GitServer,
  gitServer,
  type Scratch,
  scratch,
} from "../../cluster/index.ts";
import { kiln } from "../cli/kiln.ts";
import { type ParityCase, parityCases } from "./cases.ts";

describe("kiln solve and buildctl make the same image of", () => {
  let daemon: Buildkitd;
  let git: GitServer;
  let files: Server;
  let place: Scratch;
  let http: string;

  before(async () => {
    place = scratch("solve-parity");
    daemon = await buildkitd();
    git = await gitServer();
    await git.commit("parity", {
      Dockerfile: "FROM busybox\nRUN false\n",
      "app/Dockerfile": "FROM busybox\nCOPY app.txt /\n",
      "app/app.txt": "from git\n",
    });
    files = createServer((_, response) => {
      response.writeHead(200, { "last-modified": new Date(0).toUTCString() }).end("served\n");
    });
    await new Promise<void>((resolve) => files.listen(0, "127.0.0.1", resolve));
    http = `http://127.0.0.1:${(files.address() as AddressInfo).port}`;
  });

  after(async () => {
    await daemon.stop();
    await git.stop();
    files.closeAllConnections();
    await new Promise((resolve) => files.close(resolve));
    place.remove();
  });

  for (const [index, one] of parityCases.entries()) {
    it(one.name, async () => {
      const folder = path.join(place.folder, String(index));
      const flags = flagsOf(one, folder);
      const [ours, theirs] = [path.join(folder, "ours.json"), path.join(folder, "theirs.json")];
      const ended = await kiln([
        "solve",
        "--addr",
        daemon.address,
        ...flags,
        "--metadata-file",
        ours,
      ]);
      assert.equal(ended.code, 0, ended.stderr);
      await daemon.buildctl(["build", "--progress", "plain", ...flags, "--metadata-file", theirs]);
      assert.match(digestIn(ours), /^sha256:[0-9a-f]{64}$/);
      assert.equal(digestIn(ours), digestIn(theirs));
    });
  }

  function flagsOf(one: ParityCase, folder: string): string[] {
    const context = path.join(folder, "context");
    mkdirSync(context, { recursive: true });
    const text = one.dockerfile.replaceAll("%HTTP%", http).replaceAll("%GIT%", git.url("parity"));
    writeFileSync(path.join(folder, "Dockerfile"), text);
    for (const [name, content] of Object.entries(one.files ?? {}))
      writeFileSync(path.join(context, name), content);
    for (const [id, value] of Object.entries(one.secrets ?? {}))
      writeFileSync(path.join(folder, id), value);
    const { git: from } = one;
    const options = {
      ...(one.target === undefined ? {} : { target: one.target }),
      ...(one.platforms === undefined ? {} : { platform: one.platforms.join(",") }),
      ...prefixed("build-arg", { ...one.buildArgs, SOURCE_DATE_EPOCH: "0" }),
      ...prefixed("label", one.labels ?? {}),
      ...(from === undefined
        ? {}
        : { context: `${git.url("parity")}#${from.revision}:${from.subdirectory ?? ""}` }),
    };
    return [
      ...["--frontend", "dockerfile.v0", "--no-cache"],
      ...["--local", `context=${context}`, "--local", `dockerfile=${folder}`],
      ...Object.entries(options).flatMap(([key, value]) => ["--opt", `${key}=${value}`]),
      ...Object.keys(one.secrets ?? {}).flatMap((id) => [
        ...["--secret", `id=${id},src=${path.join(folder, id)}`],
      ]),
      ...["--output", "type=image,rewrite-timestamp=true"],
    ];
  }
});

function digestIn(file: string): string {
  const read = JSON.parse(readFileSync(file, "utf8")) as Record<string, string>;
  return read["containerimage.digest"] ?? "";
}

function prefixed(
  prefix: string,
  values: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([k, v]) => [`${prefix}:${k}`, v]));
}
