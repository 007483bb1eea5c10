// Every field of a target as a field of its BuildRun, or refused by the name that it has in the file.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { parseBuildRun } from "../../../src/api/parse.ts";
import { bytesOfSize } from "../../../src/api/quantity.ts";
import type { BakeSpecInput } from "../../../src/api/v1alpha1/index.ts";
import { readBakeFile, readBakeText } from "../../../src/bake/file/document.ts";
import { type BakePlan, planBake } from "../../../src/bake/plan/plan.ts";
import { planOf } from "../../../src/buildrun/plan/plan.ts";
import { KilnError } from "../../../src/errors/index.ts";
import { aBake } from "./fixture.ts";

const secretRef = { name: "login" };
const key = { name: "keys", key: "token" };

/** What stands in the cluster for all that files/shop.hcl names. */
const mapped: Partial<BakeSpecInput> = {
  context: { git: { url: "https://git.example/shop.git", revision: "v1", subdirectory: "src" } },
  contextCredentials: [{ host: "git.example", secretRef }],
  secrets: [
    { id: "npm", secretKeyRef: key },
    { id: "TOKEN", secretKeyRef: key },
  ],
  ssh: [{ id: "key", secretRef }],
  cacheCredentials: [{ type: "s3", secretRef }],
  places: [{ dest: "./out", to: { artifact: { ref: "registry.example/out:1" } } }],
  intermediates: { repository: "registry.example/intermediates" },
  builderRef: { name: "main" },
  serviceAccountName: "builder",
  registryCredentials: [{ secretRef }],
  timeout: "10m",
  retry: { limit: 1 },
};

function planned(name: string, spec: Partial<BakeSpecInput>): BakePlan {
  const text = readFileSync(new URL(`printed/${name}.json`, import.meta.url), "utf8");
  return planBake(aBake({ spec }), readBakeText(text));
}

function assertGolden(name: string, value: unknown): void {
  const file = new URL(`golden/${name}.json`, import.meta.url);
  const text = `${JSON.stringify(value, null, 2)}\n`;
  if (process.env["UPDATE_GOLDEN"] === "1") {
    mkdirSync(new URL(".", file), { recursive: true });
    writeFileSync(file, text);
  }
  assert.deepEqual(JSON.parse(text), JSON.parse(readFileSync(file, "utf8")), `golden/${name}`);
}

/** The plan of one target `t`. */
function plan(target: Record<string, unknown>, spec: Partial<BakeSpecInput> = {}): BakePlan {
  const inline = { "dockerfile-inline": "FROM scratch\n" };
  const file = readBakeFile({ target: { t: { ...inline, ...target } } });
  return planBake(aBake({ spec: { targets: ["t"], ...spec } }), file);
}

