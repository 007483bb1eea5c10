// src → dist/bin: the `kiln` program in a few files, as it is shipped. Loading some 250 files one by one took most of the
// time of a small build (docs/adr/0018-bundled-program.md). Needs no compiled files.
//   node scripts/bundle.ts [FOLDER]      another folder than dist/bin

import { readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";

const root = path.resolve(import.meta.dirname, "..");
const target = path.resolve(process.argv[2] ?? path.join(root, "dist/bin"));

/**
 * Packages that go into the bundle: ECMAScript modules whose loading does nothing else, so that it does not matter when
 * they are loaded, and in which files.
 */
const taken = new Set(["@bufbuild/protobuf", "commander", "smol-toml", "zod"]);

const { metafile } = await build({
  absWorkingDir: root,
  // Of the same names as in src, as a file that starts a worker names it beside itself.
  entryPoints: {
    kiln: "src/cli/main.ts",
    worker: "src/buildkit/session/filesync/sending/worker.ts",
  },
  outdir: target,
  bundle: true,
  // What a subcommand loads when it runs stays in files of its own.
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node24",
  metafile: true,
  logLevel: "warning",
  plugins: [
    {
      name: "packages",
      setup(bundler) {
        bundler.onResolve({ filter: /^[^./]/ }, ({ path: specifier, kind }) => {
          const name = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? "";
          return kind === "entry-point" || taken.has(name)
            ? undefined
            : { path: specifier, external: true };
        });
      },
    },
  ],
});

// What an earlier build left: names of files change with what they hold.
const written = new Set(Object.keys(metafile.outputs).map((name) => path.basename(name)));
for (const name of readdirSync(target)) {
  if (!written.has(name)) rmSync(path.join(target, name), { recursive: true });
}
