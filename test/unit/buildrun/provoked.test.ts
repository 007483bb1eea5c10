// Each reason of docs/troubleshooting.md is provoked for real by a test of test/integration or test/e2e, or stands here with
// why it is not.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";

const root = new URL("../../../", import.meta.url);

/** Reasons that no test provokes with real parts, by why. Unit tests hold their rows of the table all the same. */
const notProvoked: Readonly<Record<string, readonly string[]>> = {
  "the API server refuses it first; the check is for CRDs of another version": [
    "InvalidSpec",
    "InvalidDockerfilePath",
    "DockerfileMissing",
  ],
  "it stands for what nobody foresaw": ["Unexpected", "SolveFailed", "BuildFailed"],
  "no healthy daemon can be made to say it": [
    "BuilderOverloaded",
    "BuildStopped",
    "SessionLost",
    "SessionSilent",
  ],
  "it takes a frontend that misbehaves, and none is built for tests": [
    "CallFailed",
    "FrontendFailed",
  ],
  "it takes a disk or a network of its own": ["DiskFull", "AgentUnreachable"],
  "BuildKit falls back to plain HTTP for registries of its own machine, where tests have theirs": [
    "RegistryTlsFailed",
  ],
  "unit tests only, so far": [
    "LocalCacheInvalid",
    "OutputPlaceInvalid",
    "BucketUnavailable",
    "NotForEngine",
  ],
  "it takes keys and signed sources": ["SignatureInvalid"],
  "of the library: unit tests give it bad input": [
    "InvalidEndpoint",
    "OciLayoutInvalid",
    "OciLayoutLocked",
  ],
};

async function textsOf(folder: string): Promise<string> {
  const at = new URL(`${folder}/`, root);
  const names = (await readdir(at, { recursive: true })).filter((name) => name.endsWith(".ts"));
  const texts = await Promise.all(
    names.map(async (name) => await readFile(new URL(name, at), "utf8")),
  );
  return texts.join("\n");
}

describe("the reasons of docs/troubleshooting.md", () => {
  it("are provoked for real, each by a test, but for those that say why not", async () => {
    const page = await readFile(new URL("docs/troubleshooting.md", root), "utf8");
    const reasons = page
      .split("\n")
      .filter((line) => line.startsWith("| `"))
      .flatMap((line) => [...(line.split("|")[1] ?? "").matchAll(/`(\w+)`/g)])
      .map(([, reason = ""]) => reason);
    assert.ok(reasons.length > 80, "the tables are not where they were");
    const tests = `${await textsOf("test/integration")}${await textsOf("test/e2e")}`;
    const words = new Set(tests.match(/\b[A-Z][A-Za-z]+\b/g));
    const excused = Object.values(notProvoked).flat();
    assert.deepEqual(
      [...new Set(reasons)].filter((reason) => !words.has(reason) && !excused.includes(reason)),
      [],
      "reasons without a test",
    );
    assert.deepEqual(
      excused.filter((reason) => words.has(reason)),
      [],
      "a test provokes them: take them off the list",
    );
  });
});
