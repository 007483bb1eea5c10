// What a spec asks of BuildKit: goldens (UPDATE_GOLDEN=1 rewrites them), refusals, and two promises about every plan.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { KilnError } from "../../../src/errors/index.ts";
import type { BuildRunSpecInput } from "../../../src/api/v1alpha1/index.ts";
import { gitContext } from "../../../src/buildrun/plan/git-context.ts";
import { planOf } from "../../../src/buildrun/plan/plan.ts";
import { withBuilderId } from "../../../src/buildrun/plan/attest-attrs.ts";
import { csv } from "../../../src/buildrun/plan/csv.ts";
import { aRun } from "./fixture.ts";

const git = (location: Record<string, unknown>, more: Partial<BuildRunSpecInput> = {}) =>
  ({ context: { git: location }, dockerfile: { path: "Dockerfile" }, ...more }) as never;

const goldens: readonly (readonly [string, Partial<BuildRunSpecInput>])[] = [
  ["inline-none", {}],
  ["inline-configmap", { context: { configMap: { name: "files" } } }],
  [
    "configmap",
    { context: { configMap: { name: "files" } }, dockerfile: { path: "Containerfile" } },
  ],
  [
    "git-full",
    git(
      {
        url: "https://git.example/shop/web",
        revision: "release/1.2",
        subdirectory: "app/",
        credentials: { secretRef: { name: "git" } },
      },
      { dockerfile: { path: "docker/Dockerfile" } },
    ),
  ],
  [
    "git-inline",
    git({ url: "git@git.example:shop/web.git" }, { dockerfile: { inline: "FROM x" } }),
  ],
  ["git-subdirectory-only", git({ url: "https://git.example/shop/web.git", subdirectory: "app" })],
  [
    "http",
    {
      context: {
        http: { url: "https://files.example/a.tar.gz", checksum: `sha256:${"0".repeat(64)}` },
      },
      dockerfile: { path: "Dockerfile" },
    },
  ],
  [
    "options",
    {
      target: "release",
      platforms: ["linux/amd64", "linux/arm64"],
      buildArgs: [
        { name: "VERSION", value: "1,2=3" },
        { name: "SOURCE_DATE_EPOCH", value: "0" },
      ],
      labels: { "org.example/a": "b" },
      secrets: [{ id: "npmrc", secretKeyRef: { name: "npm", key: ".npmrc" } }],
      registryCredentials: [{ secretRef: { name: "registry" } }],
      noCache: true,
      pull: true,
    },
  ],
  [
    "outputs-and-cache",
    {
      buildArgs: [{ name: "SOURCE_DATE_EPOCH", value: "0" }],
      outputs: [
        {
          image: {
            tags: ["registry.example/web:1", "registry.example/web:latest"],
            compression: "zstd",
            forceCompression: true,
            rewriteTimestamp: true,
            ociMediaTypes: true,
            insecure: true,
          },
        },
        { image: { tags: ["registry.example/other:1"], push: false } },
      ],
      cache: {
        from: [
          { registry: { ref: "registry.example/web:cache" } },
          { registry: { ref: "registry.example/web:main", insecure: true } },
        ],
        to: [
          { registry: { ref: "registry.example/web:cache", mode: "max" } },
          { registry: { ref: "registry.example/web:strict", ignoreError: false, insecure: true } },
          { inline: {} },
        ],
      },
    },
  ],
];

