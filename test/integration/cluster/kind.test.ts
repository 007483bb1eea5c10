// kind-config.yaml against the real kind program, as far as a machine without Docker allows: kind
// decodes the file strictly before it asks Docker for anything.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { binary } from "../../cluster/base/binaries.ts";
import { scratch } from "../../cluster/index.ts";
import { kindConfig } from "../../cluster/node/kind.ts";

/** What kind says about a configuration when no Docker answers. */
async function kindSays(kind: string, config: string): Promise<string> {
  // An address where nothing listens: on a machine with Docker no cluster may come of this.
  const env = { ...process.env, DOCKER_HOST: "tcp://127.0.0.1:9" };
  const args = ["create", "cluster", "--name", "kiln-config-test", "--config", config];
  return await new Promise((resolve) => {
    execFile(kind, args, { env, timeout: 60_000 }, (_, stdout, stderr) => resolve(stdout + stderr));
  });
}

describe("kind-config.yaml", () => {
  it("is taken by kind, which then misses Docker", async () => {
    const said = await kindSays(await binary("kind"), kindConfig);
    assert.match(said, /failed to get docker info/);
    assert.doesNotMatch(said, /decode config/);
  });

  it("would be refused with a misspelt field", async () => {
    const place = scratch("kind");
    try {
      const broken = path.join(place.folder, "kind-config.yaml");
      writeFileSync(broken, readFileSync(kindConfig, "utf8").replace("role:", "rolle:"));
      assert.match(await kindSays(await binary("kind"), broken), /decode config/);
    } finally {
      place.remove();
    }
  });
});
