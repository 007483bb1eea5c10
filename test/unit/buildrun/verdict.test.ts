// Solves that went well and runs that fail all the same.

import assert from "node:assert/strict";
import type { CallFacts, SolveFacts } from "../../../src/agent/agent.ts";
import { authorOf } from "../../../src/agent/facts/look-back.ts";
import { objection } from "../../../src/buildrun/reconcile/verdict.ts";
import { decide } from "../../../src/buildrun/reconcile/decide.ts";
import { aRunningRun, at, aWorld, finished } from "./fixture.ts";

const digest = `sha256:${"a".repeat(64)}`;
const other = `sha256:${"b".repeat(64)}`;

function pushed(found: string | undefined): SolveFacts {
  const readBack = [
    {
      tag: "registry.example/a:1",
      ...(found === undefined ? { message: "no" } : { digest: found }),
    },
  ];
  return { images: [{ digest, platforms: [], readBack }], baseImages: [] };
}

function asked(over: Partial<CallFacts>): SolveFacts {
  const call = { request: "frontend.lint", version: "1", statusCode: 1, cut: false, ...over };
  return { images: [], baseImages: [], call };
}

const cases: readonly (readonly [string, SolveFacts, string | undefined])[] = [
  ["the registry shows what was pushed", pushed(digest), undefined],
  ["the registry can not be asked", pushed(undefined), undefined],
  ["the registry shows another digest", pushed(other), "PushedTagDiffers"],
  ["the answer is fine", asked({ statusCode: 0 }), undefined],
  ["lint warns", asked({ lint: { warnings: [{ message: "a" }] } }), "LintViolation"],
  [
    "lint can not read the Dockerfile",
    asked({ lint: { warnings: [], error: { message: "unknown instruction" } } }),
    "DockerfileInvalid",
  ],
  ["another answer says so", asked({ request: "frontend.other" }), "CallFailed"],
];

describe("a solve that went well", () => {
  for (const [name, facts, reason] of cases)
    it(`${reason === undefined ? "ends its run well" : `fails with ${reason}`} when ${name}`, () => {
      assert.equal(objection(facts)?.reason, reason);
    });

  it("is repeated when the registry shows another digest, as long as retries are left", () => {
    const outcome = { kind: "succeeded", facts: pushed(other), finishedAt: "" } as const;
    const run = aRunningRun();
    const world = aWorld({ run, now: at(3), job: finished(outcome) });
    assert.equal(decide(world).kind, "retry");
    const last = aRunningRun({ spec: { retry: { limit: 0 } } });
    assert.partialDeepStrictEqual(decide({ ...world, run: last }), {
      kind: "finish",
      result: "Failed",
      attempt: { outcome: "Failed" },
      failure: { class: "Registry", reason: "PushedTagDiffers" },
    });
  });

  it("knows the author of a commit by its headers alone", () => {
    const commit =
      "tree 1\nauthor A B <a@b> 1700000000 +0100\ncommitter C <c@d> 1700000001 -0500\n\nauthor X <x> 1 +0000\n";
    assert.deepEqual(authorOf(commit), {
      author: "A B <a@b>",
      committedAt: "2023-11-14T22:13:21.000Z",
    });
    assert.deepEqual(authorOf(""), {});
  });
});
