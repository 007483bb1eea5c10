// Runs of several platforms that no instance builds for alone: how they are split, and what becomes of their parts.

import assert from "node:assert/strict";
import fc from "fast-check";
import { parseBuildRun } from "../../../src/api/parse.ts";
import type { BuildRun } from "../../../src/api/v1alpha1/index.ts";
import { decide } from "../../../src/buildrun/reconcile/decide.ts";
import type { PartView } from "../../../src/buildrun/parts/decide-parts.ts";
import { partRun, partsOf, unmakable, unsplittable } from "../../../src/buildrun/parts/split.ts";
import { planOf } from "../../../src/buildrun/plan/plan.ts";
import { cover } from "../../../src/placement/cover.ts";
import { mergedIndex } from "../../../src/registry/merge.ts";
import { aBuilderView, anInstance, aRun, at, aWorld, builderRef } from "./fixture.ts";

const both = ["linux/amd64", "linux/arm64"];
const output = (over: Record<string, unknown> = {}) => ({
  outputs: [
    {
      image: { tags: ["registry.example:5000/a/web:1", "registry.example:5000/a/web:2"], ...over },
    },
  ],
});

describe("parts on Docker engines", () => {
  const old = { containerdStore: false };
  const cases: readonly (readonly [string, object[], RegExp | undefined])[] = [
    ["are refused when only an engine has the platform", [{ id: "e", engine: old }], /of e, which/],
    [
      "are taken by engines with containerd's store",
      [{ engine: { containerdStore: true } }],
      undefined,
    ],
    ["are taken by others beside it", [{ id: "e", engine: old }, { id: "b" }], undefined],
    ["wait for what is not there yet", [{ platforms: [] }], undefined],
  ];
  for (const [what, list, says] of cases) {
    it(what, () => {
      const instances = list.map((over) => anInstance({ platforms: ["linux/amd64"], ...over }));
      const plan = planOf(aRun({ spec: { platforms: both, ...output() } }));
      const failure = unmakable(plan, [["linux/amd64"]], instances);
      if (says === undefined) assert.equal(failure, undefined);
      else assert.match(failure?.message ?? "", says);
    });
  }

  const asked: readonly (readonly [string, object, string[], RegExp | undefined])[] = [
    ["push", output(), ["linux/amd64"], /so cannot push:/],
    [
      "build for several platforms",
      {},
      ["linux/amd64", "linux/386"],
      /so cannot build for several/,
    ],
    [
      "export cache",
      { cache: { to: [{ registry: { ref: "r/c" } }] } },
      ["linux/amd64"],
      /cannot export/,
    ],
    ["do what it can", {}, ["linux/amd64"], undefined],
  ];
  for (const [what, spec, group, says] of asked) {
    it(`of the older store are judged by what they are to ${what}`, () => {
      const engines = [anInstance({ id: "e", engine: old, platforms: group })];
      const plan = planOf(aRun({ spec: { platforms: [...group, "linux/arm64"], ...spec } }));
      const message = unmakable(plan, [group, ["linux/arm64"]], engines)?.message;
      if (says === undefined) assert.equal(message, undefined);
      else assert.match(message ?? "", says);
    });
  }
});