const shaping: readonly (readonly [string, Partial<BuildRunSpecInput>])[] = [
  [
    "steps",
    {
      noCacheFilter: ["test", "lint"],
      network: "host",
      hostAliases: [
        { ip: "10.0.0.1", hostnames: ["db", "db.example"] },
        { ip: "fd00::1", hostnames: ["six"] },
      ],
      shmSize: "128Mi",
      ulimits: [
        { name: "nofile", soft: 1024, hard: 2048 },
        { name: "core", soft: -1 },
      ],
      cgroupParent: "/builds",
      stepResources: {
        memory: "1Gi",
        unlimitedSwap: true,
        cpuShares: 512,
        cpuPeriodMicroseconds: 100_000,
        cpuQuotaMicroseconds: 50_000,
        cpusetCpus: "0-1",
        cpusetMems: "0",
      },
      entitlements: ["security.insecure", "device=vendor.com/gpu=all"],
    },
  ],
  [
    "contexts",
    {
      buildContexts: [
        { name: "docker.io/library/alpine:latest", image: "debian:bookworm-slim" },
        { name: "base", platform: "linux/arm64", image: "debian:bookworm" },
        {
          name: "lib",
          git: {
            url: "https://git.example/shop/lib",
            revision: "v1",
            submodules: false,
            keepGitDir: true,
            checksum: "0123456",
            mtime: "commit",
            credentials: { secretRef: { name: "git" } },
          },
        },
        {
          name: "archive",
          http: { url: "https://files.example/a.tar", checksum: `sha256:${"1".repeat(64)}` },
        },
        { name: "settings", configMap: { name: "settings" } },
        { name: "keys", secret: { name: "keys" } },
        { name: "notes", inline: { files: [{ path: "./a//b.txt", text: "b" }] } },
      ],
      ssh: [{ secretRef: { name: "deploy" } }, { id: "other", secretRef: { name: "deploy-2" } }],
    },
  ],
  [
    "attested",
    {
      attestations: {
        provenance: { mode: "max", version: "v0.2", reproducible: true, inlineOnly: true },
        sbom: { generator: "registry.example/scanner:1", scanContext: true, scanStages: true },
      },
      outputs: [
        {
          image: {
            tags: ["registry.example/web"],
            compression: "zstd",
            compressionLevel: 19,
            pushByDigest: true,
            unpack: false,
            store: false,
            nameCanonical: true,
            ociArtifact: true,
            attestationInline: true,
            preferNondistributableLayers: true,
            annotations: [
              { name: "a", value: "1" },
              { name: "b", value: "2", platform: "linux/arm64" },
              { name: "c", value: "3", level: "index" },
              { name: "d", value: "4", level: "index-descriptor" },
            ],
          },
        },
      ],
      cache: {
        to: [
          {
            registry: {
              ref: "registry.example/web:cache",
              compression: "zstd",
              forceCompression: true,
              imageManifest: false,
              ociMediaTypes: false,
            },
          },
        ],
      },
    },
  ],
  [
    "frontend",
    {
      frontend: {
        image: "registry.example/frontend:1",
        options: { mode: "fast", "build-arg:A": "b" },
      },
      sourcePolicy: {
        rules: [
          { action: "deny", identifier: "docker-image://*" },
          {
            action: "convert",
            identifier: "docker-image://docker.io/library/alpine:latest",
            match: "exact",
            replacement: "docker-image://docker.io/library/busybox:latest",
            constraints: [{ key: "k", value: "v" }],
          },
        ],
      },
    },
  ],
];

describe("the plan of a run", () => {
  for (const [name, spec] of [...goldens, ...shaping])
    it(`is as written down: ${name}`, async () => {
      const file = new URL(`golden/${name}.json`, import.meta.url);
      const plan = JSON.stringify(planOf(aRun({ spec })), null, 2);
      if (process.env["UPDATE_GOLDEN"] === "1") await writeFile(file, `${plan}\n`);
      const golden = JSON.stringify(JSON.parse(await readFile(file, "utf8")), null, 2);
      assert.equal(plan, golden);
    });

  it("is the same for the same spec", () => {
    for (const [, spec] of [...goldens, ...shaping])
      assert.equal(JSON.stringify(planOf(aRun({ spec }))), JSON.stringify(planOf(aRun({ spec }))));
  });
});

describe("named contexts", () => {
  const twice = [
    { name: "alpine", image: "a" },
    { name: "docker.io/library/alpine:latest", image: "b" },
  ];
  it("has no name twice, however it is written", () =>
    assert.throws(
      () => planOf(aRun({ spec: { buildContexts: twice } })),
      /spec\.buildContexts has "alpine" twice; remove one/,
    ));

  it("may have a name once for each platform", () => {
    const [first, second] = twice;
    const spec = {
      buildContexts: [
        { ...first, platform: "linux/amd64" },
        { ...second, platform: "linux/arm64" },
      ] as never,
    };
    const { frontendAttrs } = planOf(aRun({ spec })).request;
    assert.equal(frontendAttrs["context:alpine::linux/amd64"], "docker-image://a");
    assert.equal(frontendAttrs["context:alpine::linux/arm64"], "docker-image://b");
  });

  it("says in which context an address is wrong", () =>
    assert.throws(
      () => planOf(aRun({ spec: { buildContexts: [{ name: "x", git: { url: "ssh://[/a" } }] } })),
      /spec\.buildContexts\[0\]\.git\.url/,
    ));
});

describe("the builder's id", () => {
  it("is added to the provenance that is asked for, and to nothing else", () => {
    const asked = { "attest:provenance": "mode=max", target: "a" };
    assert.deepEqual(withBuilderId(asked, "https://kiln.build/clusterbuilders/a"), {
      "attest:provenance": "mode=max,builder-id=https://kiln.build/clusterbuilders/a",
      target: "a",
    });
    assert.deepEqual(withBuilderId({ target: "a" }, "b"), { target: "a" });
  });
});

