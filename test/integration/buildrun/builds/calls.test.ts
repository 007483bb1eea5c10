// Questions to the frontend in place of builds, its warnings, and what a run's status tells of what was built, on a real
// buildkitd.

import assert from "node:assert/strict";
import { type GitServer, gitServer } from "../../../cluster/index.ts";
import { aDaemon, build, image, inline, pushed, succeeds } from "../daemon.ts";

const questioned = [
  "# The version that is shown.",
  "ARG VERSION=1",
  "FROM busybox AS base",
  "# the one to ship",
  "FROM base AS final",
  "ARG WHO=me",
  "RUN --mount=type=secret,id=npmrc,required=true true",
  "",
].join("\n");

describe("a run that asks instead of building", () => {
  const daemon = aDaemon();

  it("tells the outline, and neither builds nor pushes", async () => {
    const outputs = image(daemon, "asked:1");
    const { call, outputs: made } = await succeeds(
      daemon,
      inline(questioned, { call: "outline", ...outputs }),
    );
    assert.equal(call?.request, "frontend.outline");
    assert.equal(call.statusCode, 0);
    const outline = JSON.parse(call.result ?? "") as {
      args: { name: string }[];
      secrets: { name: string; required: boolean }[];
    };
    assert.ok(outline.args.some(({ name }) => name === "WHO"));
    assert.deepEqual(
      outline.secrets.map(({ name, required }) => [name, required]),
      [["npmrc", true]],
    );
    assert.match(call.text ?? "", /WHO/);
    assert.equal(made, undefined);
    const tags = await fetch(`${daemon.registry.url}/v2/asked/tags/list`);
    assert.equal(tags.status, 404, "nothing was pushed");
  });

  it("lists the targets, and any other question's answer", async () => {
    const targets = await succeeds(daemon, inline(questioned, { call: "targets" }));
    const { targets: listed } = JSON.parse(targets.call?.result ?? "") as {
      targets: { name: string }[];
    };
    assert.deepEqual(
      listed.map(({ name }) => name),
      ["base", "final"],
    );
    const described = await succeeds(daemon, inline(questioned, { call: "subrequests.describe" }));
    assert.match(described.call?.result ?? "", /frontend\.outline/);
  });

  it("passes a check that finds nothing, and fails one that does, with rule, file, line and url", async () => {
    const good = await succeeds(
      daemon,
      inline("FROM busybox AS a\nRUN false\n", { call: "check" }),
    );
    assert.equal(good.call?.statusCode, 0);
    assert.equal(good.warnings, undefined);
    const bad = await build(daemon, inline("FROM busybox as a\nRUN false\n", { call: "check" }));
    assert.equal(bad.phase, "Failed");
    assert.deepEqual(
      [bad.failure?.class, bad.failure?.reason, bad.failure?.dockerfile?.line],
      ["User", "LintViolation", 1],
    );
    assert.equal(bad.warnings?.total, 1);
    const [warning] = bad.warnings.items;
    assert.deepEqual(
      [warning?.rule, warning?.file, warning?.line],
      ["FromAsCasing", "Dockerfile", 1],
    );
    assert.match(warning?.url ?? "", /^https:.*from-as-casing/);
    const broken = await build(daemon, inline("FROM busybox\nFRMO x\n", { call: "check" }));
    assert.deepEqual(
      [broken.failure?.class, broken.failure?.reason],
      ["User", "DockerfileInvalid"],
    );
  });

  it("fails a question that the frontend does not know", async () => {
    const { failure } = await build(daemon, inline("FROM busybox\n", { call: "no-such" }));
    assert.deepEqual([failure?.class, failure?.reason], ["User", "UnsupportedRequest"]);
  });

  it("keeps a large answer in the builder's history, and says where", async () => {
    const args = Array.from(
      { length: 900 },
      (_, i) => `ARG NAME_OF_AN_ARGUMENT_${i}=${"v".repeat(40)}`,
    );
    const dockerfile = `FROM busybox\n${args.join("\n")}\nRUN echo $NAME_OF_AN_ARGUMENT_0\n`;
    const { call } = await succeeds(daemon, inline(dockerfile, { call: "outline" }));
    assert.equal(call?.result, undefined);
    const { stdout } = await daemon.buildkitd.buildctl(["debug", "histories"]);
    assert.ok(call?.history !== undefined && stdout.includes(call.history), call?.history);
  });
});

describe("the facts of a run on a real buildkitd", () => {
  let git: GitServer;
  const daemon = aDaemon();
  before(async () => (git = await gitServer()));
  after(async () => await git.stop());

  it("are warnings of every build", async () => {
    const lines = Array.from({ length: 30 }, (_, i) => `FROM busybox as s${i}`);
    const { warnings } = await succeeds(daemon, inline(`${lines.join("\n")}\n`));
    assert.equal(warnings?.total, 30);
    assert.equal(warnings.items.length, 20, "the first of them are listed");
    const [first] = warnings.items;
    assert.equal(first?.rule, "FromAsCasing");
    assert.match(first.message, /casing do not match$/);
    assert.deepEqual([first.file, first.line], ["Dockerfile", 1]);
    assert.match(first.url ?? "", /^https:/);
  });

  it("fail a build whose Dockerfile makes errors of warnings", async () => {
    const { failure } = await build(daemon, inline("# check=error=true\nFROM busybox as a\n"));
    assert.deepEqual(
      [failure?.class, failure?.reason],
      ["User", "LintViolation"],
      failure?.message,
    );
  });

  it("are commit, author and time of a git context", async () => {
    const commit = await git.commit("facts", { Dockerfile: "FROM busybox\nCOPY Dockerfile /\n" });
    const context = { git: { url: git.url("facts"), revision: "main" } };
    const { source } = await succeeds(daemon, { context, dockerfile: { path: "Dockerfile" } });
    assert.equal(source?.git?.commit, commit);
    assert.match(source.git.author ?? "", /^.+ <.+@.+>$/);
    assert.ok(Math.abs(Date.parse(source.git.committedAt ?? "") - Date.now()) < 3_600_000);
  });

  it("are the base image, what was pushed and attested, and the time of each stage", async () => {
    const cache = { to: [{ registry: { ref: `${daemon.registry.host}/facts:cache` } }] };
    const tags = [`${daemon.registry.host}/facts:1`, `${daemon.registry.host}/facts:2`];
    const status = await succeeds(daemon, {
      ...inline("FROM busybox\nRUN echo facts > /f\n"),
      outputs: [{ image: { tags } }],
      attestations: { provenance: { mode: "max" } },
      cache,
    });
    const made = status.outputs?.[0]?.image;
    const { digest } = await pushed(daemon, "facts", "1");
    assert.equal(made?.digest, digest);
    assert.deepEqual(
      made?.readBack?.map((read) => [read.tag, read.digest]),
      tags.map((tag) => [tag, digest]),
    );
    assert.deepEqual(
      made?.attestations?.map(({ platform, predicateType }) => [platform, predicateType]),
      [["linux/amd64", "https://slsa.dev/provenance/v1"]],
    );
    assert.match(status.baseImages?.[0]?.ref ?? "", /busybox/);
    assert.match(status.baseImages?.[0]?.digest ?? "", /^sha256:/);
    const { timings } = status;
    for (const stage of ["queueMs", "buildMs", "exportMs", "pushMs", "cacheExportMs", "totalMs"])
      assert.ok(
        (timings as Record<string, number> | undefined)?.[stage] !== undefined,
        `${stage} of ${JSON.stringify(timings)}`,
      );
  });
});
