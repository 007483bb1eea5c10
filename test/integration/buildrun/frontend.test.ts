// A frontend that is none for Dockerfiles (tools/buildkit/frontend), from its own image to the files that it makes:
// targets, build args, a secret, named contexts, and output that is no image.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { binary, type ObjectStore, objectStore } from "../../cluster/index.ts";
import { aDaemon, build, image, secret, succeeds } from "./daemon.ts";

const run = promisify(execFile);
const dockerfile = path.join(import.meta.dirname, "frontend/Dockerfile");

/** Serves an archive with the program of the frontend and its Dockerfile. */
async function contextServer() {
  const folder = await mkdtemp(path.join(os.tmpdir(), "kiln-frontend-"));
  await cp(dockerfile, path.join(folder, "Dockerfile"));
  await cp(await binary("test-frontend"), path.join(folder, "test-frontend"));
  const { stdout } = await run("tar", ["-cf", "-", "-C", folder, "Dockerfile", "test-frontend"], {
    encoding: "buffer",
    maxBuffer: 1 << 28,
  });
  await rm(folder, { recursive: true });
  const server = http.createServer((_, response) => response.end(stdout));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/frontend.tar`;
  return { url, stop: () => new Promise((resolve) => server.close(resolve)) };
}

describe("a frontend of one's own", () => {
  const daemon = aDaemon();
  let s3: ObjectStore;
  let server: Awaited<ReturnType<typeof contextServer>>;
  before(async () => ([s3, server] = await Promise.all([objectStore(), contextServer()])));
  after(async () => await Promise.all([s3.stop(), server.stop()]));

  const spec = (target: string, more: object = {}) => ({
    context: { inline: { files: [{ path: "recipe.txt", text: "web\n" }] } },
    dockerfile: { path: "recipe.txt" },
    frontend: { image: `${daemon.registry.host}/frontend:1` },
    target,
    buildArgs: [{ name: "VERSION", value: "1.2" }],
    secrets: [{ id: "token", secretKeyRef: { name: "signing", key: "token" } }],
    buildContexts: [
      { name: "worker", image: "busybox" },
      {
        name: "tools",
        inline: { files: [{ path: "pack.sh", text: "echo $1 $(wc -c < /run/secrets/token)\n" }] },
      },
    ],
    ...more,
  });

  it("is built, and then makes packages that are files in a bucket", async () => {
    const context = { http: { url: server.url } };
    await succeeds(daemon, {
      context,
      dockerfile: { path: "Dockerfile" },
      ...image(daemon, "frontend:1"),
    });
    await secret(daemon, "signing", { token: "signing-token" });
    const folder = s3.bucket("packages");
    await secret(daemon, "bucket", {
      AWS_ACCESS_KEY_ID: s3.accessKey,
      AWS_SECRET_ACCESS_KEY: s3.secretKey,
    });
    const to = {
      s3: {
        bucket: "packages",
        region: s3.region,
        endpoint: s3.url,
        pathStyle: true,
        key: "web/",
        credentials: { secretRef: { name: "bucket" } },
      },
    };
    const status = await succeeds(daemon, spec("package", { outputs: [{ local: { to } }] }));
    assert.equal(status.outputs?.[0]?.files?.files, 1);
    assert.equal(await readFile(path.join(folder, "web/p/web-1.2.pkg"), "utf8"), "1.2 13\n");
    assert.equal(JSON.stringify(status).includes("signing-token"), false);

    await succeeds(daemon, spec("stamp", { outputs: [{ local: { to } }] }));
    assert.equal(await readFile(path.join(folder, "web/stamp"), "utf8"), "1.2");

    const { failure } = await build(daemon, spec("none"));
    assert.equal(failure?.class, "User", JSON.stringify(failure));
    assert.match(failure?.message ?? "", /no such target "none"/);
  });
});
