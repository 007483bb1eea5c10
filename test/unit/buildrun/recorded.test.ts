// Every recorded line of buildx against the BuildRun that says the same: equal requests, field by field, but for the
// differences that buildx-differences.ts explains.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { create, type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { wireRequest } from "../../../src/buildkit/control/request.ts";
import { withBuilderId } from "../../../src/buildrun/plan/attest-attrs.ts";
import { planOf } from "../../../src/buildrun/plan/plan.ts";
import { SolveRequestSchema } from "../../../src/gen/moby/buildkit/v1/control_pb.ts";
import { versionOf } from "../../cluster/base/binaries.ts";
import { type BuildxCase, buildxCases, lineOf } from "./buildx-cases.ts";
import { type Difference, explained } from "./buildx-differences.ts";
import { differencesOf, flat, sorted } from "./request-fields.ts";
import { aRun } from "./fixture.ts";

const folder = new URL("recorded/", import.meta.url);

interface Recording {
  readonly buildx: string;
  readonly line: readonly string[];
  readonly control: JsonObject;
  readonly bridge: JsonObject;
}

function recordingOf(name: string): Recording {
  return JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8")) as Recording;
}

/** Both requests of buildx as the one that Kiln makes: the frontend is named in the second. */
function asOne({ control, bridge }: Recording): JsonObject {
  return {
    ...control,
    frontend: bridge["frontend"] ?? "",
    frontendAttrs: bridge["frontendOpt"] ?? {},
  };
}

function requestOf({ spec }: BuildxCase): JsonObject {
  const files = { context: { configMap: { name: "files" } }, dockerfile: { path: "Dockerfile" } };
  const given = spec.dockerfile?.inline === undefined ? files : { context: files.context };
  const { request } = planOf(aRun({ spec: { ...given, ...spec } }));
  const frontendAttrs = withBuilderId(request.frontendAttrs, "kiln:builder");
  const wire = wireRequest({ ...request, frontendAttrs, ref: "<ref>" }, "<session>");
  return toJson(SolveRequestSchema, create(SolveRequestSchema, wire)) as JsonObject;
}

function expectedIn(name: string): readonly Difference[] {
  return explained
    .filter(({ only, except }) => only?.includes(name) ?? except?.includes(name) !== true)
    .flatMap(({ differences }) => differences);
}

/** What is asked instead of a build is said to the frontend only. */
function withoutQuestion(attrs: JsonValue | undefined): JsonObject {
  const { requestid, "frontend.caps": caps, ...rest } = (attrs ?? {}) as JsonObject;
  return requestid === undefined && caps !== undefined ? { ...rest, "frontend.caps": caps } : rest;
}

describe("the requests of docker buildx build", () => {
  it("are recorded for each line of the table, and for no other", () => {
    const recorded = readdirSync(folder).map((file) => file.replace(/\.json$/, ""));
    assert.deepEqual(recorded.toSorted(), buildxCases.map(({ name }) => name).toSorted());
  });

  for (const line of buildxCases)
    it(`are those of the BuildRun, but for what is explained: ${line.name}`, () => {
      const recording = recordingOf(line.name);
      assert.deepEqual(recording.line, lineOf(line), "record it again: the line has changed");
      assert.equal(recording.buildx, versionOf("buildx"), "record it again: buildx has changed");
      assert.deepEqual(
        sorted(differencesOf(flat(asOne(recording)), flat(requestOf(line)))),
        sorted(expectedIn(line.name)),
      );
    });

  it("say the same to the frontend and to the daemon", () => {
    for (const { name } of buildxCases) {
      const { control, bridge } = recordingOf(name);
      const { frontend, frontendOpt, ...rest } = bridge;
      assert.ok(frontend, name);
      assert.equal(control["frontend"], undefined, name);
      assert.deepEqual(control["frontendAttrs"], withoutQuestion(frontendOpt), name);
      assert.deepEqual(rest, { allowResultArrayRef: true, allowResultReturn: true }, name);
    }
  });

  it("differ in nothing that docs/buildrun.md does not tell", () => {
    const page = readFileSync(new URL("../../../docs/buildrun.md", import.meta.url), "utf8");
    const section = page.split("### Where the requests differ")[1]?.split("\n## ")[0] ?? "";
    const told = [...section.matchAll(/^\| ([^|]+) \|/gm)].map(([, title = ""]) => title);
    const titles = explained.map(({ title }) => title);
    assert.deepEqual(new Set(told.slice(1)), new Set(titles));
    for (const { only, except } of explained)
      for (const name of [...(only ?? []), ...(except ?? [])])
        assert.ok(
          buildxCases.some((line) => line.name === name),
          `no line ${name}`,
        );
  });

  it("are recorded for every flag that has a field", () => {
    const page = readFileSync(new URL("../../../docs/buildrun.md", import.meta.url), "utf8");
    const rows = [...page.matchAll(/^\| `(--[a-z-]+)` \| (.+) \|$/gm)];
    // The builder is chosen, not asked for.
    const flags = rows.filter(
      ([, flag, field = ""]) => flag !== "--builder" && /^`(?!status)/.test(field),
    );
    const words = buildxCases.flatMap(({ flags: used }) => used.map((word) => word.split("=")[0]));
    const missing = flags.map(([, flag]) => flag).filter((flag) => !words.includes(flag ?? ""));
    assert.deepEqual(missing, []);
    assert.ok(flags.length > 20, "the table of flags is not where it was");
  });
});
