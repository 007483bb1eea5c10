// Questions to a real frontend: what it answers through the gateway, and through the history of a direct solve.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  type BuildkitClient,
  connect,
  describeResult,
  lintResult,
  outlineResult,
  parseEndpoint,
  subrequestAttrs,
  subrequestResult,
  subrequests,
  targetsResult,
} from "../../../src/buildkit/index.ts";
import { type Buildkitd, buildkitd } from "../../cluster/index.ts";
import { build, deadline, failure, solve } from "./solving.ts";

describe("a frontend that is asked instead of told to build", () => {
  let daemon: Buildkitd;
  let client: BuildkitClient;
  before(async () => {
    daemon = await buildkitd();
    client = connect(parseEndpoint(daemon.address));
  });
  after(async () => {
    client.close();
    await daemon.stop();
  });

  const dockerfile = [
    "# The version that is shown.",
    "ARG VERSION=1",
    "FROM busybox as base",
    "# the one to ship",
    "FROM base AS final",
    "ARG WHO=me",
    "RUN --mount=type=secret,id=npmrc,required=true true",
    "RUN --mount=type=cache,id=c,target=/c true",
    "",
  ].join("\n");

  async function ask(name: string) {
    let answer: ReturnType<typeof subrequestResult> | undefined;
    await build(client, dockerfile, async (gateway) => {
      const result = await gateway.solve({
        frontend: "dockerfile.v0",
        frontendAttrs: subrequestAttrs(name),
      });
      answer = subrequestResult(result.metadata ?? {});
      return result;
    });
    assert.ok(answer);
    return answer;
  }

  it("lints", async () => {
    const answer = await ask(subrequests.lint);
    const { warnings, sources } = lintResult(answer);
    const casing = warnings.find(({ rule }) => rule === "FromAsCasing");
    assert.equal(casing?.location?.ranges[0]?.line, 3);
    assert.equal(sources[0]?.path, "Dockerfile");
    assert.equal(sources[0]?.data.toString(), dockerfile);
    assert.match(answer.text, /FromAsCasing/);
    assert.match(answer.version, /^\d/);
  });

  it("outlines", async () => {
    const outline = outlineResult(await ask(subrequests.outline));
    assert.ok(outline.args.some(({ name, value }) => name === "WHO" && value === "me"));
    assert.deepEqual(
      outline.secrets.map(({ name, required }) => [name, required]),
      [["npmrc", true]],
    );
  });

  it("lists its targets", async () => {
    const targets = targetsResult(await ask(subrequests.targets));
    assert.deepEqual(
      targets.map(({ name, default: chosen }) => [name, chosen]),
      [
        ["base", false],
        ["final", true],
      ],
    );
  });

  it("describes what may be asked", async () => {
    const described = describeResult(await ask(subrequests.describe)).map(({ name }) => name);
    for (const name of [subrequests.outline, subrequests.targets, subrequests.describe])
      assert.ok(described.includes(name), `${name} of ${described.join(" ")}`);
  });

  it("says so when it does not know the question", async () => {
    const error = await failure(ask("frontend.no"));
    assert.deepEqual(
      [error.reason, error.details.subrequest],
      ["UnsupportedRequest", "frontend.no"],
    );
  });

  it("answers a direct solve through its history record", async () => {
    const ref = randomUUID();
    await solve(client, dockerfile, { ref, attrs: subrequestAttrs(subrequests.targets) });
    const record = await client.history(ref, deadline());
    const targets = targetsResult(subrequestResult(record?.result?.exporterResponse ?? {}));
    assert.deepEqual(
      targets.map(({ name }) => name),
      ["base", "final"],
    );
  });
});
