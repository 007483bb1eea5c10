// The requests of a Bake's BuildRuns against those that the real `docker buildx bake` sends for the same targets, field by
// field, but for differences that are named here. scripts/record-bake.ts records them.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { create, type JsonObject, toJson } from "@bufbuild/protobuf";
import { parseBuildRun } from "../../../src/api/parse.ts";
import type { BakeSpecInput } from "../../../src/api/v1alpha1/index.ts";
import { readBakeText } from "../../../src/bake/file/document.ts";
import { planBake } from "../../../src/bake/plan/plan.ts";
import { wireRequest } from "../../../src/buildkit/control/request.ts";
import { withBuilderId } from "../../../src/buildrun/plan/attest-attrs.ts";
import { planOf } from "../../../src/buildrun/plan/plan.ts";
import { SolveRequestSchema } from "../../../src/gen/moby/buildkit/v1/control_pb.ts";
import { versionOf } from "../../cluster/base/binaries.ts";
import type { Difference } from "../buildrun/buildx-differences.ts";
import { differencesOf, flat, sorted } from "../buildrun/request-fields.ts";
import { requestTargets } from "./bake-cases.ts";
import { aBake } from "./fixture.ts";

const folder = new URL("recorded/", import.meta.url);
const secretRef = { name: "keys" };
const secretKeyRef = { name: "keys", key: "token" };

/** What stands for the workstation of the recording. A ConfigMap compares to its folder. */
const spec: Partial<BakeSpecInput> = {
  context: { configMap: { name: "files" } },
  secrets: [{ id: "npm", secretKeyRef }],
  ssh: [{ id: "default", secretRef }],
  places: ["./image.tar", "./out"].map((dest) => ({
    dest,
    to: { artifact: { ref: "registry.example/files:1" } },
  })),
  intermediates: { repository: "registry.example/intermediates" },
};

interface Recording {
  readonly buildx: string;
  readonly control: readonly JsonObject[];
  readonly bridge: readonly JsonObject[];
}

function recordingOf(name: string): Recording {
  return JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8")) as Recording;
}

/** The request for a target; the last of buildx's, which solves first what a target builds from. */
function theirs(name: string): JsonObject {
  const { control, bridge } = recordingOf(name);
  const { frontend = "", frontendOpt = {} } = bridge.at(-1) ?? {};
  const frontendAttrs = Object.fromEntries(
    Object.entries(frontendOpt as JsonObject).map(([key, value]) => [
      key,
      key.startsWith("input-metadata:") ? "<config>" : value,
    ]),
  );
  return { ...control.at(-1), frontend, frontendAttrs };
}

function ours(name: string): JsonObject {
  const text = readFileSync(new URL("printed/requests.json", import.meta.url), "utf8");
  const { targets } = planBake(aBake({ spec: { ...spec, targets: [name] } }), readBakeText(text));
  const last = targets.at(-1);
  const run = parseBuildRun({
    apiVersion: "kiln.build/v1alpha1",
    kind: "BuildRun",
    metadata: { name: last?.run, namespace: "shop" },
    spec: last?.spec,
  });
  const { request } = planOf(run);
  const frontendAttrs = withBuilderId(request.frontendAttrs, "kiln:builder");
  const wire = wireRequest({ ...request, frontendAttrs, ref: "<ref>" }, "<session>");
  return toJson(SolveRequestSchema, create(SolveRequestSchema, wire)) as JsonObject;
}

interface Explained {
  readonly title: string;
  readonly differences: readonly Difference[];
  readonly only?: readonly string[];
  readonly except?: readonly string[];
}

const provenance = "frontendAttrs.attest:provenance";
const place = JSON.stringify({
  ...{ kind: "artifact", ref: "registry.example/files:1", insecure: false },
});

/** What docs/bake.md tells under the same titles. */
const explained: readonly Explained[] = [
  {
    title: "ids of cache mounts",
    differences: [
      { path: "frontendAttrs.build-arg:BUILDKIT_CACHE_MOUNT_NS", kiln: "shop/default" },
    ],
  },
  {
    title: "provenance by default",
    differences: [
      { path: provenance, buildx: "" },
      { path: `${provenance}.mode`, buildx: "min" },
      { path: `${provenance}.inline-only`, buildx: "true" },
    ],
    except: ["attest", "attest-none"],
  },
  {
    title: "id of the builder",
    differences: [{ path: `${provenance}.builder-id`, kiln: "kiln:builder" }],
    only: ["attest"],
  },
  {
    title: "type of an attestation",
    differences: [
      { path: `${provenance}.type`, buildx: "provenance" },
      { path: "frontendAttrs.attest:sbom.type", buildx: "sbom" },
    ],
    only: ["attest"],
  },
  {
    title: "a right twice",
    differences: [{ path: "entitlements.2", buildx: "network.host" }],
    only: ["steps"],
  },
  {
    title: "no unpacking",
    differences: [{ path: "exporters.0.attrs.unpack", buildx: "false" }],
    only: ["push"],
  },
  {
    title: "level of an annotation",
    differences: [
      { path: "exporters.0.attrs.annotation.org.example.x", buildx: "y=z" },
      { path: "exporters.0.attrs.annotation-manifest.org.example.x", kiln: "y=z" },
    ],
    only: ["image"],
  },
  {
    title: "place of files",
    differences: [
      { path: "exporters.0.attrs.tar", buildx: "true" },
      { path: "exporters.0.attrs.dest", kiln: place },
      { path: "exporters.1.attrs.dest", kiln: place },
    ],
    only: ["files"],
  },
  {
    title: "questions",
    differences: [{ path: "internal", buildx: "true" }],
    only: ["check"],
  },
  {
    title: "images of target: contexts",
    differences: [
      {
        path: "frontendAttrs.context:base",
        buildx: "input:0-base",
        kiln: "buildrun://shop-base-6f0c0a52-33b413",
      },
      { path: "frontendAttrs.input-metadata:0-base", buildx: "<config>" },
      { path: "frontendAttrs.local-sessionid:context", buildx: "<session>" },
    ],
    only: ["linked"],
  },
];

function expectedIn(name: string): readonly Difference[] {
  return explained
    .filter(({ only, except }) => only?.includes(name) ?? except?.includes(name) !== true)
    .flatMap(({ differences }) => differences);
}

describe("the requests of docker buildx bake", () => {
  it("are recorded for each target, and for no other", () => {
    const recorded = readdirSync(folder).map((file) => file.replace(/\.json$/, ""));
    assert.deepEqual(new Set(recorded), new Set(requestTargets));
  });

  it("differ in nothing that docs/bake.md does not tell", () => {
    const page = readFileSync(new URL("../../../docs/bake.md", import.meta.url), "utf8");
    const section = page.split("## Where the requests differ")[1]?.split("\n## ")[0] ?? "";
    const told = [...section.matchAll(/^\| ([^|]+) \|/gm)].map(([, title = ""]) => title);
    assert.deepEqual(new Set(told.slice(1)), new Set(explained.map(({ title }) => title)));
  });

  for (const name of requestTargets)
    it(`are those of its BuildRun, but for what is explained: ${name}`, () => {
      assert.equal(recordingOf(name).buildx, versionOf("buildx"), "record it again");
      assert.deepEqual(
        sorted(differencesOf(flat(theirs(name)), flat(ours(name)))),
        sorted(expectedIn(name)),
      );
    });
});
