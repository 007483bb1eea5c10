// What a person may apply: that the real API server fills the same defaults as our parser, keeps a
// BuildRun as it was created, and explains every field.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseAllDocuments } from "yaml";
import { apiVersion, kinds } from "../../../src/api/kinds.ts";
import {
  parseBuilder,
  parseBake,
  parseBuildRun,
  parseClusterBuilder,
} from "../../../src/api/parse.ts";
import { kubectl } from "../../cluster/index.ts";
import { everyDaemonField, everyPodField } from "./every-field.ts";
import { builder, clusterBuilder, type Manifest, pods, remote, run } from "./manifests.ts";
import { type ApiServer, apiServer, pathOf } from "./server.ts";

const parsers: Readonly<Record<string, (value: unknown) => unknown>> = {
  Builder: parseBuilder,
  ClusterBuilder: parseClusterBuilder,
  BuildRun: parseBuildRun,
  Bake: parseBake,
};

const fullRun = run({
  builderRef: { kind: "ClusterBuilder", name: "fast" },
  serviceAccountName: "ci",
  context: {
    git: {
      url: "git@git.example.com:shop/web.git",
      revision: "refs/heads/feature/größe",
      subdirectory: "apps/web shop",
      credentials: { secretRef: { name: "git" } },
    },
  },
  dockerfile: { path: "docker/Dockerfile.release" },
  target: "release",
  buildArgs: [{ name: "SOURCE_DATE_EPOCH", value: "0" }, { name: "EMPTY" }],
  labels: { "org.opencontainers.image.source": "https://git.example.com/shop/web" },
  platforms: ["linux/amd64", "linux/arm/v7", "linux/arm64"],
  secrets: [{ id: "npmrc", secretKeyRef: { name: "npm", key: ".npmrc" } }],
  noCache: true,
  pull: true,
  frontend: { image: "registry.example.com/frontend:1", options: { mode: "fast" } },
  buildContexts: [
    { name: "docker.io/library/alpine:latest", platform: "linux/arm64", image: "debian" },
    { name: "lib", git: { url: "https://git.example.com/lib.git", checksum: "0123456" } },
    { name: "files", inline: { files: [{ path: "a/b.txt", text: "" }] } },
    { name: "keys", secret: { name: "keys" } },
  ],
  ssh: [{ secretRef: { name: "deploy" } }, { id: "other", secretRef: { name: "deploy" } }],
  network: "host",
  hostAliases: [{ ip: "fd00::1", hostnames: ["db", "db.example"] }],
  shmSize: "128Mi",
  ulimits: [{ name: "nofile", soft: 1024, hard: -1 }],
  cgroupParent: "/builds/a",
  stepResources: { memory: "1Gi", memorySwap: 2147483648, cpusetCpus: "0-1,3" },
  entitlements: ["network.host", "device=vendor.com/gpu=all"],
  attestations: { provenance: { mode: "max" }, sbom: { scanContext: true } },
  sourcePolicy: {
    rules: [
      { action: "allow", identifier: "docker-image://*" },
      { action: "convert", identifier: "a", match: "exact", replacement: "b" },
    ],
  },
  outputs: [
    {
      image: {
        tags: ["registry.example.com:5000/shop/web:1.2", "shop/web", "[fd00::1]:5000/a__b/c-d:x"],
        compression: "zstd",
        forceCompression: true,
        rewriteTimestamp: true,
        ociMediaTypes: true,
      },
    },
    { image: { push: false } },
  ],
  cache: {
    from: [{ registry: { ref: "registry.example.com/shop/web:cache" } }],
    to: [
      { registry: { ref: "registry.example.com/shop/web:cache", mode: "max", insecure: true } },
      { inline: {} },
    ],
  },
  registryCredentials: [{ secretRef: { name: "registry" } }],
  timeout: "1h30m",
  retry: {},
  ttlAfterFinished: "0s",
});

const secretRef = { name: "bucket" };
const bucket = {
  bucket: "builds",
  region: "eu-1",
  endpoint: "https://s3.example.com:9000",
  pathStyle: true,
  credentials: { secretRef },
};

const fullBuilder = builder({
  kubernetes: everyPodField,
  buildkitd: everyDaemonField,
  allow: {
    namespaces: ["shop", "team-*", "*"],
    serviceAccounts: ["ci", "shop/build-*", "*/ci"],
    entitlements: ["network.host", "security.insecure", "device"],
    frontends: ["docker/dockerfile", "ghcr.io/project-dalec/dalec/frontend"],
    outputs: { types: ["image"], repositories: ["registry.example.com:5000/shop/*", "shop/web"] },
    caches: { types: ["registry", "inline"], repositories: ["registry.example.com/*"] },
  },
  defaultLoad: true,
  maxConcurrentRuns: 8,
  serviceAccountName: "builds",
});

