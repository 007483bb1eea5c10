// buildkitd.toml: what the fields make of it, what the merge produces, and what is refused with which words.

import assert from "node:assert/strict";
import { parse } from "smol-toml";
import type { BuilderSpecInput } from "../../../src/api/v1alpha1/index.ts";
import { daemonConfig } from "../../../src/builder/config/daemon.ts";
import { lineOf } from "../../../src/builder/config/lint.ts";
import { bytesOfSize } from "../../../src/api/quantity.ts";
import { configSamples } from "./config-samples.ts";
import { assertGoldenText } from "./golden.ts";
import { aSpec } from "./samples.ts";

function configOf(spec: BuilderSpecInput, fallback?: string): string | undefined {
  const config = daemonConfig(aSpec(spec), fallback);
  if ("problem" in config) throw new Error(config.problem.message);
  return config.text;
}

function faultOf(config: string, spec: Partial<BuilderSpecInput> = {}): string {
  const { buildkitd, ...rest } = spec;
  const whole = { kubernetes: {}, ...rest, buildkitd: { ...buildkitd, config } };
  const result = daemonConfig(aSpec(whole), undefined);
  if (!("problem" in result)) return "";
  assert.equal(result.problem.reason, "InvalidConfig");
  return result.problem.message;
}

describe("buildkitd.toml of a Builder", () => {
  for (const { name, spec, fallback } of configSamples) {
    it(`is as it was: ${name}`, () => {
      const text = configOf(spec, fallback) ?? "";
      assertGoldenText(`config/${name}.toml`, text);
      parse(text);
    });
  }

  it("is not there when nobody says anything", () => {
    assert.equal(configOf({ kubernetes: {} }), undefined);
  });

  it("is the person's own text, comments and all, when no field says anything", () => {
    const config = "# ours\ndebug = true\n";
    assert.equal(configOf({ kubernetes: {}, buildkitd: { config } }, "debug = false"), config);
  });

  it("is the controller's, to the letter, when a Builder says nothing", () => {
    assert.equal(configOf({ kubernetes: {} }, "# theirs\n"), "# theirs\n");
  });

  it("grants what the Builder allows, not what the controller's text grants", () => {
    const theirs = 'insecure-entitlements = ["security.insecure"]\n';
    assert.doesNotMatch(configOf({ kubernetes: {} }, theirs) ?? "", /insecure/);
    const allow = { entitlements: ["network.host" as const] };
    assert.match(configOf({ kubernetes: {}, allow }, theirs) ?? "", /\[ "network\.host" \]/);
  });

  it("has its fields win over the controller's text", () => {
    const text = configOf({ kubernetes: {}, buildkitd: { debug: false } }, "debug = true\n");
    assert.equal(text, "debug = false\n");
  });
});

