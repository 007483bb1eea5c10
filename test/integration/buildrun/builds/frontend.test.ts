// A frontend that is none for Dockerfiles (tools/buildkit/frontend), from its own image to the files that it makes:
// targets, build args, a secret, named contexts, and output that is no image.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { type ObjectStore, objectStore } from "../../../cluster/index.ts";
import { aDaemon, build, configMap, image, secret, succeeds } from "../daemon.ts";
import { type FrontendContext, frontendContext } from "../frontend-context.ts";

describe("a frontend of one's own", () => {
  const daemon = aDaemon();
  let s3: ObjectStore;
  let server: FrontendContext;
  before(async () => ([s3, server] = await Promise.all([objectStore(), frontendContext()])));
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

    await configMap(daemon, "release", { version: "3.4" });
    const valueFrom = { configMapKeyRef: { name: "release", key: "version" } };
    const frontend = {
      image: `${daemon.registry.host}/frontend:1`,
      optionsFrom: [{ name: "build-arg:VERSION", valueFrom }],
    };
    await succeeds(
      daemon,
      spec("stamp", { outputs: [{ local: { to } }], frontend, buildArgs: [] }),
    );
    assert.equal(await readFile(path.join(folder, "web/stamp"), "utf8"), "3.4");

    const { failure } = await build(daemon, spec("none"));
    assert.equal(failure?.class, "User", JSON.stringify(failure));
    assert.match(failure?.message ?? "", /no such target "none"/);
  });
});
