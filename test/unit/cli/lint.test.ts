import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { lint } from "../../../src/cli/lint.ts";

const run = (spec: string): string =>
  `apiVersion: kiln.build/v1alpha1\nkind: BuildRun\nmetadata: {name: web}\nspec: ${spec}\n`;

describe("lint", () => {
  const examples = path.join(import.meta.dirname, "../../../examples");
  for (const file of readdirSync(examples).filter((name) => name.endsWith(".yaml"))) {
    it(`finds nothing wrong with examples/${file}`, () => {
      const { checked, findings } = lint(readFileSync(path.join(examples, file), "utf8"));
      assert.deepEqual(findings, []);
      assert.ok(checked > 0);
    });
  }

  it("names the object, its line and the field", () => {
    const text = `kind: Secret\napiVersion: v1\n---\n${run("{context: {none: {}}, dockerfile: {inline: 3}}")}`;
    const { checked, findings } = lint(text);
    assert.equal(checked, 1);
    assert.deepEqual(
      findings.map(({ line, object }) => [line, object]),
      [[4, "BuildRun web"]],
    );
    assert.match(findings[0]?.message ?? "", /spec\.dockerfile\.inline/);
  });

  it("names a kind that does not exist", () => {
    const [finding] = lint("apiVersion: kiln.build/v1alpha1\nkind: Build\n").findings;
    assert.match(finding?.message ?? "", /no Build; use one of Builder, ClusterBuilder, BuildRun/);
  });

  const builder = (spec: string): string =>
    `apiVersion: kiln.build/v1alpha1\nkind: Builder\nmetadata: {name: main}\nspec: ${spec}\n`;
  for (const [what, spec, says] of [
    [
      "a buildkitd.toml with a slip of the pen",
      '{kubernetes: {}, buildkitd: {config: "[worker.oci]\\nmax-paralelism = 4"}}',
      /worker\.oci\.max-paralelism \(line 2\) is no key/,
    ],
    [
      "a patch of what is Kiln's",
      "{kubernetes: {podTemplatePatch: {spec: {containers: [{name: buildkitd, args: []}]}}}}",
      /podTemplatePatch\.spec\.containers\[0\]\.args is Kiln's own.*: correct podTemplatePatch/,
    ],
  ] as const) {
    it(`finds ${what}, which no schema sees`, () => {
      const [finding] = lint(builder(spec)).findings;
      assert.match(finding?.message ?? "", says);
    });
  }

  it("says where a file is no YAML, and still reads the other documents", () => {
    const { checked, findings } = lint(
      `a: [1\n---\n${run("{context: {none: {}}, dockerfile: {inline: x}}")}`,
    );
    assert.equal(findings.length, 1);
    assert.equal(checked, 1);
  });

  it("takes an empty file for one without objects of Kiln", () => {
    assert.deepEqual(lint(""), { checked: 0, findings: [] });
  });
});

describe("lint of a Bake", () => {
  const bake = (target: string): string =>
    `apiVersion: kiln.build/v1alpha1\nkind: Bake\nmetadata: {name: shop}\nspec: {file: {inline: {target: {default: ${target}}}}}\n`;

  it("reads the file that is written in it", () => {
    assert.deepEqual(lint(bake('{dockerfile-inline: "FROM scratch"}')).findings, []);
  });

  it("names the target and the field that need something of the cluster", () => {
    const [finding] = lint(bake("{context: ./web}")).findings;
    assert.equal(finding?.object, "Bake shop");
    assert.match(finding?.message ?? "", /target "default": context .* spec\.context/);
  });
});
