// What the controller may never be given, and that what the slices ask for is none of it.

import assert from "node:assert/strict";
import { faults, type PolicyRule } from "../../../src/api/rbac.ts";
import { rules as builder } from "../../../src/builder/rbac.ts";
import { rules as buildrun } from "../../../src/buildrun/rbac.ts";
import { rules as kube } from "../../../src/kube/rbac.ts";

const rule = (part: Partial<PolicyRule>): PolicyRule => ({
  scope: "Cluster",
  apiGroups: [""],
  resources: ["pods"],
  verbs: ["get"],
  why: "A test.",
  ...part,
});

describe("a right is refused", () => {
  const cases: readonly (readonly [name: string, part: Partial<PolicyRule>, want: RegExp])[] = [
    ["for every verb", { verbs: ["*"] }, /wildcard/],
    ["for every resource", { resources: ["*"] }, /wildcard/],
    ["for every group", { apiGroups: ["*"] }, /wildcard/],
    ["to read Secrets of tenants", { resources: ["secrets"] }, /run's service account/],
    [
      "to read a Secret that may be a tenant's",
      { resources: ["secrets"], resourceNames: ["kiln-builder-tls", "npm"] },
      /run's service account/,
    ],
    [
      "to list Secrets, though by name",
      { resources: ["secrets"], resourceNames: ["kiln-builder-tls"], verbs: ["list"] },
      /does not limit list/,
    ],
    [
      "to watch Secrets of Kiln's own namespace",
      { scope: "Kiln", resources: ["secrets"], verbs: ["watch"] },
      /does not limit list/,
    ],
    ["to run programs in pods", { resources: ["pods/exec"], verbs: ["create"] }, /way into pods/],
    ["to give rights", { resources: ["clusterroles"], verbs: ["bind"] }, /give rights/],
    ["to act as a user", { resources: ["users"], verbs: ["impersonate"] }, /only service accounts/],
  ];
  for (const [name, part, want] of cases) {
    it(name, () => assert.match(faults(rule(part)).join("\n"), want));
  }
});

describe("a right is granted", () => {
  const cases: readonly (readonly [name: string, part: Partial<PolicyRule>])[] = [
    ["to watch pods", { verbs: ["list", "watch"] }],
    [
      "to write a Secret of Kiln's",
      { resources: ["secrets"], resourceNames: ["kiln-builder-tls"] },
    ],
    ["to act as a service account", { resources: ["serviceaccounts"], verbs: ["impersonate"] }],
  ];
  for (const [name, part] of cases) {
    it(name, () => assert.deepEqual(faults(rule(part)), []));
  }

  for (const [slice, rules] of Object.entries({ builder, buildrun, kube })) {
    it(`for everything that ${slice} asks for, with a reason each`, () => {
      assert.deepEqual(rules.flatMap(faults), []);
      for (const { why } of rules) assert.match(why, /^[A-Z].*\.$/s);
    });
  }
});