const faults: readonly (readonly [
  what: string,
  config: string,
  says: RegExp,
  spec?: Partial<BuilderSpecInput>,
])[] = [
  ["no TOML", "debug = true\nthis is no TOML\n", /line 2, column \d+ is no TOML/],
  ["a key twice", "debug = true\ndebug = false\n", /line 2, column 1 is no TOML/],
  [
    "an unknown key",
    "[worker.oci]\n  max-paralelism = 4\n",
    /worker\.oci\.max-paralelism \(line 2\) is no key of buildkitd\.toml \(BuildKit would overlook it\)/,
  ],
  ["an unknown table", "debug = true\n\n[workers]\n", /workers \(line 3\) is no key/],
  [
    "an unknown key of a registry",
    '[registry."docker.io"]\n  mirror = ["a"]\n',
    /registry\."docker\.io"\.mirror \(line 2\) is no key/,
  ],
  [
    "a value of the wrong type",
    '[registry."docker.io"]\n  mirrors = "a"\n',
    /registry\."docker\.io"\.mirrors \(line 2\) has a wrong value/,
  ],
  [
    "another root",
    'root = "/tmp"\n',
    /^spec\.buildkitd\.config: root \(line 1\) is not yours to set/,
  ],
  ["another listener", '[grpc]\n  address = ["tcp://0.0.0.0:1"]\n', /grpc \(line 1\) is not yours/],
  ["containerd", "[worker.containerd]\n  enabled = true\n", /there is no containerd in the pod/],
  [
    "one GC rule in place of all",
    '[[worker.oci.gcpolicy]]\n  filters = ["type==source.local"]\n',
    /worker\.oci\.gcpolicy \(line 1\) replaces all of BuildKit's rules by this one rule/,
  ],
  [
    "GC rules without one for the rest",
    "[worker.oci]\n[[worker.oci.gcpolicy]]\n  all = true\n  filters = ['a']\n[[worker.oci.gcpolicy]]\n",
    /\(line 2\) replaces all of BuildKit's rules by these 2 rules/,
  ],
  [
    "an entitlement that nobody allowed",
    'insecure-entitlements = ["network.host"]\n',
    /\(line 1\) grants network\.host, which spec\.allow\.entitlements does not/,
  ],
  [
    "an entitlement beside the one that is allowed",
    'insecure-entitlements = ["network.host", "security.insecure"]\n',
    /grants security\.insecure/,
    { allow: { entitlements: ["network.host"] } },
  ],
  [
    "more space than there is",
    '[worker.oci]\n  maxUsedSpace = "20GB"\n',
    /maxUsedSpace \(line 2\) is 20GB, more than the 10737418240 bytes of the volume/,
    { kubernetes: { storage: { size: "10Gi" } } },
  ],
  [
    "a rule with more space than there is",
    "[[worker.oci.gcpolicy]]\n  all = true\n  reservedSpace = 2000000000\n",
    /reservedSpace \(line 3\) is 2000000000, more than the 1073741824 bytes/,
    { kubernetes: { tmpfs: { size: "1Gi" } } },
  ],
  [
    "a key that a field sets as well",
    "[worker.oci]\n  max-parallelism = 4\n",
    /spec\.buildkitd\.config sets worker\.oci\.max-parallelism, and so does a field/,
    { buildkitd: { maxParallelism: 2 } },
  ],
];

describe("a buildkitd.toml is refused with", () => {
  for (const [what, config, says, spec] of faults) {
    it(what, () => assert.match(faultOf(config, spec), says));
  }
});

const fine: readonly (readonly [string, string, Partial<BuilderSpecInput>?])[] = [
  ["rules that end with one for the rest", "[[worker.oci.gcpolicy]]\n  all = true\n"],
  [
    "a share of the disk, however small it is",
    '[worker.oci]\n  maxUsedSpace = "90%"\n',
    { kubernetes: { storage: { size: "1Gi" } } },
  ],
  [
    "a grant that is allowed",
    'insecure-entitlements = ["network.host"]\n',
    { allow: { entitlements: ["network.host"] } },
  ],
  ["keys of tables that change with BuildKit", "[compaction]\n  anything = 1\n"],
  [
    "another key of a registry that a field is about",
    '[registry."docker.io"]\n  mirrors = ["a"]\n',
    { buildkitd: { registries: [{ host: "docker.io", insecure: true }] } },
  ],
];

describe("a buildkitd.toml is taken with", () => {
  for (const [what, config, spec] of fine) it(what, () => assert.equal(faultOf(config, spec), ""));
});

describe("sizes", () => {
  const spaces: readonly (readonly [string | number, number | undefined])[] = [
    ["10GB", 10 * 2 ** 30],
    ["10 GiB", 10 * 2 ** 30],
    ["1.5k", 1536],
    ["512", 512],
    [512, 512],
    ["20%", undefined],
    ["much", undefined],
  ];
  for (const [space, bytes] of spaces) {
    it(`${space} of buildkitd.toml is ${bytes} bytes`, () =>
      assert.equal(bytesOfSize(space), bytes));
  }
});

describe("the line of a key", () => {
  const text =
    'a.b = 1\n[c]\nd = 2\n[c."e.f"]\n# d = 0\n"g h" = 3\n[[i.j]]\nk = 1\n[[i.j]]\nl = 2\n';
  const lines: readonly (readonly [readonly string[], number | undefined])[] = [
    [["a", "b"], 1],
    [["c"], 2],
    [["c", "d"], 3],
    [["c", "e.f", "g h"], 6],
    [["i"], 7],
    [["i", "j", "l"], 10],
    [["nowhere"], undefined],
  ];
  for (const [keys, line] of lines) {
    it(`${keys.join(" > ")} is ${line}`, () => assert.equal(lineOf(keys, text), line));
  }
});
