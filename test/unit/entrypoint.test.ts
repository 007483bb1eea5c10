import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach } from "mocha";

const script = path.resolve(import.meta.dirname, "../../entrypoint.sh");

describe("the image's entrypoint", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "kiln-entrypoint-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs it with a `node` that is this shell script. Resolves to its output and exit code. */
  async function run(
    node: string,
    o: { readonly input?: string; readonly onOutput?: (end: () => void) => void } = {},
  ): Promise<{ readonly output: string; readonly code: number | null }> {
    const program = path.join(folder, "node");
    writeFileSync(program, `#!/bin/sh\n${node}\n`);
    chmodSync(program, 0o755);
    const env = { ...process.env, PATH: `${folder}:${process.env["PATH"]}` };
    const child = spawn(script, ["agent", "--two words"], { env });
    let output = "";
    child.stdout.on("data", (data: Buffer) => {
      output += data.toString();
      o.onOutput?.(() => child.kill("SIGTERM"));
    });
    child.stdin.end(o.input ?? "");
    return await new Promise((resolve) => {
      child.on("close", (code) => resolve({ output, code }));
    });
  }

  it("hands on arguments, input and the exit code", async () => {
    const { output, code } = await run('shift; printf "%s|" "$@"; cat; exit 7', { input: "in" });
    assert.deepEqual([output, code], ["agent|--two words|in", 7]);
  });

  it("ends a child that has no handler yet", async () => {
    const { code } = await run("echo up; exec sleep 60", { onOutput: (end) => end() });
    assert.equal(code, 143);
  });

  it("waits for a child that ends in its own time, and answers with its code", async () => {
    const node = "trap 'echo bye; sleep 0.2; exit 3' TERM; echo up; while :; do sleep 0.05; done";
    const ends: string[] = [];
    const { output, code } = await run(node, {
      onOutput: (end) => {
        if (ends.push("output") === 1) end();
      },
    });
    assert.deepEqual([output, code], ["up\nbye\n", 3]);
  });
});
