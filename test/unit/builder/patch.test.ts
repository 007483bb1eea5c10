// Strategic merge as kubectl does it: lists with an identity by their keys, all else replaced.

import assert from "node:assert/strict";
import { PatchError, placed, strategicMerge } from "../../../src/builder/kubernetes/patch.ts";

const base = {
  metadata: { labels: { a: "1", b: "2" } },
  spec: {
    containers: [
      { name: "one", image: "1", args: ["x", "y"], env: [{ name: "A", value: "1" }] },
      { name: "two", image: "2" },
    ],
    volumes: [{ name: "v", emptyDir: {} }],
    tolerations: [{ key: "a" }],
    nodeSelector: { zone: "a" },
  },
};

const cases: readonly (readonly [string, Record<string, unknown>, unknown])[] = [
  [
    "changes one container by its name and leaves the other",
    { spec: { containers: [{ name: "two", image: "3" }] } },
    ["1", "3"],
  ],
  [
    "adds a container after the others",
    { spec: { containers: [{ name: "new", image: "n" }] } },
    ["1", "2", "n"],
  ],
  ["removes a container", { spec: { containers: [{ name: "one", $patch: "delete" }] } }, ["2"]],
  [
    "overlooks the removal of what is not there",
    { spec: { containers: [{ name: "x", $patch: "delete" }] } },
    ["1", "2"],
  ],
  [
    "replaces a whole list",
    { spec: { containers: [{ $patch: "replace" }, { name: "new", image: "n" }] } },
    ["n"],
  ],
];

describe("a strategic merge patch", () => {
  for (const [what, patch, images] of cases) {
    it(what, () => {
      const result = strategicMerge(base, patch);
      assert.deepEqual(
        result.spec.containers.map(({ image }) => image),
        images,
      );
    });
  }

  it("merges lists inside of lists, each by its own key", () => {
    const patch = {
      spec: {
        containers: [
          {
            name: "one",
            env: [{ name: "B", value: "2" }],
            volumeMounts: [{ mountPath: "/m", name: "v" }],
            ports: [{ containerPort: 1 }],
          },
        ],
      },
    };
    const [one] = strategicMerge(base, patch).spec.containers;
    assert.deepEqual(one, {
      name: "one",
      image: "1",
      args: ["x", "y"],
      env: [
        { name: "A", value: "1" },
        { name: "B", value: "2" },
      ],
      volumeMounts: [{ mountPath: "/m", name: "v" }],
      ports: [{ containerPort: 1 }],
    });
  });

  it("puts a handler in the place of another kind, and leaves what stands beside it", () => {
    const template = {
      lifecycle: { preStop: { sleep: { seconds: 1 } } },
      livenessProbe: { exec: { command: ["true"] }, periodSeconds: 2 },
      startupProbe: { exec: { command: ["true"] } },
    };
    const patch = {
      lifecycle: { preStop: { exec: { command: ["sync"] } } },
      livenessProbe: { httpGet: { port: 1 } },
      startupProbe: { periodSeconds: 9 },
    };
    assert.deepEqual(strategicMerge(template, patch), {
      lifecycle: { preStop: { exec: { command: ["sync"] } } },
      livenessProbe: { httpGet: { port: 1 }, periodSeconds: 2 },
      startupProbe: { exec: { command: ["true"] }, periodSeconds: 9 },
    });
  });

  it("replaces lists without an identity", () => {
    const { spec } = strategicMerge(base, { spec: { tolerations: [{ key: "b" }] } });
    assert.deepEqual(spec.tolerations, [{ key: "b" }]);
  });

  it("merges maps, removes by null, and replaces when told so", () => {
    const patch = {
      metadata: { labels: { a: null, c: "3" } },
      spec: { nodeSelector: { $patch: "replace", disk: "ssd" } },
    };
    const result = strategicMerge(base, patch);
    assert.deepEqual(result.metadata.labels, { b: "2", c: "3" });
    assert.deepEqual(result.spec.nodeSelector, { disk: "ssd" });
  });

  it("finds a container that the template starts as one of init", () => {
    const patch = { spec: { containers: [{ name: "a", image: "1" }, { name: "b" }] } };
    assert.deepEqual(placed(patch, ["a"]), {
      spec: { containers: [{ name: "b" }], initContainers: [{ name: "a", image: "1" }] },
    });
    assert.equal(placed(patch, ["c"]), patch);
  });

  it("leaves the template as it was, and says the same when applied again", () => {
    const before = structuredClone(base);
    const patch = { spec: { containers: [{ name: "new", image: "n" }], volumes: [{ name: "w" }] } };
    const once = strategicMerge(base, patch);
    assert.deepEqual(strategicMerge(once, patch), once);
    assert.deepEqual(base, before);
  });

  const refused: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
    [
      "an entry without its key",
      { spec: { containers: [{ image: "x" }] } },
      /containers\[0\] has no name, by which/,
    ],
    ["an entry that is no object", { spec: { volumes: ["v"] } }, /volumes\[0\] is no object/],
    ["an unknown directive", { spec: { $patch: "merge" } }, /\$patch is "merge": only replace/],
    [
      "lists of primitives by parts",
      { spec: { "$deleteFromPrimitiveList/x": ["a"] } },
      /is not known: write the list whole/,
    ],
  ];
  for (const [what, patch, says] of refused) {
    it(`is refused with ${what}`, () => {
      assert.throws(
        () => strategicMerge(base, patch),
        (error) => error instanceof PatchError && says.test(error.message),
      );
    });
  }
});
