// docs/buildrun.md says of every flag of `docker buildx build` v0.38 where it is in a BuildRun.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { BuildRunSpec } from "../../../src/api/v1alpha1/index.ts";
import { structural } from "../../../src/api/schema.ts";

// What `docker buildx build --help` lists; flags that it only keeps for old scripts are left out.
const flags: readonly string[] = [
  ...["add-host", "allow", "annotation", "attest", "build-arg", "build-context", "builder"],
  ...["cache-from", "cache-to", "call", "cgroup-parent", "check", "debug", "file", "iidfile"],
  ...["label", "load", "metadata-file", "network", "no-cache", "no-cache-filter", "output"],
  ...["platform", "policy", "progress", "provenance", "pull", "push", "quiet", "resource"],
  ...["sbom", "secret", "shm-size", "ssh", "tag", "target", "ulimit"],
];

async function table(): Promise<Map<string, string>> {
  const page = await readFile(new URL("../../../docs/buildrun.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| `--([a-z-]+)` \| (.+) \|$/gm)];
  return new Map(rows.map(([, flag = "", field = ""]) => [flag, field]));
}

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

/** Whether a path such as outputs[].image.tags is in the schema. */
function isField(path: string): boolean {
  let at: Schema | undefined = structural(BuildRunSpec) as Schema;
  for (const part of path.split(".")) {
    at = at?.properties?.[part.replace("[]", "")];
    if (part.endsWith("[]")) at = at?.items;
  }
  return at !== undefined;
}

describe("the table of buildx flags", () => {
  it("has every flag once, and no other", async () => {
    assert.deepEqual([...(await table()).keys()].toSorted(), flags.toSorted());
  });

  it("names fields that are there", async () => {
    for (const [flag, text] of await table()) {
      const fields = [...(text.split(";")[0] ?? "").matchAll(/`([a-z][A-Za-z.[\]]*)`/g)]
        .map(([, field = ""]) => field)
        .filter((field) => !field.startsWith("status"));
      for (const field of fields) assert.ok(isField(field), `--${flag}: ${field}`);
    }
  });
});
