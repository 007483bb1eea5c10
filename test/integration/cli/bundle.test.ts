// The program as it is shipped: bundled, with the packages that are installed beside it, without its sources.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { symlinkSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import path from "node:path";
import { promisify } from "node:util";
import { type Buildkitd, buildkitd, repositoryRoot, scratch } from "../../cluster/index.ts";
import { version } from "../../../src/version.ts";
import { type Ended, kiln } from "./kiln.ts";

const run = promisify(execFile);

/** Writes a context whose one folder is so large that it is left to a worker. A build gets only one file of it. */
function largeContext(folder: string): void {
  const large = path.join(folder, "large");
  mkdirSync(large, { recursive: true });
  for (let i = 0; i < 5_500; i += 1) writeFileSync(path.join(large, `left-out-${i}`), "");
  writeFileSync(path.join(large, "last"), "of all\n");
  writeFileSync(path.join(folder, "Dockerfile"), "FROM scratch\nCOPY . /\n");
  writeFileSync(path.join(folder, ".dockerignore"), "large/left-out-*\n");
}

describe("the bundled program", () => {
  const place = scratch("bundle");
  const bin = path.join(place.folder, "dist/bin");
  const packageFile = path.join(place.folder, "package.json");
  let daemon: Buildkitd;

  before(async () => {
    daemon = await buildkitd();
    // As the image has it.
    copyFileSync(path.join(repositoryRoot, "package.json"), packageFile);
    symlinkSync(path.join(repositoryRoot, "node_modules"), path.join(place.folder, "node_modules"));
    mkdirSync(bin, { recursive: true });
    writeFileSync(path.join(bin, "chunk-OLD.js"), "");
    await run(process.execPath, [path.join(repositoryRoot, "scripts/bundle.ts"), bin]);
  });
  after(async () => {
    await daemon.stop();
    place.remove();
  });

  /** Runs it; what it printed as text. */
  async function shipped(
    args: readonly string[],
    stdin = "",
  ): Promise<Omit<Ended, "stdout"> & { readonly stdout: string }> {
    const env = { PATH: process.env["PATH"] ?? "", KUBECONFIG: path.join(place.folder, "none") };
    const given = { program: path.join(bin, "kiln.js"), cwd: place.folder, env };
    const ended = await kiln(args, { ...given, stdin: Buffer.from(stdin) });
    return { ...ended, stdout: ended.stdout.toString() };
  }

  it("is what the package and the image start", () => {
    const { bin: programs } = JSON.parse(readFileSync(packageFile, "utf8")) as {
      bin: Record<string, string>;
    };
    for (const program of Object.values(programs)) assert.equal(program, "./dist/bin/kiln.js");
    const entrypoint = readFileSync(path.join(repositoryRoot, "entrypoint.sh"), "utf8");
    assert.ok(entrypoint.includes("node /kiln/dist/bin/kiln.js "));
  });

  it("prints its version", async () => {
    const { code, stdout } = await shipped(["--version"]);
    assert.deepEqual([code, stdout], [0, `${version}\n`]);
  });

  it("keeps nothing of an earlier build", () => {
    assert.ok(!readdirSync(bin).includes("chunk-OLD.js"));
  });

  it("imports nothing but Node and the packages that are installed with it", () => {
    const { dependencies } = JSON.parse(readFileSync(packageFile, "utf8")) as {
      dependencies: Record<string, string>;
    };
    const known = new Set([...Object.keys(dependencies), ...builtinModules]);
    const imported = readdirSync(bin).flatMap((file) => {
      const text = readFileSync(path.join(bin, file), "utf8");
      return [...text.matchAll(/^import (?:.* from )?"([^".][^"]*)";$/gm)].map(([, name]) => name);
    });
    assert.ok(imported.includes("pino"));
    const strange = imported.filter((name = "") => !known.has(name.replace(/^node:/, "")));
    assert.deepEqual(strange, []);
  });

  it("sends a large folder from its worker thread", async () => {
    const folder = path.join(place.folder, "context");
    largeContext(folder);
    const dest = path.join(place.folder, "out");
    const { code, stderr } = await shipped([
      ...["solve", "--addr", daemon.address, "--frontend", "dockerfile.v0"],
      ...["--local", `context=${folder}`, "--local", `dockerfile=${folder}`],
      ...["--output", `type=local,dest=${dest}`],
    ]);
    assert.equal(code, 0, stderr);
    assert.equal(readFileSync(path.join(dest, "large/last"), "utf8"), "of all\n");
  });

  it("checks manifests by the schemas", async () => {
    const manifest = (spec: string): string =>
      `apiVersion: kiln.build/v1alpha1\nkind: Builder\nmetadata: {name: b}\nspec: ${spec}\n`;
    const right = await shipped(["lint", "-"], manifest("{kubernetes: {}}"));
    assert.deepEqual([right.code, right.stdout], [0, "-: 1 objects of Kiln, nothing wrong\n"]);
    const wrong = await shipped(["lint", "-"], manifest("{kubernetes: {drainTimeout: soon}}"));
    assert.equal(wrong.code, 1);
    assert.match(wrong.stdout, /^-:1: Builder b: spec.kubernetes.drainTimeout: /);
  });

  it("starts the controller and the agent", async () => {
    const controller = await shipped(["controller"]);
    assert.match(controller.stdout, /"msg":"starting".*ENOENT/s);
    const tls = path.join(place.folder, "tls");
    const agent = await shipped(["agent", "--buildkitd", daemon.address, "--tls", tls]);
    assert.ok(
      agent.stdout.includes(`ENOENT: no such file or directory, open '${tls}`),
      agent.stdout + agent.stderr,
    );
  });
});
