// What the compiler does not hold: sizes, and that no folder escapes the reference graph.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";

const root = path.join(import.meta.dirname, "../..");
const sources = path.join(root, "src");

interface Project {
  readonly references?: readonly { readonly path: string }[];
}

function project(folder: string): Project {
  return JSON.parse(readFileSync(path.join(folder, "tsconfig.json"), "utf8")) as Project;
}

/** Every TypeScript file below `folder` that people wrote. */
function written(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.startsWith(`gen${path.sep}`))
    .map((file) => path.join(folder, file));
}

const folders = readdirSync(sources, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

describe("the architecture", () => {
  it("has every folder of src in the build", () => {
    const built = (project(root).references ?? []).map((reference) =>
      path.normalize(reference.path),
    );
    for (const folder of folders) assert.ok(built.includes(path.join("src", folder)), folder);
  });

  it("has no arrows but these", () => {
    const arrows = Object.fromEntries(
      folders
        .filter((folder) => folder !== "cli")
        .map((folder) => [
          folder,
          (project(path.join(sources, folder)).references ?? [])
            .map((reference) => path.basename(reference.path))
            .toSorted()
            .join(" "),
        ]),
    );
    assert.deepEqual(arrows, {
      agent: "buildkit errors gen registry",
      api: "",
      bake: "api buildrun errors kube runtime",
      builder: "agent api buildkit docker errors kube placement runtime",
      buildkit: "errors gen registry",
      buildrun: "agent api builder buildkit errors kube placement registry runtime",
      docker: "buildkit errors",
      errors: "",
      gen: "",
      kube: "runtime",
      placement: "",
      registry: "errors",
      runtime: "",
    });
  });

  it("has no file of more than 400 lines", () => {
    const long = written(sources).filter(
      (file) => readFileSync(file, "utf8").split("\n").length > 401,
    );
    assert.deepEqual(long, []);
  });

  it("says at the top of each file which question it answers", () => {
    const silent = written(sources).filter((file) => {
      const text = readFileSync(file, "utf8").replace(/^#!.*\n/, "");
      return !text.startsWith("//");
    });
    assert.deepEqual(silent, []);
  });

  it("keeps the sides apart: no Kubernetes in buildkit, no BuildKit in kube", () => {
    const mentions = (folder: string, word: RegExp): string[] =>
      written(path.join(sources, folder)).filter((file) => word.test(readFileSync(file, "utf8")));
    assert.deepEqual(mentions("buildkit", /from "@kubernetes|from "\.\.\/(\.\.\/)?kube/), []);
    assert.deepEqual(mentions("kube", /from "@grpc|from "\.\.\/(\.\.\/)?buildkit/), []);
    assert.ok(existsSync(path.join(sources, "operator.ts")));
  });
});
