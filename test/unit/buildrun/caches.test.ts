// What is said of the caches of a run, and where their credentials go.

import assert from "node:assert/strict";
import { withHidden } from "../../../src/agent/solve/hidden-attrs.ts";
import type { SolveEvent } from "../../../src/buildkit/index.ts";
import { planOf } from "../../../src/buildrun/plan/plan.ts";
import { forbidden } from "../../../src/buildrun/policy.ts";
import { cacheCondition, cacheOf } from "../../../src/buildrun/status/caches.ts";
import { fold, noProgress } from "../../../src/buildrun/status/progress.ts";
import { aBuilderWith, aRun } from "./fixture.ts";

const s3 = {
  bucket: "caches",
  region: "r",
  names: ["main"],
  credentials: { secretRef: { name: "bucket" } },
};

function vertex(digest: string, name: string, error?: string): SolveEvent {
  const times = { started: new Date(1), completed: new Date(2) };
  return {
    kind: "vertex",
    digest,
    name,
    inputs: [],
    cached: false,
    ...times,
    ...(error && { error }),
  };
}

function layer(digest: string, of: string): SolveEvent {
  const id = `writing layer sha256:${of}`;
  return { kind: "progress", vertex: digest, id, name: id, current: 0, total: 0 };
}

function progressOf(...events: SolveEvent[]) {
  return events.reduce(fold, noProgress);
}

const facts = { images: [], baseImages: [] };

describe("the report of a run's caches", () => {
  const run = aRun({
    spec: {
      cache: {
        from: [{ s3 }, { registry: { ref: "registry.example/a:cache" } }],
        to: [{ s3 }, { gha: { url: "https://c", credentials: { secretRef: { name: "w" } } } }],
      },
    },
  });

  it("names each by kind and place, and counts layers once", () => {
    const progress = progressOf(
      vertex("a", "importing cache manifest from s3:123"),
      vertex("b", "importing cache manifest from registry.example/a:cache", "gone"),
      vertex("c", "exporting cache to Amazon S3"),
      layer("c", "1"),
      layer("c", "1"),
      layer("c", "2"),
      layer("x", "3"),
      vertex("d", "exporting to GitHub Actions Cache", "no token"),
    );
    const { imports, exports } = cacheOf(run, progress, facts);
    const ref = "s3://caches/ (main)";
    assert.deepEqual(imports, [
      { type: "s3", ref, ok: true },
      { type: "registry", ref: "registry.example/a:cache", ok: false, message: "gone" },
    ]);
    assert.deepEqual(exports, [
      { type: "s3", ref, ok: true, layers: 2 },
      { type: "gha", ref: "buildkit", ok: false, message: "no token" },
    ]);
  });

  it("tells a failure of both where two exports have one name", () => {
    const two = aRun({ spec: { cache: { to: [{ s3 }, { s3: { ...s3, bucket: "other" } }] } } });
    const name = "exporting cache to Amazon S3";
    const progress = progressOf(vertex("a", name), vertex("b", name, "denied"));
    assert.deepEqual(
      cacheOf(two, progress, facts).exports?.map(({ ok }) => ok),
      [false, false],
    );
  });

  const condition = (...oks: boolean[]) =>
    cacheCondition({ exports: oks.map((ok) => ({ type: "s3", ref: "s3://a", ok })) });

  it("makes a condition of exports only", () => {
    assert.equal(condition(), undefined);
    assert.deepEqual(condition(true), {
      status: "True",
      reason: "Exported",
      message: "Wrote the cache to s3 s3://a.",
    });
    assert.equal(condition(true, false)?.reason, "ExportFailed");
  });
});

describe("the credentials of a cache", () => {
  it("stand in no plan, and join their own entry where the daemon is asked", () => {
    const registry = { registry: { ref: "registry.example/a:cache" } };
    const { request, needs } = planOf(aRun({ spec: { cache: { from: [registry, { s3 }] } } }));
    assert.deepEqual(
      needs.hidden.map(({ list, index, name }) => [list, index, name]),
      [["imports", 1, "bucket"]],
    );
    const attrs = { secret_access_key: "s" };
    const hidden = [{ list: "imports", index: 1, attrs }] as const;
    const filled = withHidden({ ...request, ref: "r" }, hidden);
    assert.deepEqual(filled.cacheImports[0], request.cacheImports[0]);
    assert.deepEqual(filled.cacheImports[1]?.attrs, {
      ...request.cacheImports[1]?.attrs,
      ...attrs,
    });
  });
});

describe("a list of repositories", () => {
  const allowed = (caches: { repositories: string[]; types?: string[] }) => {
    const { spec } = aBuilderWith({ kubernetes: {}, allow: { caches } });
    const run = aRun({ spec: { cache: { to: [{ s3 }] } } });
    assert.ok(spec !== undefined);
    return forbidden({ run, plan: planOf(run), allow: spec.allow, builder: 'Builder "a"' });
  };

  it("allows no bucket, unless its kind is listed", () => {
    assert.match(allowed({ repositories: ["a/*"] })?.message ?? "", /s3 is in none/);
    assert.equal(allowed({ repositories: ["a/*"], types: ["s3"] }), undefined);
  });
});
