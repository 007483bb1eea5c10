// Caches of every kind, between two buildkitds that share nothing else: what one has written the other reads instead of
// running the step again. Servers are real but GitHub's, which no one can run: those speak its protocols, and the second
// keeps its bytes in a real blob server.

import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { InProcessAgent } from "../../../../src/agent/in-process.ts";
import { connect, parseEndpoint } from "../../../../src/buildkit/index.ts";
import { rootLogger } from "../../../../src/log.ts";
import {
  type BlobStore,
  blobStore,
  type Buildkitd,
  buildkitd,
  type ObjectStore,
  objectStore,
} from "../../../cluster/index.ts";
import { aDaemon, build, builderOf, inline, secret, succeeds } from "../daemon.ts";
import { instanceAt } from "../fleet.ts";
import { type GhaCache, ghaCache } from "../gha-cache.ts";
import { ghaCacheV2 } from "./gha-cache-v2.ts";
import { startKiln } from "../kiln.ts";

const random = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /made\n";

describe("the caches of a run", () => {
  const daemon = aDaemon();
  let other: Buildkitd;
  let s3: ObjectStore;
  let azure: BlobStore;
  let github: GhaCache;
  let githubV2: GhaCache;
  let folder: string;

  before(async () => {
    [other, s3, azure, github, folder] = await Promise.all([
      buildkitd({ insecureRegistries: [daemon.registry.host] }),
      objectStore(),
      blobStore(),
      ghaCache(),
      mkdtemp(path.join(os.tmpdir(), "kiln-caches-")),
    ]);
    s3.bucket("caches");
    githubV2 = await ghaCacheV2(azure);
  });
  after(async () => {
    await Promise.all([other, s3, azure, github, githubV2].map((one) => one.stop()));
    await rm(folder, { recursive: true });
  });
  beforeEach(async () => {
    const login = { AWS_ACCESS_KEY_ID: s3.accessKey, AWS_SECRET_ACCESS_KEY: s3.secretKey };
    await secret(daemon, "bucket", login);
    await secret(daemon, "account", { AZURE_STORAGE_KEY: azure.key });
    await secret(daemon, "workflow", { ACTIONS_RUNTIME_TOKEN: github.token });
    await secret(daemon, "workflow-2", { ACTIONS_RUNTIME_TOKEN: githubV2.token });
  });

  /** From now on runs go to this daemon, by an agent that keeps local caches. */
  async function moveTo(peer: Buildkitd): Promise<void> {
    await daemon.kiln.stop();
    await daemon.agent.stop();
    daemon.agent = new InProcessAgent({ log: rootLogger("error"), connect, caches: folder });
    daemon.fleet.set(builderOf(daemon), { instances: [instanceAt(parseEndpoint(peer.address))] });
    daemon.kiln = await startKiln(daemon);
  }

  const kinds: Readonly<Record<string, () => { cache: object; ref: string; layers: boolean }>> = {
    s3: () => ({
      cache: {
        bucket: "caches",
        region: s3.region,
        endpoint: s3.url,
        pathStyle: true,
        prefix: "shop/",
        names: ["main"],
        credentials: { secretRef: { name: "bucket" } },
      },
      ref: "s3://caches/shop/ (main)",
      layers: false,
    }),
    azblob: () => ({
      cache: {
        accountUrl: azure.accountUrl,
        accountName: azure.account,
        names: ["main"],
        credentials: { secretRef: { name: "account" } },
      },
      ref: `${azure.accountUrl}/buildkit-cache/ (main)`,
      layers: true,
    }),
    gha: () => ({
      cache: { url: github.url, scope: "main", credentials: { secretRef: { name: "workflow" } } },
      ref: "main",
      layers: true,
    }),
    "gha, second version": () => ({
      cache: {
        urlV2: githubV2.url,
        scope: "main",
        credentials: { secretRef: { name: "workflow-2" } },
      },
      ref: "main",
      layers: true,
    }),
    local: () => ({ cache: { name: "main" }, ref: "main", layers: true }),
  };

  for (const [name, of] of Object.entries(kinds))
    it(`are written and read by kind: ${name}`, async () => {
      const { cache, ref, layers } = of();
      const [type = ""] = name.split(",");
      const dockerfile = `${random}RUN echo '${name}' > /kind\n`;
      await moveTo(daemon.buildkitd);
      const spec = inline(dockerfile, { cache: { to: [{ [type]: { ...cache, mode: "max" } }] } });
      const first = await succeeds(daemon, { ...spec, noCache: true });
      const [written] = first.cache?.exports ?? [];
      assert.deepEqual(
        [written?.type, written?.ref, written?.ok],
        [type, ref, true],
        JSON.stringify(first),
      );
      if (type !== name)
        // By signed addresses its bytes went to the blob server.
        assert.ok(githubV2.keys().some((key) => key.startsWith("buildkit-blob-")));
      if (layers) assert.ok((written?.layers ?? 0) > 0, JSON.stringify(written));
      const condition = first.conditions?.find((one) => one.type === "CacheExported");
      assert.deepEqual([condition?.status, condition?.reason], ["True", "Exported"]);

      await moveTo(other);
      const reads = { cache: { from: [{ [type]: cache }] } };
      const second = await succeeds(daemon, inline(dockerfile, reads));
      const [read] = second.cache?.imports ?? [];
      assert.deepEqual([read?.type, read?.ref, read?.ok], [type, ref, true], JSON.stringify(read));
      assert.ok((second.cache?.cached ?? 0) >= 2, JSON.stringify(second.cache));
      const text = JSON.stringify([first, second]);
      for (const value of [s3.secretKey, azure.key, github.token, githubV2.token])
        assert.equal(text.includes(value), false, "a credential in status");
    });

  it("leave their credentials in the history of the daemon for imports only", async () => {
    await moveTo(daemon.buildkitd);
    const { cache } = kinds["s3"]?.() ?? { cache: {} };
    const recordOf = async (list: "from" | "to"): Promise<string> => {
      await succeeds(daemon, inline(random, { cache: { [list]: [{ s3: cache }] } }));
      const client = connect(parseEndpoint(daemon.buildkitd.address));
      try {
        const [record] = await client.histories(AbortSignal.timeout(10_000), { limit: 1 });
        return JSON.stringify(record);
      } finally {
        client.close();
      }
    };
    assert.equal((await recordOf("to")).includes(s3.secretKey), false);
    // docs/buildrun.md says so: BuildKit keeps the attributes of imports in the record of the build.
    assert.equal((await recordOf("from")).includes(s3.secretKey), true);
  });

  it("fail the run only when it is asked for, and say why without a secret", async () => {
    await moveTo(daemon.buildkitd);
    const { cache } = kinds["s3"]?.() ?? { cache: {} };
    const missing = { ...cache, bucket: "nowhere", retryMaxAttempts: 1 };
    const to = (ignoreError: boolean) =>
      inline(random, { cache: { to: [{ s3: { ...missing, ignoreError } }] }, retry: { limit: 0 } });
    const status = await succeeds(daemon, to(true));
    const condition = status.conditions?.find((one) => one.type === "CacheExported");
    assert.deepEqual([condition?.status, condition?.reason], ["False", "ExportFailed"]);
    assert.match(condition?.message ?? "", /s3:\/\/nowhere/);
    assert.equal((await build(daemon, to(false))).phase, "Failed");
  });

  it("are refused where an agent keeps none of kind local", async () => {
    const { failure } = await build(
      daemon,
      inline(random, { cache: { to: [{ local: { name: "main" } }] } }),
    );
    assert.deepEqual([failure?.class, failure?.reason], ["User", "LocalCacheUnavailable"]);
    assert.match(failure?.message ?? "", /localCaches/);
  });

  it("keep cache mounts of namespaces and service accounts apart", async () => {
    await moveTo(daemon.buildkitd);
    const mount = (command: string) =>
      inline(`FROM busybox\nRUN --mount=type=cache,id=shared,target=/c ${command}\n`);
    await succeeds(daemon, mount("echo mine > /c/file"));
    await succeeds(daemon, mount("grep mine /c/file"));
    await succeeds(daemon, {
      ...mount("test ! -e /c/file # of another account"),
      serviceAccountName: "default",
    });
    const own = { buildArgs: [{ name: "BUILDKIT_CACHE_MOUNT_NS", value: "own" }] };
    await succeeds(daemon, { ...mount("test ! -e /c/file"), ...own });
  });

  it("stand in folders by namespace, which no run can leave", async () => {
    await moveTo(daemon.buildkitd);
    await succeeds(daemon, inline(random, { cache: { to: [{ local: { name: "of-mine" } }] } }));
    assert.ok((await readdir(path.join(folder, daemon.namespace))).includes("of-mine"));
    await assert.rejects(
      succeeds(daemon, inline(random, { cache: { to: [{ local: { name: "../x" } }] } })),
      /must be a name of letters/,
    );
  });
});