describe("the cover of platforms by instances", () => {
  const of = (...lists: (readonly string[])[]) =>
    lists.map((platforms, index) => anInstance({ id: `i-${index}`, platforms }));
  const cases: readonly (readonly [string, ReturnType<typeof of>, unknown])[] = [
    ["nothing when one has all", of(["linux/amd64"], both), undefined],
    ["nothing when one is missing everywhere", of(["linux/amd64"]), undefined],
    ["one group each", of(["linux/arm64"], ["linux/amd64"]), [["linux/arm64"], ["linux/amd64"]]],
  ];
  for (const [name, instances, expected] of cases)
    it(`is ${name}`, () => assert.deepEqual(cover(both, instances), expected));

  it("knows platforms by their other names, and waits for what is not ready", () => {
    const instances = [
      anInstance({ id: "a", platforms: ["linux/amd64"] }),
      anInstance({ id: "b", platforms: ["linux/arm64/v8"], ready: false }),
      anInstance({ id: "c", platforms: both, terminating: true }),
    ];
    assert.deepEqual(cover(both, instances), [["linux/amd64"], ["linux/arm64"]]);
  });

  it("has every platform in exactly one group, and an instance for each", () => {
    const platform = fc.constantFrom("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x");
    const some = fc.uniqueArray(platform, { minLength: 1 });
    fc.assert(
      fc.property(some, fc.array(some, { maxLength: 5 }), (wanted, lists) => {
        const groups = cover(wanted, of(...lists));
        if (groups === undefined) {
          const all = new Set(lists.flat());
          const alone = lists.some((list) =>
            wanted.every((one) => (list as readonly string[]).includes(one)),
          );
          assert.ok(alone || wanted.some((one) => !all.has(one)));
          return;
        }
        assert.deepEqual(groups.flat().toSorted(), wanted.toSorted());
        for (const group of groups)
          assert.ok(
            lists.some((list) => group.every((one) => (list as readonly string[]).includes(one))),
          );
      }),
    );
  });
});

