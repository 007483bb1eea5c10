// Which Secrets and ConfigMaps of a person's the pods use, wherever they are named.

import assert from "node:assert/strict";
import { podTemplate } from "../../../src/builder/kubernetes/pod.ts";
import { references } from "../../../src/builder/kubernetes/references.ts";
import { aRender, aSpec } from "./samples.ts";

type Kubernetes = Parameters<typeof aRender>[0];

const of = (kubernetes: Kubernetes, over: Parameters<typeof aRender>[1] = {}): string[] =>
  references(podTemplate(aRender(kubernetes, over)).spec).map(
    ({ kind, name, keys, optional }) =>
      `${kind} ${name} ${keys?.join(",") ?? "all"}${optional ? " optional" : ""}`,
  );

const secret = (name: string, key: string, optional?: boolean) => ({
  valueFrom: { secretKeyRef: { name, key, ...(optional === undefined ? {} : { optional }) } },
});
const volumes = [
  { name: "a", secret: { secretName: "whole" } },
  { name: "b", configMap: { name: "some", items: [{ key: "k", path: "p" }], optional: true } },
  {
    name: "c",
    projected: { sources: [{ secret: { name: "part", items: [{ key: "x", path: "y" }] } }] },
  },
  { name: "d", emptyDir: {} },
];

const cases: readonly (readonly [string, Kubernetes, readonly string[]])[] = [
  ["nothing of a Builder that names none, and never Kiln's own certificate", {}, []],
  [
    "variables, with all keys of one object together",
    {
      env: [
        { name: "A", ...secret("s", "b") },
        { name: "B", ...secret("s", "a") },
      ],
    },
    ["Secret s a,b"],
  ],
  [
    "an object as optional only if every use of it is",
    {
      env: [
        { name: "A", ...secret("s", "a", true) },
        { name: "B", ...secret("s", "b") },
        { name: "C", ...secret("t", "a", true) },
      ],
    },
    ["Secret s a,b", "Secret t a optional"],
  ],
  [
    "volumes of every kind",
    { volumes },
    ["ConfigMap some k optional", "Secret part x", "Secret whole all"],
  ],
  [
    "authorities",
    { trustedCertificates: { configMapKeyRef: { name: "company", key: "ca.pem" } } },
    ["ConfigMap company ca.pem"],
  ],
  [
    "what a patch brings",
    {
      podTemplatePatch: {
        spec: { containers: [{ name: "side", envFrom: [{ secretRef: { name: "all-of-it" } }] }] },
      },
    },
    ["Secret all-of-it all"],
  ],
];

describe("the references of a pod have", () => {
  for (const [what, kubernetes, is] of cases) {
    it(what, () => assert.deepEqual(of(kubernetes), is));
  }

  it("the files of registries", () => {
    const { buildkitd } = aSpec({
      kubernetes: {},
      buildkitd: { registries: [{ host: "a.example", clientCertificate: { secretName: "id" } }] },
    });
    assert.deepEqual(of({}, { buildkitd }), ["Secret id tls.crt,tls.key"]);
  });
});
