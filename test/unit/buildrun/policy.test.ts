// What a Builder allows, held against what a run asks for: who is let in, and which words the others get.

import assert from "node:assert/strict";
import type { BuilderSpecInput, BuildRunSpecInput } from "../../../src/api/v1alpha1/index.ts";
import { admission } from "../../../src/buildrun/reconcile/checks.ts";
import { decide } from "../../../src/buildrun/reconcile/decide.ts";
import { planOf } from "../../../src/buildrun/plan/plan.ts";
import { forbidden, syntaxOf } from "../../../src/buildrun/policy.ts";
import { affinityOf } from "../../../src/buildrun/reconcile/world.ts";
import { aBuilderWith, aRun, aWorld } from "./fixture.ts";

type Allow = NonNullable<BuilderSpecInput["allow"]>;
type Spec = Partial<BuildRunSpecInput>;

/** `reason: message` of what the checks say; "" when the run may go on. */
function said(spec: Spec, allow: Allow, more: Partial<BuilderSpecInput> = {}): string {
  const world = aWorld({ run: aRun({ spec }), builder: aBuilderWith({ allow, ...more }) });
  const violation = admission.map((check) => check(world)).find((one) => one !== undefined);
  if (violation === undefined) return "";
  if (violation.kind === "wait") return `waits: ${violation.why.reason}`;
  const { class: owner, reason, message } = violation.failure;
  return `${owner} ${reason}: ${message}`;
}

const image = (...tags: string[]): Spec => ({ outputs: [{ image: { tags } }] });
const syntax = (line: string): Spec => ({ dockerfile: { inline: `${line}\nFROM scratch\n` } });
const standIn = (name: string): Spec => ({
  ...syntax("# syntax=docker/dockerfile:1"),
  buildContexts: [{ name, image: "evil.example/frontend" }],
});
const convert = (identifier: string, match: "wildcard" | "regex" = "wildcard"): Spec => ({
  sourcePolicy: { rules: [{ action: "convert", identifier, match, replacement: "https://b" }] },
});
const shop = "registry.example/shop/web:1";
const cacheOf = (ref: string): Spec => ({ cache: { from: [{ registry: { ref } }] } });

const cases: readonly (readonly [what: string, spec: Spec, allow: Allow, says: RegExp])[] = [
  ["nothing is said of a Builder that forbids nothing", image(shop), {}, /^$/],
  ["a namespace that is listed", {}, { namespaces: ["other", "shop"] }, /^$/],
  ["a namespace whose beginning is listed", {}, { namespaces: ["sh*"] }, /^$/],
  [
    "a namespace that is not listed",
    {},
    { namespaces: ["shop-*", "sho"] },
    /^Policy NamespaceNotAllowed: Builder "default" takes no runs of namespace "shop": add it to spec\.allow\.namespaces there, or/,
  ],
  ["no namespace at all", {}, { namespaces: [] }, /NamespaceNotAllowed/],
  ["a service account by name", {}, { serviceAccounts: ["default"] }, /^$/],
  ["a service account by namespace and name", {}, { serviceAccounts: ["shop/default"] }, /^$/],
  ["any account of a namespace", {}, { serviceAccounts: ["shop/*"] }, /^$/],
  ["an account of any namespace", {}, { serviceAccounts: ["*/def*"] }, /^$/],
  [
    "an account of another namespace",
    {},
    { serviceAccounts: ["other/default", "ci"] },
    /^Policy ServiceAccountNotAllowed: .*shop\/default: add it to spec\.allow\.serviceAccounts/,
  ],
  [
    "images replaced by the run where frontends are limited",
    convert("docker-image://*"),
    { frontends: ["docker/dockerfile"] },
    /^Policy FrontendNotAllowed: .*"docker-image:\/\/\*" in spec\.sourcePolicy may replace/,
  ],
  [
    "anything replaced by a regular expression where frontends are limited",
    convert("https://.*", "regex"),
    { frontends: ["docker/dockerfile"] },
    /FrontendNotAllowed/,
  ],
  [
    "an archive replaced where frontends are limited",
    convert("https://files.example/a.tar"),
    { frontends: ["docker/dockerfile"] },
    /^$/,
  ],
  ["images replaced by the run where frontends are free", convert("docker-image://*"), {}, /^$/],
  ["a type of output that is listed", image(shop), { outputs: { types: ["image"] } }, /^$/],
  [
    "a type of output that is not listed",
    image(shop),
    { outputs: { types: ["local"] } },
    /^Policy OutputNotAllowed: Builder "default" allows no outputs of type image: add it to spec\.allow\.outputs\.types/,
  ],
  ["a repository", image(shop), { outputs: { repositories: ["registry.example/shop/web"] } }, /^$/],
  ["all below", image(shop), { outputs: { repositories: ["registry.example/*"] } }, /^$/],
  [
    "one of two tags elsewhere",
    image(shop, "elsewhere.example/a"),
    { outputs: { repositories: ["registry.example/*"] } },
    /OutputNotAllowed: .* allows no outputs in elsewhere\.example\/a: add its repository/,
  ],
  [
    "a host that only begins alike",
    image("registry.example.evil.test/shop/web"),
    { outputs: { repositories: ["registry.example/*"] } },
    /OutputNotAllowed/,
  ],
  [
    "a repository that only begins alike",
    image("registry.example/shopping/web"),
    { outputs: { repositories: ["registry.example/shop/*"] } },
    /OutputNotAllowed/,
  ],
  [
    "Docker Hub by its short name",
    image("web"),
    { outputs: { repositories: ["docker.io/library/web"] } },
    /^$/,
  ],
  ["all of somebody on Docker Hub", image("me/web"), { outputs: { repositories: ["me/*"] } }, /^$/],
  ["a cache that is listed", cacheOf(shop), { caches: { types: ["registry"] } }, /^$/],
  [
    "a cache to read that is elsewhere",
    cacheOf("elsewhere.example/cache"),
    { caches: { repositories: ["registry.example/*"] } },
    /^Policy CacheNotAllowed: .* allows no caches in elsewhere\.example\/cache/,
  ],
  [
    "a cache to write of a type that is not listed",
    { ...image(shop), cache: { to: [{ inline: {} }] } },
    { caches: { types: ["registry"] } },
    /CacheNotAllowed: .* no caches of type inline/,
  ],
  ["the frontend inside BuildKit", {}, { frontends: [] }, /^$/],
  [
    "a frontend that is listed",
    syntax("# syntax=docker/dockerfile:1"),
    { frontends: ["docker/dockerfile"] },
    /^$/,
  ],
  [
    "a frontend that is not listed",
    syntax("# syntax=evil.example/frontend:1"),
    { frontends: ["docker/dockerfile"] },
    /^Policy FrontendNotAllowed: .* does not run the frontend evil\.example\/frontend:1: add its repository to spec\.allow\.frontends/,
  ],
  [
    "a named context in place of a frontend that is listed",
    standIn("docker/dockerfile"),
    { frontends: ["docker/dockerfile"] },
    /^Policy FrontendNotAllowed: .* without a named context in its place/,
  ],
  [
    "a named context in place of one version of a frontend that is listed",
    standIn("docker.io/docker/dockerfile:1"),
    { frontends: ["docker/dockerfile"] },
    /FrontendNotAllowed/,
  ],
  [
    "a named context in place of another image",
    { buildContexts: [{ name: "debian", image: "mine.example/debian" }] },
    { frontends: ["docker/dockerfile"] },
    /^$/,
  ],
  [
    "a frontend that is no image",
    syntax("# syntax=NO IMAGE"),
    { frontends: ["docker/dockerfile"] },
    /FrontendNotAllowed/,
  ],
];