describe("a part of a run", () => {
  const spec = {
    platforms: both,
    ...output({
      annotations: [
        { name: "i", value: "1", level: "index" },
        { name: "m", value: "2" },
      ],
    }),
    cache: {
      from: [{ registry: { ref: "registry.example:5000/a/web:cache" } }],
      to: [{ registry: { ref: "registry.example:5000/a/web" } }],
    },
    ttlAfterFinished: "1h",
  };
  const run = aRun({
    spec,
    metadata: { name: `${"long.".repeat(12)}ab`, labels: { team: "shop" } },
  });
  const [part, other] = partsOf(run, [["linux/amd64"], ["linux/arm64"]]);
  assert.ok(part !== undefined && other !== undefined);

  it("has a name of its own that the API server takes", () => {
    assert.notEqual(part.run, other.run);
    for (const { run: name } of [part, other])
      assert.match(
        name,
        /^(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/,
      );
  });

  it("pushes by digest into the same repositories, and caches for its platform", () => {
    const made = parseBuildRun(partRun(run, other, builderRef));
    const image = made.spec.outputs[0]?.image;
    assert.deepEqual(image?.tags, ["registry.example:5000/a/web"]);
    assert.equal(image.pushByDigest, true);
    assert.deepEqual(
      image.annotations.map(({ name }) => name),
      ["m"],
    );
    assert.deepEqual(made.spec.platforms, ["linux/arm64"]);
    assert.deepEqual(
      made.spec.cache.from.map(({ registry }) => registry?.ref),
      ["registry.example:5000/a/web:cache-linux-arm64", "registry.example:5000/a/web:cache"],
    );
    assert.equal(
      made.spec.cache.to[0]?.registry?.ref,
      "registry.example:5000/a/web:latest-linux-arm64",
    );
    assert.equal(made.spec.ttlAfterFinished, undefined);
    assert.equal(made.metadata.ownerReferences?.[0]?.uid, run.metadata.uid);
    assert.equal(made.metadata.labels?.["team"], "shop");
    assert.ok("request" in planOf(made));
  });

  const names: readonly (readonly [string, object, object])[] = [
    ["registry", { ref: "r.example/a:c" }, { ref: "r.example/a:c-linux-arm64" }],
    [
      "s3",
      { bucket: "caches", region: "r", names: ["main", "x"] },
      { names: ["main-linux-arm64", "x-linux-arm64"] },
    ],
    ["azblob", { accountUrl: "https://a.example" }, { names: ["buildkit-linux-arm64"] }],
    [
      "gha",
      { url: "https://a.example", credentials: { secretRef: { name: "s" } } },
      { scope: "buildkit-linux-arm64" },
    ],
    ["local", { name: "main" }, { tag: "latest-linux-arm64" }],
    ["local", { name: "main", tag: "t".repeat(128) }, { tag: `${"t".repeat(116)}-linux-arm64` }],
  ];
  for (const [kind, cache, own] of names)
    it(`has a cache of its own of kind ${kind}, and reads the other after it`, () => {
      const list = [{ [kind]: cache }] as never;
      const whole = aRun({ spec: { ...spec, cache: { from: list, to: list } } });
      const { from, to } = parseBuildRun(partRun(whole, other, builderRef)).spec.cache;
      assert.partialDeepStrictEqual(to, [{ [kind]: own }]);
      assert.equal(from.length, 2);
      assert.partialDeepStrictEqual(from, [{ [kind]: own }, { [kind]: cache }]);
    });

  it("has no more imports than the API server takes", () => {
    const from = Array.from({ length: 16 }, (_, index) => ({ local: { name: `n${index}` } }));
    const whole = aRun({ spec: { ...spec, cache: { from, to: [{ inline: {} }] } } });
    const { cache } = parseBuildRun(partRun(whole, other, builderRef)).spec;
    assert.equal(cache.from.length, 16);
    assert.deepEqual(cache.to, [{ inline: {} }]);
  });

  const secretRef = { name: "keys" };
  const bucket = { bucket: "builds", region: "r", credentials: { secretRef } };
  const s3 = (key: string) => ({ s3: { ...bucket, key } });
  const claim = (path: string) => ({ persistentVolumeClaim: { claimName: "c", path } });
  const artifact = (ref: string) => ({ artifact: { ref, insecure: false } });
  const places: readonly (readonly [string, "tar" | "local", object, object])[] = [
    ["an object", "tar", s3("a/web.tar"), s3("a/web-linux-arm64.tar")],
    ["an object without an ending", "tar", s3("a/web"), s3("a/web-linux-arm64")],
    ["objects", "local", s3("a/"), s3("a/linux_arm64/")],
    ["a file of a volume", "tar", claim("a/web.tar"), claim("a/web-linux-arm64.tar")],
    ["a folder of a volume", "local", claim("a/web"), claim("a/web/linux_arm64")],
    [
      "an artifact",
      "local",
      artifact("r.example:5000/a:1"),
      artifact("r.example:5000/a:1-linux-arm64"),
    ],
    [
      "an artifact with the longest tag",
      "tar",
      artifact(`r.example:5000/a:${"t".repeat(128)}`),
      artifact(`r.example:5000/a:${"t".repeat(116)}-linux-arm64`),
    ],
    [
      "a ConfigMap",
      "local",
      { configMap: { name: "web" } },
      { configMap: { name: "web-linux-arm64", key: "output.tar" } },
    ],
  ];
  for (const [what, kind, to, own] of places)
    it(`leaves files in ${what} of its own`, () => {
      const outputs = [{ [kind]: { to } }] as never;
      const whole = aRun({ spec: { ...spec, outputs } });
      assert.equal(unsplittable(whole), undefined);
      const [made] = parseBuildRun(partRun(whole, other, builderRef)).spec.outputs;
      assert.partialDeepStrictEqual(made?.[kind]?.to, own);
    });

  it("can not keep an image that is not pushed", () => {
    assert.equal(unsplittable(run), undefined);
    assert.equal(
      unsplittable(aRun({ spec: output({ push: false }) }))?.reason,
      "OutputNotSplittable",
    );
  });
});

describe("what becomes of parts", () => {
  const run = aRun({
    spec: { platforms: both, ...output() },
    status: { startTime: at(1).toISOString() },
  });
  const [first, second] = partsOf(
    run,
    both.map((one) => [one]),
  );
  assert.ok(first !== undefined && second !== undefined);
  const view = (part: typeof first, status?: Record<string, unknown>, spec = {}): PartView => {
    const made = partRun(run, part, builderRef);
    const found = parseBuildRun({
      ...made,
      spec: { ...made.spec, ...spec },
      ...(status && { status }),
    });
    return { ...part, found };
  };
  const running = { phase: "Running" };
  const ended = (phase: string, more = {}) => ({
    phase,
    completionTime: at(9).toISOString(),
    ...more,
  });
  const step = (parts: readonly PartView[], over: Partial<BuildRun["spec"]> = {}, seconds = 5) =>
    decide(aWorld({ run: { ...run, spec: { ...run.spec, ...over } }, parts, now: at(seconds) }));

  it("splits a run that could start, and refuses one that can't be split", () => {
    const world = { builder: aBuilderView(), groups: both.map((one) => [one]) };
    assert.equal(decide(aWorld({ ...world, run })).kind, "split");
    const kept = aRun({ spec: { platforms: both, ...output({ push: false }) } });
    assert.partialDeepStrictEqual(decide(aWorld({ ...world, run: kept })), {
      kind: "reject",
      failure: { reason: "OutputNotSplittable" },
    });
  });

  const cases: readonly (readonly [string, () => readonly PartView[], string])[] = [
    ["creates those that are not there", () => [view(first), { ...second }], "spawn"],
    ["follows those that run", () => [view(first, running), view(second)], "follow"],
    [
      "lets one go on when another failed",
      () => [view(first, ended("Failed")), view(second, running)],
      "follow",
    ],
    [
      "puts all together",
      () => [view(first, ended("Succeeded")), view(second, ended("Succeeded"))],
      "merge",
    ],
    [
      "fails with the one that failed",
      () => [view(first, ended("Succeeded")), view(second, ended("Failed"))],
      "reject",
    ],
  ];
  for (const [name, parts, kind] of cases) it(name, () => assert.equal(step(parts()).kind, kind));

  it("cancels those that run, waits for their end, and ends", () => {
    const cancel = { cancel: true };
    assert.equal(step([view(first, running), view(second, ended("Failed"))], cancel).kind, "halt");
    assert.equal(step([view(first, running, cancel), { ...second }], cancel).kind, "follow");
    const over = [view(first, ended("Cancelled")), { ...second }];
    assert.partialDeepStrictEqual(step(over, cancel), { kind: "reject", result: "Cancelled" });
  });

  it("ends at the run's timeout", () => {
    const late = 3600 + 10;
    assert.equal(step([view(first, running), view(second, running)], {}, late).kind, "halt");
    const over = [view(first, ended("Cancelled")), view(second, ended("Cancelled"))];
    assert.partialDeepStrictEqual(step(over, {}, late), {
      kind: "reject",
      failure: { reason: "Timeout" },
    });
  });
});

describe("the index of several images", () => {
  const manifest = (name: string) => ({
    body: Buffer.from(JSON.stringify({ schemaVersion: 2, config: { digest: name } })),
    digest: `sha256:${name}`,
    type: "application/vnd.oci.image.manifest.v1+json",
  });
  const attestation = {
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    digest: "sha256:att",
    size: 7,
    platform: { os: "unknown", architecture: "unknown" },
    annotations: { "vnd.docker.reference.digest": "sha256:b" },
  };

  it("keeps attestations, and says the platform of a single manifest", () => {
    const image = {
      ...attestation,
      digest: "sha256:b",
      platform: { os: "linux", architecture: "arm64" },
    };
    const index = {
      body: Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [image, attestation] })),
      digest: "sha256:i",
      type: "application/vnd.oci.image.index.v1+json",
    };
    const { entries, type, body, digest } = mergedIndex(
      [
        { ...manifest("a"), platform: "linux/arm/v7" },
        { ...index, platform: "linux/arm64" },
      ],
      { descriptor: (platform) => (platform === "linux/arm64" ? { x: "1" } : {}) },
    );
    assert.equal(type, index.type);
    assert.match(digest, /^sha256:[0-9a-f]{64}$/);
    assert.deepEqual((JSON.parse(body.toString()) as { manifests: unknown }).manifests, entries);
    assert.deepEqual(entries, [
      {
        mediaType: manifest("a").type,
        digest: "sha256:a",
        size: manifest("a").body.length,
        platform: { os: "linux", architecture: "arm", variant: "v7" },
      },
      { ...image, annotations: { ...image.annotations, x: "1" } },
      attestation,
    ]);
  });

  it("is a manifest list of Docker when all that is in it is of Docker", () => {
    const type = "application/vnd.docker.distribution.manifest.v2+json";
    const part = { ...manifest("a"), type, platform: "linux/amd64" };
    assert.match(mergedIndex([part]).type, /manifest\.list/);
    assert.match(mergedIndex([part], { index: { a: "b" } }).type, /oci\.image\.index/);
  });
});
