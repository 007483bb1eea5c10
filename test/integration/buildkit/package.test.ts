// The library as its users have it: packed, in plain JavaScript, used as docs/buildkit-client.md shows.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import {
  type Buildkitd,
  buildkitd,
  repositoryRoot,
  scratch,
  type Scratch,
} from "../../cluster/index.ts";

const run = promisify(execFile);

/** The blocks of a page in one language, one after another. */
function program(page: string, language: string): string {
  const blocks = page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"));
  return [...blocks].map(([, block]) => block).join("\n");
}

describe("the packed library", () => {
  let daemon: Buildkitd;
  let place: Scratch;
  before(async () => {
    daemon = await buildkitd();
    place = scratch("package");
  });
  after(async () => {
    await daemon.stop();
    place.remove();
  });

  /** What `npm install` of the package would make of an empty folder. */
  async function install(): Promise<void> {
    const modules = path.join(repositoryRoot, "node_modules");
    await run(process.execPath, [path.join(modules, "typescript/bin/tsc"), "-b", "src/buildkit"], {
      cwd: repositoryRoot,
    });
    const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", place.folder], {
      cwd: repositoryRoot,
    });
    const target = path.join(place.folder, "node_modules/kiln");
    mkdirSync(target, { recursive: true });
    const archive = path.join(place.folder, stdout.trim());
    await run("tar", ["-xf", archive, "-C", target, "--strip-components=1"]);
    for (const name of readdirSync(modules))
      symlinkSync(path.join(modules, name), path.join(place.folder, "node_modules", name));
  }

  it("does what its page says", async () => {
    await install();
    const page = readFileSync(path.join(repositoryRoot, "docs/buildkit-client.md"), "utf8");
    const script = path.join(place.folder, "page.mjs");
    writeFileSync(script, program(page, "js"));
    const { stdout } = await run(process.execPath, [script, daemon.address]);
    const lines = stdout.split("\n");
    assert.match(lines[0] ?? "", /^sha256:[0-9a-f]{64}$/);
    assert.equal(lines[1], "User StepFailed false");
    for (const line of [
      "   2 | >>> RUN echo last words && exit 3",
      "true",
      "[ 'StepFailed' ]",
      "1.2.3",
      "0",
      "[ 'made' ]",
    ])
      assert.ok(lines.includes(line), `${line} of\n${stdout}`);
  });

  it("has types, and nothing but what it needs", () => {
    const root = path.join(place.folder, "node_modules/kiln");
    const files = readdirSync(root, { recursive: true, encoding: "utf8" });
    assert.ok(files.includes("dist/buildkit/index.d.ts"));
    assert.deepEqual(
      files.filter((file) => /^(?:src|test|tools|node_modules)\b/.test(file)),
      [],
    );
  });
});