describe("what a Builder allows", () => {
  for (const [what, spec, allow, says] of cases) {
    it(what, () => assert.match(said(spec, allow), says));
  }

  const entitlements: readonly (readonly [readonly string[], Allow["entitlements"], RegExp])[] = [
    [["network.host"], [], /EntitlementNotAllowed.* does not grant network\.host: add it/],
    [["network.host"], ["network.host"], /^$/],
    [["network.host", "security.insecure"], ["network.host"], /does not grant security\.insecure/],
    [["device=vendor.example/gpu"], ["device"], /^$/],
    [["device"], ["network.host"], /does not grant device/],
  ];
  for (const [asked, granted = [], says] of entitlements) {
    it(`${asked.join(", ")} of a Builder that grants ${granted.join(", ") || "nothing"}`, () => {
      const run = aRun();
      const { request, needs } = planOf(run);
      const plan = { request: { ...request, entitlements: asked }, needs };
      const allow = aBuilderWith({ allow: { entitlements: granted } }).spec?.allow;
      assert.ok(allow !== undefined);
      const failure = forbidden({ run, plan, allow, builder: "Builder" });
      assert.match(failure === undefined ? "" : `${failure.reason} ${failure.message}`, says);
    });
  }

  it("is asked before the Builder is woken, and ends the run", () => {
    const builder = aBuilderWith({ allow: { namespaces: [] } });
    const notReady = { reason: "Starting", message: "Wait." };
    const step = decide(aWorld({ builder: { ...builder, notReady } }));
    assert.equal(step.kind, "reject");
  });
});

describe("a Builder with defaultLoad", () => {
  it("takes no run whose result goes nowhere", () => {
    assert.match(
      said({}, {}, { defaultLoad: true }),
      /^User NoEngineToLoad: Builder "default" has defaultLoad, .* names an output/,
    );
  });

  it("takes a run with an output", () => {
    assert.equal(said(image(shop), {}, { defaultLoad: true }), "");
  });
});

describe("the frontend that a Dockerfile names", () => {
  const texts: readonly (readonly [what: string, text: string, is: string | undefined])[] = [
    ["none", "FROM scratch", undefined],
    ["in the first line", "# syntax=a/b:1\nFROM scratch", "a/b:1"],
    ["without spaces", "#syntax=a/b", "a/b"],
    ["with many", "#   SyNtAx   =   a/b   c d  \r\nFROM x", "a/b"],
    ["after another directive", "# escape=`\n# check=skip=all\n# syntax=a/b", "a/b"],
    ["not after a comment", "# hello\n# syntax=a/b", undefined],
    ["not after an empty line", "\n# syntax=a/b", undefined],
    ["not after an unknown directive", "# foo=bar\n# syntax=a/b", undefined],
    ["after a mark of byte order", "\uFEFF# syntax=a/b", "a/b"],
    ["after a shebang", "#!/usr/bin/env docker\n# syntax=a/b", "a/b"],
    ["as in C", "// syntax=a/b\nthings", "a/b"],
    ["in JSON", '{"syntax": "a/b", "x": 1}', "a/b"],
    ["not in what only looks like JSON", '{"syntax": "a/b"', undefined],
  ];
  for (const [what, text, is] of texts) it(what, () => assert.equal(syntaxOf(text), is));
});

describe("loadBalance", () => {
  const keys = (loadBalance: "Sticky" | "Random"): Set<string> => {
    const { spec } = aBuilderWith({ kubernetes: { loadBalance } });
    const runs = ["a", "b", "c"].map((uid) => aRun({ metadata: { uid, name: uid } }));
    return new Set(runs.map((run) => affinityOf(run, spec)));
  };

  it("Sticky sends runs of one source after each other", () =>
    assert.equal(keys("Sticky").size, 1));
  it("Random draws for every run", () => assert.equal(keys("Random").size, 3));
});
