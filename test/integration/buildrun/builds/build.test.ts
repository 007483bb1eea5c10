// Every context and option of a run, built by a real buildkitd and pushed to a real registry.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import {
  type GitServer,
  gitServer,
  type Scratch,
  scratch,
  serve,
  type Served,
} from "../../../cluster/index.ts";
import {
  aDaemon,
  build,
  configMap,
  configOf,
  image,
  inline,
  pushed,
  secret,
  start,
  succeeds,
} from "../daemon.ts";
import { current, ends } from "../kiln.ts";

const run = promisify(execFile);
const byPath = { dockerfile: { path: "Dockerfile" } };

/** The commit that an object of a repository stands for: itself, or what an annotated tag points to. */
async function commitOf(url: string, object: string): Promise<string> {
  const { stdout } = await run("git", ["ls-remote", url]);
  const refs = new Map(
    stdout.split("\n").map((line) => line.split("\t").reverse() as [string, string]),
  );
  const tag = [...refs].find(([name, id]) => id === object && refs.has(`${name}^{}`));
  return tag === undefined ? object : (refs.get(`${tag[0]}^{}`) ?? object);
}

describe("a run on a real buildkitd", () => {
  let git: GitServer;
  let locked: GitServer;
  const daemon = aDaemon();

  before(async () => {
    git = await gitServer({ ssh: true });
    locked = await gitServer({ token: "git-token-c4n4ry" });
  });
  after(async () => {
    await git.stop();
    await locked.stop();
  });

  it("builds an inline Dockerfile without a context, and says what came out", async () => {
    const dockerfile = 'FROM busybox\nRUN echo hello > /hello\nCMD ["cat", "/hello"]\n';
    const status = await succeeds(daemon, inline(dockerfile, image(daemon, "inline:1")));
    const [output] = status.outputs ?? [];
    const { digest, manifest } = await pushed(daemon, "inline", "1");
    assert.equal(output?.image?.digest, digest);
    assert.deepEqual(output?.image?.tags, [`${daemon.registry.host}/inline:1`]);
    assert.deepEqual(
      output?.image?.platforms?.map(({ platform }) => platform),
      ["linux/amd64"],
    );
    assert.ok((output?.image.size ?? 0) > 1000);
    const { config } = await configOf(daemon, "inline", manifest.config?.digest ?? "");
    assert.deepEqual(config.Cmd, ["cat", "/hello"]);
    assert.match(status.baseImages?.[0]?.ref ?? "", /busybox/);
    assert.match(status.baseImages?.[0]?.digest ?? "", /^sha256:[0-9a-f]{64}$/);
    assert.ok((status.cache?.steps ?? 0) >= 2);
    assert.deepEqual(
      status.attempts?.map(({ number, outcome }) => [number, outcome]),
      [[1, "Succeeded"]],
    );
    for (const key of ["queueMs", "resolveMs", "buildMs", "exportMs", "totalMs"] as const)
      assert.ok((status.timings?.[key] ?? -1) >= 0, key);
  });

  it("builds from a ConfigMap, with its Dockerfile or an inline one", async () => {
    await configMap(daemon, "files", {
      Dockerfile: 'FROM busybox\nCOPY a.txt /\nRUN test "$(cat /a.txt)" = one\n',
      "a.txt": "one",
      ".dockerignore": "b.txt\n",
      "b.txt": "two",
    });
    await succeeds(daemon, { context: { configMap: { name: "files" } }, ...byPath });
    await succeeds(daemon, {
      context: { configMap: { name: "files" } },
      dockerfile: {
        inline: "FROM busybox\nCOPY . /c\nRUN test -f /c/a.txt && test ! -e /c/b.txt\n",
      },
    });
  });

  it("builds a git branch, tag, commit and subdirectory, and says which commit it was", async () => {
    const dockerfile = (text: string) => ({
      Dockerfile: `FROM busybox\nCOPY name.txt /\nRUN test "$(cat /name.txt)" = ${text}\n`,
      "name.txt": text,
    });
    const first = await git.commit("web", dockerfile("first"), { tag: "v1" });
    const second = await git.commit("web", {
      ...dockerfile("second"),
      "app/Dockerfile": "FROM busybox\nCOPY here /\n",
      "app/here": "",
    });
    const third = await git.commit("web", dockerfile("third"), { branch: "feature/x" });
    const url = git.url("web");
    const cases: readonly (readonly [Record<string, unknown>, string])[] = [
      [{ url }, second],
      [{ url, revision: "v1" }, first],
      [{ url, revision: "refs/tags/v1" }, first],
      [{ url, revision: "feature/x" }, third],
      [{ url, revision: first }, first],
      [{ url: url.replace(/\.git$/, ""), revision: "main", subdirectory: "app" }, second],
    ];
    for (const [location, commit] of cases) {
      const status = await succeeds(daemon, { context: { git: location }, ...byPath });
      const said = status.source?.git?.commit ?? "";
      // BuildKit's provenance names an annotated tag by the tag object: the server says which commit that is.
      assert.equal(await commitOf(url, said), commit, JSON.stringify(location));
    }
    const mixed = {
      context: { git: { url, revision: "v1" } },
      dockerfile: { inline: "FROM busybox\nCOPY name.txt /\nRUN grep first /name.txt\n" },
    };
    await succeeds(daemon, mixed);
  });

  it("builds a private git repository with a token, and with a user and password", async () => {
    await locked.commit("private", { Dockerfile: "FROM busybox\nCOPY Dockerfile /\n" });
    await secret(daemon, "token", { token: "git-token-c4n4ry\n" });
    await secret(
      daemon,
      "basic",
      { username: "kiln", password: "git-token-c4n4ry" },
      "kubernetes.io/basic-auth",
    );
    await secret(daemon, "wrong", { token: "another-token" });
    const context = (name: string) => ({
      context: { git: { url: locked.url("private"), credentials: { secretRef: { name } } } },
      ...byPath,
    });
    await succeeds(daemon, context("token"));
    await succeeds(daemon, { ...context("basic"), noCache: true });
    const { failure } = await build(daemon, context("wrong"));
    assert.deepEqual(
      [failure?.class, failure?.reason],
      ["Source", "GitAuthFailed"],
      failure?.message,
    );
  });

  it("builds a git repository by SSH key, and only from the host that known_hosts knows", async () => {
    await git.commit("byssh", { Dockerfile: "FROM busybox\nCOPY Dockerfile /\n" });
    assert.ok(git.ssh);
    const { privateKey, knownHosts } = git.ssh;
    const type = "kubernetes.io/ssh-auth";
    await secret(
      daemon,
      "pinned",
      { "ssh-privatekey": privateKey, known_hosts: `${knownHosts}\n` },
      type,
    );
    await secret(daemon, "unpinned", { "ssh-privatekey": privateKey }, type);
    const stranger = knownHosts.replace(
      /AAAA\S+/,
      "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    );
    await secret(
      daemon,
      "stranger",
      { "ssh-privatekey": privateKey, known_hosts: `${stranger}\n` },
      type,
    );
    const url = git.ssh.url("byssh");
    const context = (name: string) => ({
      context: { git: { url, credentials: { secretRef: { name } } } },
      ...byPath,
    });
    assert.match(
      (await succeeds(daemon, context("pinned"))).source?.git?.commit ?? "",
      /^[0-9a-f]{40}$/,
    );
    await succeeds(daemon, { ...context("unpinned"), noCache: true });
    await git.commit("byssh", { more: "x" });
    const { failure } = await build(daemon, context("stranger"));
    assert.deepEqual(
      [failure?.class, failure?.reason],
      ["Source", "GitAuthFailed"],
      failure?.message,
    );
  });

  it("applies target, build arguments, labels and several tags", async () => {
    const dockerfile =
      "FROM busybox AS one\nARG VERSION\nENV V=$VERSION\nFROM one AS two\nRUN false\n";
    const host = daemon.registry.host;
    const outputs = [{ image: { tags: [`${host}/options:1`, `${host}/options:latest`] } }];
    const status = await succeeds(
      daemon,
      inline(dockerfile, {
        target: "one",
        buildArgs: [{ name: "VERSION", value: "1,2=3" }],
        labels: { "org.example/a": "b c" },
        outputs,
      }),
    );
    const one = await pushed(daemon, "options", "1");
    assert.equal((await pushed(daemon, "options", "latest")).digest, one.digest);
    assert.equal(status.outputs?.[0]?.image?.digest, one.digest);
    const { config } = await configOf(daemon, "options", one.manifest.config?.digest ?? "");
    assert.equal(config.Labels?.["org.example/a"], "b c");
    assert.ok(config.Env?.includes("V=1,2=3"));
  });

  it("takes labels from a ConfigMap, and says which key is missing", async () => {
    await configMap(daemon, "release", { revision: "r7" });
    const from = (key: string) => ({
      labels: { team: "shop" },
      labelsFrom: ["team", "revision"].map((name) => ({
        name,
        valueFrom: { configMapKeyRef: { name: "release", key } },
      })),
    });
    const spec = { ...image(daemon, "labelled:1"), ...from("revision") };
    const status = await succeeds(daemon, inline("FROM busybox\n", spec));
    const { manifest } = await pushed(daemon, "labelled", status.outputs?.[0]?.image?.digest ?? "");
    const { config } = await configOf(daemon, "labelled", manifest.config?.digest ?? "");
    assert.partialDeepStrictEqual(config.Labels, { team: "shop", revision: "r7" });
    const { failure } = await build(daemon, inline("FROM busybox\n", from("none")));
    assert.equal(failure?.reason, "ConfigMapKeyNotFound");
  });

  it("gives a step its secret, and keeps it out of the image", async () => {
    await secret(daemon, "npm", { token: "npm-token-c4n4ry" });
    const dockerfile =
      'FROM busybox\nRUN --mount=type=secret,id=npmrc test "$(cat /run/secrets/npmrc)" = npm-token-c4n4ry\n';
    await succeeds(
      daemon,
      inline(dockerfile, {
        secrets: [{ id: "npmrc", secretKeyRef: { name: "npm", key: "token" } }],
      }),
    );
  });

  it("builds two platforms in one solve and names both digests", async () => {
    const dockerfile =
      "FROM scratch\nCOPY --from=busybox /bin/busybox /busybox\nARG TARGETARCH\nLABEL arch=$TARGETARCH\n";
    const status = await succeeds(
      daemon,
      inline(dockerfile, {
        platforms: ["linux/amd64", "linux/arm64"],
        ...image(daemon, "multi:1"),
      }),
    );
    const { digest, manifest } = await pushed(daemon, "multi", "1");
    const [output] = status.outputs ?? [];
    assert.equal(output?.image?.digest, digest);
    const wanted = new Set(
      manifest.manifests
        ?.filter(({ platform }) => platform?.architecture !== "unknown")
        .map((entry) => entry.digest),
    );
    assert.deepEqual(new Set(output?.image?.platforms?.map((entry) => entry.digest)), wanted);
    assert.deepEqual(
      output?.image?.platforms?.map(({ platform }) => platform),
      ["linux/amd64", "linux/arm64"],
    );
  });

  it("makes the same digest twice with SOURCE_DATE_EPOCH and rewriteTimestamp", async () => {
    const spec = (name: string) =>
      inline("FROM busybox\nRUN echo x > /x\n", {
        noCache: true,
        buildArgs: [{ name: "SOURCE_DATE_EPOCH", value: "1700000000" }],
        ...image(daemon, name, { rewriteTimestamp: true }),
      });
    const one = await succeeds(daemon, spec("same:1"));
    const two = await succeeds(daemon, spec("same:2"));
    assert.equal(one.outputs?.[0]?.image?.digest, two.outputs?.[0]?.image?.digest);
  });

  it("builds without outputs, keeps the cache, and runs every step again with noCache", async () => {
    const dockerfile = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /uuid\n";
    const first = await succeeds(daemon, inline(dockerfile));
    assert.deepEqual(first.outputs ?? [], []);
    assert.equal(first.cache?.steps, 2);
    const digests: string[] = [];
    for (const [name, noCache] of [
      ["a", false],
      ["b", false],
      ["c", true],
    ] as const) {
      const status = await succeeds(
        daemon,
        inline(dockerfile, { noCache, ...image(daemon, `uuid:${name}`) }),
      );
      digests.push(status.outputs?.[0]?.image?.digest ?? "");
      if (!noCache) assert.ok((status.cache?.cached ?? 0) >= 1, JSON.stringify(status.cache));
    }
    assert.equal(digests[0], digests[1]);
    assert.notEqual(digests[1], digests[2]);
  });

  it("keeps two outputs of one run apart", async () => {
    const { host } = daemon.registry;
    const outputs = [
      { image: { tags: [`${host}/two:gzip`], compression: "gzip", forceCompression: true } },
      { image: { tags: [`${host}/two:zstd`], compression: "zstd", forceCompression: true } },
    ];
    for (const platforms of [[], ["linux/amd64", "linux/arm64"]]) {
      const status = await succeeds(daemon, inline("FROM busybox\n", { outputs, platforms }));
      const tags = ["gzip", "zstd"];
      const digests = await Promise.all(
        tags.map(async (tag) => (await pushed(daemon, "two", tag)).digest),
      );
      assert.notEqual(digests[0], digests[1]);
      assert.deepEqual(
        status.outputs?.map((output) => output.image?.digest),
        digests,
      );
    }
  });

  it("looks at a short run less than ten times", async () => {
    const made = await start(daemon, inline("FROM busybox\n"));
    const ended = await ends(daemon.server, made);
    assert.equal(ended.metadata.generation, 1);
    const key = `"${made.metadata.namespace}/${made.metadata.name}"`;
    const reconciles = daemon.kiln
      .log()
      .split("\n")
      .filter((line) => line.includes('"reconciled"') && line.includes(key)).length;
    assert.ok(reconciles < 10, daemon.kiln.log());
    assert.deepEqual((await current(daemon.server, made))?.status, ended.status);
  });
});

describe("an http archive on a real buildkitd", () => {
  let place: Scratch;
  let files: Served;
  let url = "";
  let checksum = "";
  const daemon = aDaemon();

  before(async () => {
    place = scratch("archive");
    writeFileSync(path.join(place.folder, "Dockerfile"), "FROM busybox\nCOPY a.txt /\n");
    writeFileSync(path.join(place.folder, "a.txt"), "a");
    const archive = path.join(place.folder, "context.tar.gz");
    await run("tar", ["-C", place.folder, "-czf", archive, "Dockerfile", "a.txt"]);
    const bytes = readFileSync(archive);
    checksum = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    files = await serve((request, response) => {
      response
        .writeHead(request.url === "/context.tar.gz" ? 200 : 404)
        .end(request.url === "/context.tar.gz" ? bytes : "");
    });
    ({ url } = files);
  });
  after(async () => {
    await files.stop();
    place.remove();
  });

  const http = (file: string, sum?: string) => ({
    context: { http: { url: `${url}/${file}`, ...(sum && { checksum: sum }) } },
    ...byPath,
  });

  it("builds, and says its checksum", async () => {
    const status = await succeeds(daemon, http("context.tar.gz"));
    assert.deepEqual(status.source?.http, { url: `${url}/context.tar.gz`, checksum });
  });

  it("builds with the right checksum and refuses with another", async () => {
    await succeeds(daemon, http("context.tar.gz", checksum));
    const { failure } = await build(daemon, http("context.tar.gz", `sha256:${"0".repeat(64)}`));
    assert.deepEqual(
      [failure?.class, failure?.reason],
      ["Source", "ChecksumMismatch"],
      failure?.message,
    );
  });

  it("names an archive that is not there", async () => {
    const { failure } = await build(daemon, http("none.tar.gz"));
    assert.deepEqual(
      [failure?.class, failure?.reason],
      ["Source", "DownloadRefused"],
      failure?.message,
    );
  });
});