const located: readonly (readonly [string, Parameters<typeof gitContext>[0], string])[] = [
  [
    "adds .git, by which the frontend knows a repository",
    { url: "https://h/a" },
    "https://h/a.git",
  ],
  ["adds .git after a slash at the end", { url: "https://h/a/" }, "https://h/a.git"],
  ["leaves .git alone", { url: "http://h:80/a.git" }, "http://h:80/a.git"],
  ["leaves an ssh URL alone", { url: "ssh://git@h:22/a" }, "ssh://git@h:22/a"],
  ["leaves the scp form alone", { url: "git@h:a/b.git" }, "git@h:a/b.git"],
  ["appends a tag", { url: "git@h:a.git", revision: "v1" }, "git@h:a.git#v1"],
  [
    "appends a full ref",
    { url: "git@h:a.git", revision: "refs/pull/1/head" },
    "git@h:a.git#refs/pull/1/head",
  ],
  [
    "appends a folder",
    { url: "git@h:a.git", revision: "v1", subdirectory: "./b//c/" },
    "git@h:a.git#v1:b/c",
  ],
  [
    "appends a folder of the default branch",
    { url: "git@h:a.git", subdirectory: "b" },
    "git@h:a.git#:b",
  ],
];

const refused: readonly (readonly [string, Parameters<typeof gitContext>[0], string])[] = [
  ["a file URL", { url: "file:///etc" }, "url"],
  ["a git:// URL, which nothing protects", { url: "git://h/a.git" }, "url"],
  ["a transport helper", { url: "ext::sh -c id" }, "url"],
  ["an option", { url: "--upload-pack=id" }, "url"],
  ["a local path", { url: "../other" }, "url"],
  ["a host without a path", { url: "https://h" }, "url"],
  ["a fragment in the URL", { url: "https://h/a.git#main" }, "url"],
  ["a query in the URL", { url: "https://h/a.git?ref=main" }, "url"],
  ["a password in the URL", { url: "https://u:p@h/a.git" }, "url"],
  ["a token in the URL", { url: "https://ghp_x@h/a.git" }, "url"],
  ["a line break in the URL", { url: "https://h/a.git\n" }, "url"],
  ["a revision that is an option", { url: "git@h:a.git", revision: "--output=x" }, "revision"],
  ["a revision with a folder in it", { url: "git@h:a.git", revision: "v1:../x" }, "revision"],
  ["a revision with another fragment", { url: "git@h:a.git", revision: "v1#x" }, "revision"],
  ["a revision range", { url: "git@h:a.git", revision: "a..b" }, "revision"],
  ["a reflog revision", { url: "git@h:a.git", revision: "main@{1}" }, "revision"],
  ["a folder above the root", { url: "git@h:a.git", subdirectory: "a/../../b" }, "subdirectory"],
  ["an absolute folder", { url: "git@h:a.git", subdirectory: "/etc" }, "subdirectory"],
  ["a folder with a colon", { url: "git@h:a.git", subdirectory: "a:b" }, "subdirectory"],
];

describe("a git context", () => {
  for (const [name, location, want] of located)
    it(name, () => assert.equal(gitContext(location).attribute, want));

  for (const [name, location, field] of refused)
    it(`refuses ${name}`, () =>
      assert.throws(
        () => gitContext(location),
        (error) =>
          error instanceof KilnError &&
          error.reason === "InvalidContext" &&
          error.message.startsWith(`spec.context.git.${field} `),
      ));

  it("names the host as BuildKit names the secret for it", () => {
    assert.equal(gitContext({ url: "https://h:8443/a.git" }).host, "h:8443");
    assert.equal(gitContext({ url: "git@h:a.git" }).host, "h");
  });

  it("keeps a password out of the message", () => {
    assert.throws(
      () => gitContext({ url: "https://u:hunter2@h/a.git" }),
      (error) => error instanceof Error && !error.message.includes("hunter2"),
    );
  });
});

describe("a list in one attribute", () => {
  const cases: readonly (readonly [string, string[], string])[] = [
    ["joins plain fields", ["a=1", "b=2"], "a=1,b=2"],
    ["quotes a comma", ["a=1,2", "b"], '"a=1,2",b'],
    ["doubles a quote", ['a="x"'], '"a=""x"""'],
    ["quotes a line break", ["a\nb"], '"a\nb"'],
    ["is empty for nothing", [], ""],
  ];
  for (const [name, fields, want] of cases) it(name, () => assert.equal(csv(fields), want));
});
