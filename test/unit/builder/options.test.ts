// Does every option of buildx's drivers have a field, does the field do what the option does, does docs/builder.md say so,
// and is there a test that sees it on something real?

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { customResourceDefinitions } from "../../../src/api/crd.ts";
import { workload } from "../../../src/builder/kubernetes/workload.ts";
import {
  buildxOptions,
  containerOptions,
  optionsByDriver,
  remoteOptions,
  testOf,
  valueAt,
} from "./buildx-options.ts";
import { aRender } from "./samples.ts";

const page = readFileSync(new URL("../../../docs/builder.md", import.meta.url), "utf8");

/** Rows of the table below the heading of docs/builder.md: option and field. */
function documented(heading: string): [string, string][] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return [...section.matchAll(/^\| `([^`]+)` \| `([^`]+)` \|/gm)].map((row) => [
    row[1] ?? "",
    row[2] ?? "",
  ]);
}

function schemaOfBuilders(): Schema | undefined {
  const crd = customResourceDefinitions().find(({ metadata }) =>
    metadata.name.startsWith("builders."),
  );
  const [version] = (crd?.spec["versions"] ?? []) as { schema: { openAPIV3Schema: Schema } }[];
  return version?.schema.openAPIV3Schema;
}

// Made once: it takes longer than all that is asked of it.
const builderSchema = schemaOfBuilders();

/** Whether a Builder has this field; members of maps are taken as given. */
function isField(path: string): boolean {
  if (path.startsWith("metadata.")) return true;
  let schema = builderSchema;
  for (const name of path.split(".")) {
    if (schema?.additionalProperties !== undefined) return true;
    schema = (schema?.items ?? schema)?.properties?.[name];
    if (schema === undefined) return false;
  }
  return true;
}

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: unknown;
  readonly items?: Schema;
}

describe("an option of buildx's kubernetes driver", () => {
  for (const { option, field, seen } of buildxOptions) {
    it(`${option} is ${field}`, () => {
      assert.ok(isField(field), `there is no field ${field}`);
      if (seen === undefined) return;
      assert.deepEqual(valueAt(workload(aRender(seen.kubernetes)), seen.at), seen.is);
    });
  }

  it("stands in docs/builder.md, one row each, and no other does", () => {
    assert.deepEqual(
      documented("Coming from buildx"),
      buildxOptions.map(({ option, field }) => [option, field]),
    );
  });
});

const others = { remote: remoteOptions, "docker-container": containerOptions } as const;

for (const [driver, options] of Object.entries(others)) {
  describe(`an option of buildx's ${driver} driver`, () => {
    for (const { option, field } of options)
      it(`${option} is ${field}`, () => assert.ok(isField(field), `there is no field ${field}`));

    it("stands in docs/builder.md, one row each, and no other does", () => {
      assert.deepEqual(
        documented(`Coming from buildx's ${driver} driver`),
        options.map(({ option, field }) => [option, field]),
      );
    });
  });
}

describe("the test that sees what an option does", () => {
  for (const [driver, options] of Object.entries(optionsByDriver)) {
    for (const one of options) {
      it(`is there for ${one.option} of ${driver}`, () => {
        const { file, title } = testOf(one) ?? assert.fail("no test is named");
        assert.ok(isField(one.field), `there is no field ${one.field}`);
        const source = readFileSync(new URL(`../../../${file}`, import.meta.url), "utf8");
        const generic = title.replace(one.option, "${option}");
        const quoted = [`"${title}"`, `\`${title}\``, `\`${generic}\``];
        assert.ok(
          quoted.some((text) => source.includes(text)),
          `${file} has no test "${title}"`,
        );
      });
    }
  }
});
