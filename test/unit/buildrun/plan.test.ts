// What a spec asks of BuildKit: goldens (UPDATE_GOLDEN=1 rewrites them), refusals, and two promises about every plan.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { KilnError } from "../../../src/errors/index.ts";
import type { BuildRunSpecInput } from "../../../src/api/v1alpha1/index.ts";
import { gitContext } from "../../../src/buildrun/plan/git-context.ts";
import { planOf } from "../../../src/buildrun/plan/plan.ts";
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

describe("the plan of a run", () => {
  for (const [name, spec] of goldens)
    it(`is as written down: ${name}`, async () => {
      const file = new URL(`golden/${name}.json`, import.meta.url);
      const plan = JSON.stringify(planOf(aRun({ spec })), null, 2);
      if (process.env["UPDATE_GOLDEN"] === "1") await writeFile(file, `${plan}\n`);
      const golden = JSON.stringify(JSON.parse(await readFile(file, "utf8")), null, 2);
      assert.equal(plan, golden);
    });

  it("is the same for the same spec", () => {
    for (const [, spec] of goldens)
      assert.equal(JSON.stringify(planOf(aRun({ spec }))), JSON.stringify(planOf(aRun({ spec }))));
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
