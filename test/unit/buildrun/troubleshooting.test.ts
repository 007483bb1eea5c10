// docs/troubleshooting.md knows every reason that a run can end or wait with.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { errorTable } from "../../../src/buildkit/errors/table.ts";

const root = new URL("../../../", import.meta.url);

/** Reasons written in the sources of these folders. */
async function reasonsIn(...folders: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    folders.map(async (folder) => {
      const at = new URL(`src/${folder}/`, root);
      const files = (await readdir(at, { recursive: true })).filter((name) => name.endsWith(".ts"));
      const texts = await Promise.all(
        files.map(async (name) => await readFile(new URL(name, at), "utf8")),
      );
      return texts.flatMap((text) =>
        [...text.matchAll(/(?:reason|detail): "([A-Z]\w+)"|user\(\s*"([A-Z]\w+)"/g)].map(
          (match) => match[1] ?? match[2] ?? "",
        ),
      );
    }),
  );
  return found.flat();
}

/** Phases, the reason of an Event, and what `choose` says but QueueBook never passes on. */
const told = new Set([
  "Running",
  "Queued",
  "Pending",
  "Succeeded",
  "Started",
  "Split",
  "PlatformNotSupported",
]);

/** The client's own failures; those that the daemon tells stand in its table. */
const buildkit = ["control", "gateway", "rpc", "session"].map((folder) => `buildkit/${folder}`);

describe("docs/troubleshooting.md", () => {
  it("has every reason", async () => {
    const page = await readFile(new URL("docs/troubleshooting.md", root), "utf8");
    const reasons = new Set([
      ...(await reasonsIn("buildrun", "agent", "placement", ...buildkit)),
      ...errorTable.map(({ reason }) => reason),
    ]);
    const missing = [...reasons].filter(
      (reason) => !told.has(reason) && !page.includes(`\`${reason}\``),
    );
    assert.deepEqual(missing, []);
  });

  it("says of each failure of a build whose it is and whether it is repeated", async () => {
    const page = await readFile(new URL("docs/troubleshooting.md", root), "utf8");
    for (const { reason, class: owner, retryable } of errorTable) {
      const row = page
        .split("\n")
        .find(
          (line) =>
            line.startsWith("|") &&
            line.includes(`\`${reason}\``) &&
            line.split("|")[2]?.trim() === owner,
        );
      assert.ok(row, `${reason} of class ${owner}`);
      const repeated = retryable && owner !== "Source" ? "yes" : "no";
      assert.equal(row.split("|")[3]?.trim(), repeated, reason);
    }
  });
});
