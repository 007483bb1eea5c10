// The same Dockerfile through a BuildRun and through buildctl, on the same daemon and without cache
// the second time: the images are the same to the byte.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { type GitServer, gitServer, type Scratch, scratch } from "../../cluster/index.ts";
import { aDaemon, configMap, secret, succeeds } from "../buildrun/daemon.ts";
import { type ParityCase, parityCases, type Places } from "./cases.ts";

const epoch = { SOURCE_DATE_EPOCH: "0" };
const imageName = (index: number, by: string): string => `parity-${index}:${by}`;

describe("a BuildRun and buildctl make the same image of", () => {
  let git: GitServer;
  let files: Server;
  let place: Scratch;
  let places: Places;
  const daemon = aDaemon();

  before(async () => {
    place = scratch("parity");
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
    const { port } = files.address() as AddressInfo;
    places = { http: `http://127.0.0.1:${port}`, git: git.url("parity") };
  });

  after(async () => {
    await git.stop();
    files.closeAllConnections();
    await new Promise((resolve) => files.close(resolve));
    place.remove();
  });

  for (const [index, one] of parityCases.entries()) {
    it(one.name, async () => {
      const dockerfile = one.dockerfile
        .replaceAll("%HTTP%", places.http)
        .replaceAll("%GIT%", places.git);
      const ours = await throughBuildRun(one, index, dockerfile);
      const theirs = await throughBuildctl(one, index, dockerfile);
      assert.match(ours, /^sha256:[0-9a-f]{64}$/);
      assert.equal(ours, theirs);
    });
  }

  async function throughBuildRun(one: ParityCase, index: number, inline: string): Promise<string> {
    for (const [id, value] of Object.entries(one.secrets ?? {}))
      await secret(daemon, id, { value });
    if (one.files !== undefined && one.git === undefined) await addFiles(one.files, index);
    const args = { ...one.buildArgs, ...epoch };
    const status = await succeeds(daemon, {
      context: contextOf(one, index),
      dockerfile: one.git === undefined ? { inline } : { path: "Dockerfile" },
      ...(one.target === undefined ? {} : { target: one.target }),
      buildArgs: Object.entries(args).map(([name, value]) => ({ name, value })),
      labels: one.labels ?? {},
      platforms: one.platforms ?? [],
      secrets: Object.keys(one.secrets ?? {}).map((id) => ({
        id,
        secretKeyRef: { name: id, key: "value" },
      })),
      outputs: [
        {
          image: {
            tags: [`${daemon.registry.host}/${imageName(index, "kiln")}`],
            rewriteTimestamp: true,
          },
        },
      ],
    });
    return status.outputs?.[0]?.image?.digest ?? "";
  }

  /** A ConfigMap where the names allow it, else a branch of the git server. */
  async function addFiles(content: Readonly<Record<string, string>>, index: number): Promise<void> {
    if (fitsConfigMap(content)) await configMap(daemon, `parity-${index}`, content);
    else await git.commit(`files-${index}`, content);
  }

  function contextOf(one: ParityCase, index: number): Record<string, unknown> {
    if (one.git !== undefined) return { git: { url: places.git, ...one.git } };
    if (one.files === undefined) return { none: {} };
    if (fitsConfigMap(one.files)) return { configMap: { name: `parity-${index}` } };
    return { git: { url: git.url(`files-${index}`), revision: "main" } };
  }

  async function throughBuildctl(one: ParityCase, index: number, inline: string): Promise<string> {
    const folder = path.join(place.folder, String(index));
    const context = path.join(folder, "context");
    const metadata = path.join(folder, "metadata.json");
    mkdirSync(context, { recursive: true });
    writeFileSync(path.join(folder, "Dockerfile"), inline);
    for (const [name, text] of Object.entries(one.files ?? {})) {
      writeFileSync(path.join(context, name), text);
    }
    for (const [id, value] of Object.entries(one.secrets ?? {})) {
      writeFileSync(path.join(folder, id), value);
    }
    const options: Record<string, string> = {
      "no-cache": "",
      ...(one.target === undefined ? {} : { target: one.target }),
      ...(one.platforms === undefined ? {} : { platform: one.platforms.join(",") }),
      ...prefixed("build-arg", { ...one.buildArgs, ...epoch }),
      ...prefixed("label", one.labels ?? {}),
    };
    const { git: from } = one;
    if (from !== undefined) {
      options["context"] = `${places.git}#${from.revision}:${from.subdirectory ?? ""}`;
    } else if (one.files !== undefined && !fitsConfigMap(one.files)) {
      options["context"] = `${git.url(`files-${index}`)}#main`;
      options["dockerfilekey"] = "dockerfile";
    }
    const name = `${daemon.registry.host}/${imageName(index, "buildctl")}`;
    await daemon.buildkitd.buildctl([
      ...["build", "--frontend", "dockerfile.v0", "--progress", "plain"],
      ...["--local", `context=${context}`, "--local", `dockerfile=${folder}`],
      ...Object.entries(options).flatMap(([key, value]) => ["--opt", `${key}=${value}`]),
      ...Object.keys(one.secrets ?? {}).flatMap((id) => [
        "--secret",
        `id=${id},src=${path.join(folder, id)}`,
      ]),
      ...["--output", `type=image,name=${name},push=true,rewrite-timestamp=true`],
      ...["--metadata-file", metadata],
    ]);
    const read = JSON.parse(readFileSync(metadata, "utf8")) as Record<string, string>;
    return read["containerimage.digest"] ?? "";
  }
});

function fitsConfigMap(files: Readonly<Record<string, string>>): boolean {
  return Object.keys(files).every((name) => /^[-._a-zA-Z0-9]+$/.test(name));
}

function prefixed(
  prefix: string,
  values: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([k, v]) => [`${prefix}:${k}`, v]));
}
