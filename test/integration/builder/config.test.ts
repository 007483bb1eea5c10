// Does a real buildkitd take every configuration that Kiln makes, and do what it says?

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { daemonConfig } from "../../../src/builder/config/daemon.ts";
import { type Buildkitd, buildkitd, scratch } from "../../cluster/index.ts";
import { type ConfigSample, configSamples } from "../../unit/builder/config-samples.ts";
import { aSpec } from "../../unit/builder/samples.ts";

interface Worker {
  readonly labels: Readonly<Record<string, string>>;
  readonly gcPolicy?: readonly Readonly<Record<string, unknown>>[];
}

function textOf({ spec, fallback }: ConfigSample): string {
  const config = daemonConfig(aSpec(spec), fallback);
  assert.ok("text" in config && config.text !== undefined);
  return config.text;
}

describe("a real buildkitd", () => {
  const place = scratch("daemon-config");
  const running: Buildkitd[] = [];
  after(async () => {
    await Promise.all(running.map((daemon) => daemon.stop()));
    place.remove();
  });

  async function start(config: string): Promise<Buildkitd> {
    const daemon = await buildkitd({ mirror: false, config });
    running.push(daemon);
    return daemon;
  }

  async function worker(daemon: Buildkitd): Promise<Worker> {
    const { stdout } = await daemon.buildctl(["debug", "workers", "--format", "{{json .}}"]);
    const [first] = JSON.parse(stdout) as Worker[];
    assert.ok(first !== undefined);
    return first;
  }

  /** What it says to a build of this Dockerfile. */
  async function build(daemon: Buildkitd, dockerfile: string, ...flags: string[]): Promise<string> {
    writeFileSync(path.join(place.folder, "Dockerfile"), dockerfile);
    const locals = ["context", "dockerfile"].flatMap((name) => [
      "--local",
      `${name}=${place.folder}`,
    ]);
    const args = ["build", "--frontend", "dockerfile.v0", ...locals, ...flags];
    return await daemon.buildctl(args).then(
      () => "built",
      (error: unknown) => String(error),
    );
  }

  for (const sample of configSamples) {
    it(`starts with the configuration ${sample.name}`, async () => {
      await worker(await start(textOf(sample)));
    });
  }

  it("removes cache by the rules of gc.policy, with their sizes and times", async () => {
    const [everything] = configSamples;
    assert.ok(everything !== undefined);
    const { gcPolicy } = await worker(await start(textOf(everything)));
    const said = JSON.stringify(gcPolicy);
    assert.equal(gcPolicy?.length, 2, said);
    for (const value of [/exec\.cachemount/, /536870912/, /172800/, /1024/])
      assert.match(said, value);
  });

  it("keeps its own rules, within the sizes of gc, when there is no policy", async () => {
    const spec = { kubernetes: {}, buildkitd: { gc: { maxUsedSpace: "7Gi" } } };
    const { gcPolicy } = await worker(await start(textOf({ name: "", spec })));
    assert.equal(gcPolicy?.length, 4);
    assert.match(JSON.stringify(gcPolicy), new RegExp(String(7 * 2 ** 30)));
  });

  it("runs frontend images of allow.frontends only, and the one it has within itself", async () => {
    const spec = { kubernetes: {}, allow: { frontends: ["registry.invalid/mine"] } };
    const daemon = await start(textOf({ name: "", spec }));
    assert.equal(await build(daemon, "FROM scratch\nCOPY Dockerfile /\n"), "built");
    const other = await build(daemon, "# syntax=registry.invalid/theirs:1\nFROM scratch\n");
    assert.match(other, /'registry\.invalid\/theirs:1' is not an allowed gateway source/);
    const mine = await build(daemon, "# syntax=registry.invalid/mine:1\nFROM scratch\n");
    assert.doesNotMatch(mine, /not an allowed gateway source/);
  });

  it("runs no frontend image at all with an empty allow.frontends", async () => {
    const sample = configSamples.find(({ name }) => name === "no-frontend-images");
    assert.ok(sample !== undefined);
    const daemon = await start(textOf(sample));
    assert.equal(await build(daemon, "FROM scratch\nCOPY Dockerfile /\n"), "built");
    const said = await build(daemon, "# syntax=registry.invalid/any:1\nFROM scratch\n");
    assert.match(said, /invalid frontend: gateway\.v0/);
  });

  for (const [allowed, says] of [
    [[], /entitlement network\.host is not allowed/],
    [["network.host"], /^built$/],
  ] as const) {
    it(`grants ${allowed.join() || "nothing"} when that is allowed`, async () => {
      const spec = {
        kubernetes: {},
        buildkitd: { debug: true },
        allow: { entitlements: [...allowed] },
      };
      const daemon = await start(textOf({ name: "", spec }));
      const flags = ["--allow", "network.host"];
      assert.match(await build(daemon, "FROM scratch\nCOPY Dockerfile /\n", ...flags), says);
    });
  }
});