const valid: readonly (readonly [name: string, manifest: Manifest])[] = [
  ["the shortest BuildRun", run()],
  ["a BuildRun with every field", fullRun],
  [
    "a BuildRun from an archive",
    run({
      context: {
        http: {
          url: "https://files.example.com/a.tar.gz?token=x",
          checksum: `sha256:${"0a".repeat(32)}`,
        },
      },
    }),
  ],
  [
    "a BuildRun with caches and files everywhere",
    run({
      dockerfile: { configMap: { name: "dockerfiles", key: "web" } },
      buildArgs: [{ name: "A", valueFrom: { secretKeyRef: { name: "a", key: "b" } } }],
      buildContexts: [{ name: "base", buildRun: { name: "base-1" } }],
      cache: {
        from: [
          { s3: { bucket: "caches", region: "eu-1", names: ["main", "next"] } },
          { gha: { urlV2: "https://results.example.com/", credentials: { secretRef } } },
          { local: { name: "main", digest: `sha256:${"0a".repeat(32)}` } },
        ],
        to: [
          { s3: { ...bucket, mode: "max", uploadParallelism: 8, touchRefresh: "48h" } },
          { azblob: { accountUrl: "https://a.blob.example.com", credentials: { secretRef } } },
          { local: { name: "main", reset: true, compression: "zstd", compressionLevel: 3 } },
        ],
      },
      outputs: [
        { oci: { to: { artifact: { ref: "registry.example.com/a:1" } }, tags: ["a:1"] } },
        { docker: { to: { s3: { ...bucket, key: "a/docker.tar" } } } },
        { tar: { to: { s3: { ...bucket, key: "a.tar" } }, subdirectory: "out" } },
        { local: { to: { s3: { ...bucket, key: "a/" } }, platformSplit: false } },
      ],
    }),
  ],
  ["a BuildRun from a ConfigMap", run({ context: { configMap: { name: "files" } } })],
  ["a BuildRun of nothing", run({ context: { none: {} }, dockerfile: { inline: "FROM scratch" } })],
  ["a BuildRun by ssh", run({ context: { git: { url: "ssh://git@git.example.com:2222/a.git" } } })],
  ["a BuildRun over http", run({ context: { git: { url: "http://127.0.0.1:3000/shop/a.git" } } })],
  ["the shortest Builder", pods()],
  ["a Builder with every field of its pods", fullBuilder],
  ["a Builder that scales", pods({ scaling: { max: 8 }, isolation: "PerRun" })],
  [
    "a Builder that drains and cancels its runs",
    builder({ kubernetes: {}, drain: true, deletionPolicy: "CancelRuns" }),
  ],
  ["a Builder with local caches", pods({ localCaches: { size: "10Gi", claimName: "caches" } })],
  ["a Builder in memory", pods({ tmpfs: { size: "2Gi" }, security: "UserNamespace" })],
  [
    "a Builder elsewhere",
    remote({
      endpoint: "tcp://[fd00::1]:1234",
      tls: { secretRef: { name: "tls" }, serverName: "b" },
    }),
  ],
  ["a Builder behind a socket", remote({ endpoint: "unix:///run/buildkit/buildkitd.sock" })],
  ["a ClusterBuilder", clusterBuilder({ kubernetes: { storage: { size: 1073741824 } } })],
];

/** Manifests of Kiln's kinds in examples/. */
function examples(): (readonly [string, Manifest])[] {
  const folder = resolve(import.meta.dirname, "../../../examples");
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".yaml"))
    .flatMap((file) =>
      parseAllDocuments(readFileSync(resolve(folder, file), "utf8"))
        .map((document) => document.toJS() as Manifest | null)
        .filter((object): object is Manifest => object?.apiVersion === apiVersion)
        .map((object) => [`${object.kind} ${object.metadata.name} of ${file}`, object] as const),
    );
}

describe("the API server accepts", () => {
  let server: ApiServer;

  before(async () => {
    server = await apiServer();
  });

  for (const [name, manifest] of [...valid, ...examples()]) {
    it(`${name}, with the defaults that the parser fills`, async () => {
      const kind = kinds.find((candidate) => candidate.kind === manifest.kind);
      const namespace = manifest.kind === "ClusterBuilder" ? undefined : "default";
      const path = `${pathOf(kind?.plural ?? "", namespace)}?dryRun=All&fieldValidation=Strict`;
      const sent = { ...manifest, metadata: { ...manifest.metadata, namespace } };
      const { status, body } = await server.send("POST", path, sent);
      assert.equal(status, 201, body.message);
      const parse = parsers[manifest.kind];
      assert.ok(parse !== undefined);
      const { spec } = parse(manifest) as Manifest;
      assert.deepEqual(spec, body.spec);
      assert.deepEqual((parse(body) as Manifest).spec, body.spec);
    });
  }
});

