// proto/ → src/gen: protobuf-es code, by the buf and protoc-gen-es of node_modules, without network.
// `node scripts/protos.ts` writes; `--check` fails when src/gen is not what proto/ generates.
import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "..");
const target = join(root, "src/gen");
const timeoutMs = 60_000;

async function generate(into: string): Promise<void> {
  const bin = join(root, "node_modules/.bin");
  await run(join(bin, "buf"), ["generate", "--output", into], {
    cwd: root,
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env["PATH"] ?? ""}` },
    timeout: timeoutMs,
  });
}

async function generatedFiles(folder: string): Promise<Map<string, string>> {
  const names = await readdir(folder, { recursive: true });
  const files = names.filter((name) => name.endsWith("_pb.ts")).sort();
  return new Map(
    await Promise.all(
      files.map(
        async (name): Promise<[string, string]> => [
          name,
          await readFile(join(folder, name), "utf8"),
        ],
      ),
    ),
  );
}

function differences(want: Map<string, string>, have: Map<string, string>): string[] {
  const names = [...new Set([...want.keys(), ...have.keys()])].sort();
  return names.filter((name) => want.get(name) !== have.get(name));
}

async function replace(fresh: string, stale: string[], want: Map<string, string>): Promise<void> {
  for (const name of stale) {
    const file = join(target, name);
    if (want.has(name)) await cp(join(fresh, name), file, { recursive: true });
    else await rm(file);
  }
}

const fresh = await mkdtemp(join(tmpdir(), "kiln-gen-"));
try {
  await generate(fresh);
  const want = await generatedFiles(fresh);
  const stale = differences(want, await generatedFiles(target));
  if (!process.argv.includes("--check")) {
    await replace(fresh, stale, want);
    console.log(`src/gen: ${want.size} files, ${stale.length} changed`);
  } else if (stale.length > 0) {
    console.error(`src/gen is stale, run: node scripts/protos.ts\n  ${stale.join("\n  ")}`);
    process.exitCode = 1;
  }
} finally {
  await rm(fresh, { recursive: true, force: true });
}
