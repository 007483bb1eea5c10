import assert from "node:assert/strict";
import { controlledBy, isControlledBy, keyOf, placeOf } from "../../../src/kube/object.ts";
import type { KubeObject } from "../../../src/kube/object.ts";

const owner: KubeObject = {
  apiVersion: "kiln.build/v1alpha1",
  kind: "Builder",
  metadata: { name: "main", namespace: "shop", uid: "u-1" },
};

describe("keys", () => {
  for (const place of [{ namespace: "shop", name: "main" }, { name: "main" }]) {
    it(`of ${JSON.stringify(place)} lead back to it`, () => {
      assert.deepEqual(placeOf(keyOf(place)), place);
    });
  }
});

describe("controlledBy", () => {
  it("names the owner so that it is known again, by uid", () => {
    const metadata = { name: "main-0", ownerReferences: [controlledBy(owner)] };
    const pod = { apiVersion: "v1", kind: "Pod", metadata };
    assert.equal(isControlledBy(pod, owner), true);
    const namesake = { ...owner, metadata: { ...owner.metadata, uid: "u-2" } };
    assert.equal(isControlledBy(pod, namesake), false);
  });

  it("refuses an owner that is not stored", () => {
    const metadata = { name: "main", namespace: "shop" };
    assert.throws(() => controlledBy({ ...owner, metadata }), /Builder shop\/main has no uid/);
  });
});
