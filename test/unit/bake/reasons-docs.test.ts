// docs/bake.md knows every reason with which a Bake can end.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";

const root = new URL("../../../", import.meta.url);
const folder = new URL("src/bake/", root);

describe("docs/bake.md", () => {
  const page = readFileSync(new URL("docs/bake.md", root), "utf8");
  const texts = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readFileSync(new URL(name, folder), "utf8"))
    .join("\n");

  it("has every reason", () => {
    const reasons = [
      ...texts.matchAll(/reason: "([A-Z]\w+)"|^ {2}\| "([A-Z]\w+)"|refused\(\s*"([A-Z]\w+)"/gm),
    ].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
    const told = new Set(["Started", "Building", "Cancelled", "InvalidSpec"]);
    const missing = reasons.filter((one) => !told.has(one) && !page.includes(`\`${one}\``));
    assert.deepEqual(missing, []);
    assert.ok(reasons.length > 8, "the reasons are not where they were");
  });

  it("has every field of a target", () => {
    const document = readFileSync(new URL("file/document.ts", folder), "utf8");
    const body = /const Target = z\n {2}\.strictObject\(\{([\s\S]*?)\n {2}\}\)/.exec(document)?.[1];
    const fields = [...(body ?? "").matchAll(/^ {4}"?([a-z-]+)"?:/gm)].map(([, name]) => name);
    assert.ok(fields.length > 25, "the fields are not where they were");
    const rows = [...page.matchAll(/^\| (`[^|]+`) \|/gm)].map(([, cell]) => cell).join(" ");
    assert.deepEqual(
      fields.filter((name) => !rows.includes(`\`${name}\``)),
      [],
    );
  });
});
