// Whom to trust of a registry, from what several sources say of it.

import assert from "node:assert/strict";
import { parseReference } from "../../../src/registry/reference.ts";
import { type RegistryTrust, trustOf, trustOfBoth } from "../../../src/registry/authorities.ts";

const host = "registry.example:5000";
const trust = (ca: string, ...insecure: string[]): RegistryTrust => ({
  authorities: new Map([[host, ca]]),
  insecureRegistries: new Set(insecure),
});

describe("what is trusted of a registry", () => {
  const cases: [string, RegistryTrust, string, boolean, ReturnType<typeof trustOf>][] = [
    ["nothing that nobody says", {}, host, false, { insecure: false }],
    ["its authority", trust("a"), host, false, { ca: "a", insecure: false }],
    ["no authority of another", trust("a", host), "other.example", false, { insecure: false }],
    ["anything, when it is named so", trust("a", host), host, false, { ca: "a", insecure: true }],
    ["anything, when the run says so", {}, host, true, { insecure: true }],
    ["nothing for another port", trust("a", host), "registry.example", false, { insecure: false }],
  ];
  for (const [what, given, domain, insecure, expected] of cases)
    it(`is ${what}`, () => {
      assert.deepEqual(trustOf(given, { domain }, insecure), expected);
    });

  it("is what is said of Docker Hub under either of its names", () => {
    const { domain } = parseReference("busybox");
    for (const name of ["docker.io", "registry-1.docker.io"])
      assert.deepEqual(trustOf({ insecureRegistries: new Set([name]) }, { domain }), {
        insecure: true,
      });
  });

  it("is what any of two sources says", () => {
    const both = trustOfBoth(trust("a", "x.example"), trust("b", host));
    assert.deepEqual(both.authorities, new Map([[host, "a\nb"]]));
    assert.deepEqual(both.insecureRegistries, new Set(["x.example", host]));
    assert.deepEqual(trustOfBoth({}, trust("b")).authorities, new Map([[host, "b"]]));
    assert.deepEqual(trustOfBoth(trust("a"), {}).authorities, new Map([[host, "a"]]));
  });
});
