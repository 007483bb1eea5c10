// Each reason of docs/troubleshooting.md is provoked for real by a test of test/integration or test/e2e.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";

const root = new URL("../../../", import.meta.url);

async function textsOf(folder: string): Promise<string> {
  const at = new URL(`${folder}/`, root);
  const names = (await readdir(at, { recursive: true })).filter((name) => name.endsWith(".ts"));
  const texts = await Promise.all(
    names.map(async (name) => await readFile(new URL(name, at), "utf8")),
  );
  return texts.join("\n");
}

describe("the reasons of docs/troubleshooting.md", () => {
  it("are provoked for real, each by a test", async () => {
    const page = await readFile(new URL("docs/troubleshooting.md", root), "utf8");
    const reasons = page
      .split("\n")
      .filter((line) => line.startsWith("| `"))
      .flatMap((line) => [...(line.split("|")[1] ?? "").matchAll(/`(\w+)`/g)])
      .map(([, reason = ""]) => reason);
    assert.ok(reasons.length > 80, "the tables are not where they were");
    const tests = `${await textsOf("test/integration")}${await textsOf("test/e2e")}`;
    const words = new Set(tests.match(/\b[A-Z][A-Za-z]+\b/g));
    assert.deepEqual(
      [...new Set(reasons)].filter((reason) => !words.has(reason)),
      [],
      "reasons without a test",
    );
  });
});
