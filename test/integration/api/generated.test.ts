// Specs made from the schema, against a real API server: what it takes has a plan or ends with a sentence that names the
// field, and what has a mistake is refused with the field of it.

import assert from "node:assert/strict";
import fc from "fast-check";
import { parseBuildRun } from "../../../src/api/parse.ts";
import type { BuildRun } from "../../../src/api/v1alpha1/index.ts";
import { decide } from "../../../src/buildrun/reconcile/decide.ts";
import { planOf } from "../../../src/buildrun/plan/plan.ts";
import { nextStatus } from "../../../src/buildrun/status/status.ts";
import { failureOf } from "../../../src/buildrun/status/failure.ts";
import { KilnError } from "../../../src/errors/index.ts";
import { aWorld } from "../../unit/buildrun/fixture.ts";
import { anySpec, type Mistake, mistakes } from "../../unit/buildrun/spec-arbitrary.ts";
import { type Answer, apiServer, pathOf, type Send } from "./server.ts";

const count = 500;
/** Requests at once: the rest of the time would be spent waiting. */
const batch = 20;

async function inBatches<T>(all: readonly T[], one: (value: T) => Promise<void>): Promise<void> {
  for (let from = 0; from < all.length; from += batch)
    await Promise.all(all.slice(from, from + batch).map(one));
}

describe("generated specs and a real API server", () => {
  let send: Send;
  before(async () => ({ send } = await apiServer()));

  const offer = (spec: unknown): Promise<Answer> =>
    send("POST", `${pathOf("buildruns", "default")}?dryRun=All`, {
      apiVersion: "kiln.build/v1alpha1",
      kind: "BuildRun",
      metadata: { name: "generated" },
      spec,
    });

  /** The end of a run that has no plan; undefined when it has one. */
  function refusal(run: BuildRun): ReturnType<typeof nextStatus> {
    try {
      planOf(run);
      return undefined;
    } catch (error) {
      assert.ok(error instanceof KilnError, String(error));
      const step = decide(aWorld({ run, plan: failureOf(error) }));
      assert.equal(step.kind, "reject");
      return nextStatus(
        run,
        { kind: "ended", result: "Failed", failure: failureOf(error) },
        new Date(),
      );
    }
  }

  function endsStalled(run: BuildRun): boolean {
    const status = refusal(run);
    if (status === undefined) return false;
    const stalled = status.conditions?.find(({ type }) => type === "Stalled");
    assert.equal(stalled?.status, "True");
    assert.match(stalled.message, /\bspec\.\w+/, "the field is named");
    return true;
  }

  it(`plans what is taken of ${count} specs, or ends it Stalled with the field`, async () => {
    let taken = 0;
    await inBatches(fc.sample(anySpec, { numRuns: count, seed: 6 }), async (spec) => {
      const { status, body } = await offer(spec);
      if (status !== 201) {
        // Only rules over several fields are left, and those name one.
        assert.equal(status, 422, body.message);
        assert.match(body.message, /spec/, body.message);
        return;
      }
      taken += 1;
      endsStalled(parseBuildRun(body));
    });
    assert.ok(taken > count / 10, `${taken} were taken`);
  });

  it(`refuses ${count} specs with one mistake each, and names the field`, async () => {
    await inBatches(fc.sample(mistakes, { numRuns: count, seed: 6 }), async (mistake) => {
      const { status, body } = await offer(mistake.spec);
      if (status === 201) {
        assert.ok(endsStalled(parseBuildRun(body)), `taken: ${JSON.stringify(mistake)}`);
        return;
      }
      assert.ok(status === 422 || status === 400, `${status} ${String(body.message)}`);
      assert.ok(names(mistake, String(body.message)), `${mistake.path}: ${String(body.message)}`);
    });
  });
});

/** Whether a refusal names the field, or the object or list that it is in. */
function names({ path }: Mistake, message: string): boolean {
  const parts = path.split(/\.(?=\w)/);
  return parts.some((_, index) =>
    message.includes(`spec.${parts.slice(0, parts.length - index).join(".")}`),
  );
}