describe("a BuildRun that exists", () => {
  let server: ApiServer;
  const path = `${pathOf("buildruns", "default")}/kept`;
  const patch = (spec: unknown) =>
    server.send("PATCH", path, { spec }, "application/merge-patch+json");

  before(async () => {
    server = await apiServer();
    const { status, body } = await server.send("POST", pathOf("buildruns", "default"), {
      ...fullRun,
      metadata: { ...fullRun.metadata, name: "kept" },
    });
    assert.equal(status, 201, body.message);
  });

  const changes: readonly (readonly [field: string, spec: unknown])[] = [
    ["builderRef", { builderRef: { name: "slow" } }],
    ["builderRef", { builderRef: null }],
    ["serviceAccountName", { serviceAccountName: "admin" }],
    ["context", { context: { git: { revision: "other" } } }],
    ["context", { context: { git: null, configMap: { name: "a" } } }],
    ["dockerfile", { dockerfile: { path: null, inline: "FROM scratch" } }],
    ["target", { target: null }],
    ["buildArgs", { buildArgs: [{ name: "SOURCE_DATE_EPOCH", value: "1" }] }],
    ["labels", { labels: { a: "b" } }],
    ["platforms", { platforms: ["linux/amd64"] }],
    ["secrets", { secrets: [] }],
    ["noCache", { noCache: false }],
    ["pull", { pull: false }],
    ["outputs", { outputs: [] }],
    ["cache", { cache: { from: [] } }],
    ["registryCredentials", { registryCredentials: null }],
    ["timeout", { timeout: "2h" }],
    ["retry", { retry: { limit: 9 } }],
  ];
  for (const [field, spec] of changes) {
    it(`keeps ${field} against ${JSON.stringify(spec)}`, async () => {
      const { status, body } = await patch(spec);
      assert.equal(status, 422, JSON.stringify(body).slice(0, 300));
      const field422 = `spec.${field}: `;
      assert.ok(body.message.includes(field422), `does not name ${field}: ${body.message}`);
      assert.match(body.message, /can not be changed after .*: create a new BuildRun/);
    });
  }

  it("takes the same manifest again as no change", async () => {
    const before = await server.send("GET", path);
    const { status, body } = await patch(fullRun.spec);
    assert.equal(status, 200, body.message);
    assert.equal(body.metadata.generation, before.body.metadata.generation);
  });

  it("may be kept for longer, shorter, or for ever", async () => {
    for (const ttlAfterFinished of ["24h", "1m", null, "1h"]) {
      const { status, body } = await patch({ ttlAfterFinished });
      assert.equal(status, 200, body.message);
    }
  });

  it("may be cancelled, once and for all", async () => {
    const cancelled = await patch({ cancel: true });
    assert.equal(cancelled.status, 200, cancelled.body.message);
    for (const cancel of [false, null]) {
      const { status, body } = await patch({ cancel });
      assert.equal(status, 422);
      assert.match(body.message, /spec\.cancel: .*can not be taken back: create a new BuildRun/);
    }
  });

  it("has its status where a spec can not be changed, and the other way round", async () => {
    const status = {
      phase: "Running",
      progress: { total: 3, completed: 1, cached: 1, updatedAt: "2026-01-01T00:00:00Z" },
    };
    const ignored = await server.send("PATCH", path, { status }, "application/merge-patch+json");
    assert.equal(ignored.body.status, undefined);
    const written = await server.send(
      "PATCH",
      `${path}/status`,
      { status, spec: { target: "other" } },
      "application/merge-patch+json",
    );
    assert.equal(written.status, 200, written.body.message);
    assert.deepEqual(written.body.status, status);
    assert.equal(written.body.spec.target, "release");
    const selected = await server.send(
      "GET",
      `${pathOf("buildruns")}?fieldSelector=status.phase%3DRunning,spec.builderRef.name%3Dfast`,
    );
    assert.deepEqual(
      selected.body.items.map(({ metadata }: Manifest) => metadata.name),
      ["kept"],
    );
  });
});

describe("kubectl", () => {
  let server: ApiServer;

  before(async () => {
    server = await apiServer();
    const { status, body } = await server.send("POST", pathOf("builders", "default"), pods());
    assert.equal(status, 201, body.message);
  });

  async function print(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await kubectl(server.plane.kubeconfig, args);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  const explained: readonly (readonly [field: string, want: RegExp])[] = [
    ["builder.spec.kubernetes.security", /Rootless runs as user 1000/],
    ["clusterbuilder.spec.maxConcurrentRuns", /How many runs an instance builds at once/],
    ["buildrun.spec.context.git.revision", /Branch, tag, full commit/],
    ["buildrun.spec.outputs.image.rewriteTimestamp", /SOURCE_DATE_EPOCH/],
    ["buildrun.status.failure.logTail", /Last lines that the step printed/],
  ];
  for (const [field, want] of explained) {
    it(`explains ${field}`, async () => {
      assert.match((await print("explain", field)).replaceAll(/\s+/g, " "), want);
    });
  }

  it("lists the kinds by short name and by category", async () => {
    assert.match(await print("get", "bldr"), /^NAME +DRIVER +READY +UP +INSTANCES +RUNNING/);
    assert.match(await print("get", "brun"), /^NAME +PHASE +BUILDER +DONE +STEPS +REASON +AGE/);
    assert.match(await print("get", "brun", "-o", "wide"), /DIGEST +MESSAGE/);
    assert.match(await print("get", "cbldr"), /^$/);
    assert.match(await print("get", "kiln"), /builder\.kiln\.build\/builder/);
  });
});
