// The checks before a run may take a slot: which one speaks first, and what it says to do.

import assert from "node:assert/strict";
import { admission, type Violation } from "../../../src/buildrun/reconcile/checks.ts";
import type { RunWorld } from "../../../src/buildrun/reconcile/world.ts";
import { aBuilderView, aFailure, aRun, aWorld } from "./fixture.ts";

const without = (world: RunWorld): RunWorld =>
  Object.fromEntries(
    Object.entries(world).filter(([key]) => key !== "builder"),
  ) as unknown as RunWorld;
const first = (world: RunWorld): Violation | undefined =>
  admission.map((check) => check(world)).find((violation) => violation !== undefined);

function sentence(violation: Violation | undefined): string {
  if (violation === undefined) return "";
  return violation.kind === "wait" ? violation.why.message : violation.failure.message;
}

const cases: readonly (readonly [string, RunWorld, RegExp])[] = [
  ["says nothing about a run that may start", aWorld(), /^$/],
  [
    "names both defaults when a run names no Builder",
    without(aWorld()),
    /no Builder "default" in namespace "shop" and no ClusterBuilder "default"; create one/,
  ],
  [
    "names the Builder that is missing and its namespace",
    without(aWorld({ run: aRun({ spec: { builderRef: { name: "big" } } }) })),
    /no Builder "big" in namespace "shop"; create it/,
  ],
  [
    "names the ClusterBuilder that is missing",
    without(
      aWorld({ run: aRun({ spec: { builderRef: { kind: "ClusterBuilder", name: "big" } } }) }),
    ),
    /no ClusterBuilder "big"; create it/,
  ],
  [
    "repeats what a Builder says is wrong with it",
    aWorld({
      builder: aBuilderView({
        notReady: { reason: "ImagePullFailed", message: "Check the image." },
      }),
    }),
    /Builder "default" is not ready \(ImagePullFailed\): Check the image\./,
  ],
  [
    "speaks of the spec before it speaks of the Builder",
    without(aWorld({ plan: aFailure({ message: "spec.context is wrong." }) })),
    /^spec.context is wrong/,
  ],
];

describe("the checks of a run", () => {
  for (const [name, world, message] of cases)
    it(name, () => assert.match(sentence(first(world)), message));
});
