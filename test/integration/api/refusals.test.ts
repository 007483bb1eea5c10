// What a person may not apply, and what the real API server then says: it names the field, and what
// to do about it.

import assert from "node:assert/strict";
import { kinds } from "../../../src/api/kinds.ts";
import { type Manifest, run } from "./manifests.ts";
import { builders } from "./refused-builders.ts";
import { contexts } from "./refused-contexts.ts";
import { build, life, output } from "./refused-runs.ts";
import { type ApiServer, apiServer, pathOf } from "./server.ts";

describe("the API server refuses", () => {
  let server: ApiServer;

  before(async () => {
    server = await apiServer();
  });

  async function dryRun(manifest: Manifest) {
    const kind = kinds.find(({ kind }) => kind === manifest.kind);
    assert.ok(kind !== undefined);
    const path = pathOf(kind.plural, manifest.metadata.namespace);
    return await server.send("POST", `${path}?dryRun=All&fieldValidation=Strict`, manifest);
  }

  for (const [what, manifest, field, advice] of [
    ...contexts,
    ...build,
    ...output,
    ...life,
    ...builders,
  ]) {
    it(what, async () => {
      const { status, body } = await dryRun(manifest);
      assert.equal(
        status,
        422,
        `was not refused as invalid: ${JSON.stringify(body).slice(0, 500)}`,
      );
      assert.ok(body.message.includes(field), `does not name ${field}: ${body.message}`);
      assert.match(body.message, advice);
    });
  }

  it("a misspelt field, by its name", async () => {
    const { status, body } = await dryRun(run({ platform: ["linux/amd64"] }));
    assert.equal(status, 400);
    assert.match(body.message, /unknown field "spec\.platform"/);
  });
});