describe("the plan of a Bake", () => {
  it("has every field of the file shop.hcl, as buildx prints it", () => {
    assertGolden("shop", planned("shop", mapped));
  });

  it("is the same every time, and what the planner of BuildRuns takes", () => {
    const first = planned("all", mapped);
    assert.deepEqual(planned("all", mapped), first);
    for (const { run, spec } of first.targets) {
      const metadata = { name: run, namespace: "shop", uid: "u" };
      const made = { apiVersion: "kiln.build/v1alpha1", kind: "BuildRun", metadata, spec };
      assert.ok(planOf(parseBuildRun(made)).request.frontend);
    }
  });

  it("names BuildRuns so that no two Bakes or targets meet, in 63 characters", () => {
    const long = `a${"-long".repeat(24)}`;
    const file = readBakeFile({
      target: Object.fromEntries(
        [long, `${long}r`, "a_b", "A-B", "a-b"].map((name) => [
          name,
          { "dockerfile-inline": "FROM scratch\n" },
        ]),
      ),
    });
    const name = "b".repeat(63);
    const bake = aBake({ metadata: { name }, spec: { targets: ["*"] } });
    const names = planBake(bake, file).targets.map(({ run }) => run);
    assert.equal(new Set(names).size, 5);
    for (const run of names) assert.match(run, /^[a-z0-9]([a-z0-9-]{0,61})[a-z0-9]$/);
  });

  const folders: readonly [string, string, Record<string, unknown>][] = [
    [".", "", {}],
    ["./web/", "", { subdirectory: "web" }],
    ["../lib", "src/app", { subdirectory: "src/lib" }],
    ["..", "src", {}],
  ];
  for (const [context, subdirectory, want] of folders)
    it(`finds the folder "${context}" below "${subdirectory}" of the repository`, () => {
      const git = {
        url: "https://git.example/a.git",
        ...(subdirectory === "" ? {} : { subdirectory }),
      };
      const { targets } = plan({ context, "dockerfile-inline": undefined }, { context: { git } });
      const { url, ...rest } = targets[0]?.spec.context.git ?? {};
      assert.equal(url, git.url);
      assert.deepEqual(rest, want);
    });

  it("takes the files below a folder out of those that are written in the Bake", () => {
    const files = [
      { path: "web/Dockerfile", text: "FROM scratch\n" },
      { path: "api/Dockerfile", text: "FROM busybox\n" },
    ];
    const { targets } = plan({ context: "web" }, { context: { inline: { files } } });
    assert.deepEqual(targets[0]?.spec.context, {
      inline: { files: [{ path: "Dockerfile", text: "FROM scratch\n" }] },
    });
  });

  const addresses: readonly [string, Record<string, unknown>][] = [
    ["https://git.example/a.git", { git: { url: "https://git.example/a.git" } }],
    [
      "https://git.example/a.git#v1:web",
      { git: { url: "https://git.example/a.git", revision: "v1", subdirectory: "web" } },
    ],
    [
      "https://git.example/a.git?branch=main&subdir=/web&submodules=false&checksum=0123456",
      {
        git: {
          ...{ url: "https://git.example/a.git", revision: "main", subdirectory: "web" },
          ...{ submodules: false, checksum: "0123456" },
        },
      },
    ],
    ["git@git.example:a.git#v1", { git: { url: "git@git.example:a.git", revision: "v1" } }],
    ["github.com/docker/buildx", { git: { url: "https://github.com/docker/buildx" } }],
    ["https://files.example/a.tar.gz", { http: { url: "https://files.example/a.tar.gz" } }],
  ];
  for (const [context, want] of addresses)
    it(`takes the address ${context}`, () => {
      assert.deepEqual(plan({ context }).targets[0]?.spec.context, want);
    });

  const sizes: readonly [string, number | undefined][] = [
    ["128m", 2 ** 27],
    ["1g", 2 ** 30],
    ["64KiB", 2 ** 16],
    ["1.5GB", 1.5 * 2 ** 30],
    ["4096", 4096],
    ["12 parsecs", undefined],
  ];
  for (const [size, want] of sizes)
    it(`reads the size ${size} as Docker does`, () => assert.equal(bytesOfSize(size), want));

  const tags = ["shop.example/web:1"];
  const engine = { to: { engine: {} } };
  const pushed = { image: { tags, push: true } };
  const loads: readonly [string, Record<string, unknown>, string[], object[]][] = [
    [
      "that --load printed",
      { tags, output: [{ type: "docker" }] },
      [],
      [{ docker: { ...engine, tags } }],
    ],
    ["without a name", { output: ["type=docker"] }, [], [{ docker: { ...engine, tags: [] } }]],
    [
      "with a name and packing of its own",
      { output: ["type=docker,name=shop.example/web:1,compression=zstd"] },
      [],
      [{ docker: { ...engine, tags, compression: "zstd" } }],
    ],
    ["of an override", { tags }, ["t.load=true"], [{ docker: { ...engine, tags } }]],
    [
      "that is asked for twice",
      { tags, output: ["type=docker"] },
      ["t.load=true"],
      [{ docker: { ...engine, tags } }],
    ],
    [
      "that is pushed, too",
      { tags, output: ["type=docker"] },
      ["t.push=true"],
      [{ docker: { ...engine, tags } }, pushed],
    ],
  ];
  for (const [what, target, set, want] of loads)
    it(`loads an image into the engine of the Builder, as a BuildRun does: one ${what}`, () => {
      const [made] = plan(target, { set }).targets;
      assert.deepEqual(made?.spec.outputs, want);
    });

  it("leaves out what a target that is only built from would push", () => {
    const file = readBakeFile({
      target: {
        base: {
          "dockerfile-inline": "FROM scratch\n",
          tags: ["r.example/b:1"],
          output: ["type=registry"],
        },
        t: { "dockerfile-inline": "FROM b\n", contexts: { b: "target:base" } },
      },
    });
    const intermediates = { repository: "r.example/i" };
    const { targets } = planBake(aBake({ spec: { targets: ["t"], intermediates } }), file);
    assert.deepEqual(targets[0]?.spec.outputs, [
      { image: { tags: ["r.example/i"], pushByDigest: true, insecure: false } },
    ]);
    assert.deepEqual(targets[1]?.spec.buildContexts, [
      { name: "b", buildRun: { name: targets[0]?.run } },
    ]);
  });

  const refused: readonly [string, Record<string, unknown>, RegExp][] = [
    ["annotations", { annotations: ["a"], output: ["type=image"] }, /annotations\[0\] is "a"/],
    ["args", { args: { BUILDKIT_SYNTAX: "x" } }, /args BUILDKIT_SYNTAX is refused/],
    ["attest", { attest: ["type=vex"] }, /attest\[0\]\.type is "vex"/],
    [
      "attest",
      { attest: ["type=provenance,builder-id=x"] },
      /attest\[0\]\.builder-id is set by Kiln/,
    ],
    ["cache-from", { "cache-from": ["type=local,src=./c"] }, /cache-from\[0\]\.type is local/],
    ["cache-to", { "cache-to": ["type=gha"] }, /cache-to\[0\] needs a token/],
    [
      "cache-to",
      { "cache-to": [{ type: "s3", bucket: "b", region: "r", secret_access_key: "k" }] },
      /cache-to\[0\]\.secret_access_key must not/,
    ],
    [
      "cache-to",
      { "cache-to": ["type=registry,ref=r.example/c,x=1"] },
      /cache-to\[0\]\.x is no attribute/,
    ],
    [
      "cache-to",
      { "cache-to": ["type=registry,ref=r.example/c,mode=all"] },
      /cache-from and cache-to /,
    ],
    // A word that every object of JavaScript knows is no attribute either.
    [
      "cache-from",
      { "cache-from": ["type=constructor"] },
      /cache-from\[0\]\.type is "constructor"/,
    ],
    ["context", { context: "./web" }, /context is "\.\/web", a folder of a workstation/],
    ["context", { context: "/home" }, /context is "\/home", a folder/],
    ["context", { context: "https://g.example/a.git?x=1" }, /context has "x" in its query/],
    [
      "context",
      { context: "https://g.example/a.git?constructor=1" },
      /context has "constructor" in its query/,
    ],
    ["contexts", { contexts: { a: "./a" } }, /contexts\.a is "\.\/a", a folder/],
    ["contexts", { contexts: { a: "oci-layout://./a" } }, /contexts\.a is an OCI layout/],
    [
      "dockerfile",
      { "dockerfile-inline": undefined, dockerfile: "../D", context: "https://g.example/a.git" },
      /dockerfile must be a relative path/,
    ],
    ["entitlements", { entitlements: ["root"] }, /entitlements must be/],
    ["extra-hosts", { "extra-hosts": { h: "host-gateway" } }, /extra-hosts\.h is host-gateway/],
    ["network", { network: "bridge" }, /network is "bridge"/],
    ["output", { output: ["type=docker,dest=./a.tar"] }, /output\[0\]\.dest is "\.\/a\.tar"/],
    ["output", { output: ["type=docker,tar=false"] }, /output\[0\]\.tar makes a folder/],
    ["output", { output: ["type=docker,context=other"] }, /output\[0\]\.context is no attribute/],
    ["output", { output: ["type=oci"] }, /output\[0\]\.dest is "", a place/],
    ["output", { output: ["./out"] }, /output\[0\]\.dest is "\.\/out"/],
    ["output", { output: ["type=image,push=true"] }, /output\[0\] pushes an image without a name/],
    [
      "output",
      { output: ["type=image,compression-level=high"] },
      /compression-level must be a whole/,
    ],
    [
      "output",
      { output: ["type=image,constructor=1"] },
      /output\[0\]\.constructor is no attribute/,
    ],
    ["policy", { policy: [{ files: [{}] }] }, /policy is a policy in Rego/],
    ["resources", { resources: { pids: 3 } }, /resources\.pids is no limit/],
    ["resources", { resources: { constructor: 3 } }, /resources\.constructor is no limit/],
    ["secret", { secret: ["id=a,src=./a"] }, /secret\[0\] is a file .* id "a"/],
    ["secret", { secret: ["id=a,env=A"] }, /secret\[0\] is a variable .* id "a"/],
    ["shm-size", { "shm-size": "big" }, /shm-size is "big"/],
    ["ssh", { ssh: ["default"] }, /ssh\[0\] is an agent .* id "default"/],
    ["tags", { tags: ["https://x"], output: ["type=image"] }, /output must be written/],
    ["ulimits", { ulimits: ["nofile"] }, /ulimits\[0\] is "nofile"/],
  ];
  for (const [field, target, message] of refused)
    it(`refuses what a cluster can not do, by its name: ${field} ${JSON.stringify(target)}`, () => {
      assert.throws(
        () => plan(target),
        (error) => {
          assert.ok(error instanceof KilnError);
          assert.equal(error.reason, "TargetNotSupported");
          assert.match(error.message, /^target "t": /);
          assert.match(error.message, message);
          return true;
        },
      );
    });

  it("refuses a target that others build from and that has no place", () => {
    const file = readBakeFile({
      target: {
        base: { "dockerfile-inline": "FROM scratch\n" },
        t: { "dockerfile-inline": "FROM b\n", contexts: { b: "target:base" } },
      },
    });
    assert.throws(
      () => planBake(aBake({ spec: { targets: ["t"] } }), file),
      /target "base": output pushes no image.*spec\.intermediates/,
    );
  });

  it("refuses platforms that the target it builds from does not have", () => {
    const platforms = ["linux/amd64", "linux/arm64"];
    const file = readBakeFile({
      target: {
        base: { "dockerfile-inline": "FROM scratch\n", platforms: [...platforms, "linux/s390x"] },
        t: {
          "dockerfile-inline": "FROM b\n",
          contexts: { b: "target:base" },
          platforms: [...platforms, "linux/riscv64"],
        },
      },
    });
    assert.throws(
      () => planBake(aBake({ spec: { targets: ["t"] } }), file),
      /platforms has linux\/riscv64/,
    );
  });

  const unread: readonly [string, unknown, RegExp][] = [
    ["a variable", { variable: { TAG: {} }, target: {} }, /has "variable", which needs evaluating/],
    [
      "inheritance",
      { target: { t: { inherits: ["b"] } } },
      /target\.t of the Bake file has "inherits"/,
    ],
    ["a matrix", { target: { t: { matrix: {} } } }, /has "matrix", which needs evaluating/],
    [
      "a text that was not evaluated",
      { target: { t: { tags: ["a:${TAG}"] } } },
      /target\.t\.tags\.0/,
    ],
    [
      "a field of another program",
      { target: { t: { image: "x" } } },
      /has "image", which is no field/,
    ],
    ["a number for a list", { target: { t: { tags: 3 } } }, /target\.t\.tags/],
    ["no target", {}, /target of the Bake file/],
    ["a target without a usable name", { target: { "a b": {} } }, /target\.a b of the Bake file: /],
    ["a name that is too long", { target: { ["t".repeat(129)]: {} } }, /at most 128 characters/],
  ];
  for (const [what, document, message] of unread)
    it(`does not read a file with ${what}`, () =>
      assert.throws(
        () => readBakeFile(document),
        (error) => {
          assert.ok(error instanceof KilnError && error.reason === "BakeFileInvalid");
          assert.match(error.message, message);
          return true;
        },
      ));

  it("reads what --print has escaped", () => {
    const { spec } = plan({ args: { A: "$${B} %%{C} $$${D}" } }).targets[0] ?? {};
    assert.deepEqual(spec?.buildArgs, [{ name: "A", value: "${B} %{C} $${D}" }]);
  });
});
