import assert from "node:assert/strict";
import { podGroups } from "../../../src/builder/kubernetes/groups.ts";
import { workload } from "../../../src/builder/kubernetes/workload.ts";
import { podInstance } from "../../../src/builder/health/facts.ts";
import { workloadName } from "../../../src/builder/names.ts";
import { viewsOf } from "../../../src/builder/reconcile/views.ts";
import type { BuilderWorld } from "../../../src/builder/reconcile/world.ts";
import { specFault } from "../../../src/builder/spec-fault.ts";
import type { Pod } from "../../../src/kube/types.ts";
import { aPod, aRender, aSpec } from "./samples.ts";

const spec = aSpec({
  nodes: [
    { name: "amd", kubernetes: { security: "Privileged" } },
    { name: "far", remote: { endpoint: "tcp://buildkitd.example.com:1234" } },
    { name: "arm", platforms: ["linux/arm64"], kubernetes: { storage: { size: "1Gi" } } },
  ],
});

function podOf(name: string, node?: string): Pod {
  return aPod({}, { name, labels: node === undefined ? {} : { "kiln.build/node": node } });
}

function aWorld(over: Partial<BuilderWorld>): BuilderWorld {
  const pods = [podOf("a", "amd"), podOf("b", "arm"), podOf("c", "gone"), podOf("d")];
  const none = { workloads: [], services: [], networkPolicies: [], disruptionBudgets: [] };
  const instances = pods.map((pod) => podInstance(pod, undefined));
  return { spec, owned: { ...none, pods }, instances, ...over } as unknown as BuilderWorld;
}

describe("a Builder with pods of several kinds", () => {
  it("is looked at kind by kind, and then at what is left", () => {
    const seen = viewsOf(aWorld({})).map((view) => [
      view.node,
      view.spec?.kubernetes?.security,
      view.owned.pods.map(({ metadata }) => metadata.name),
      view.instances.map(({ id }) => id),
    ]);
    assert.deepEqual(seen, [
      ["amd", "Privileged", ["a"], ["a"]],
      ["arm", "Rootless", ["b"], ["b"]],
      [undefined, undefined, ["c", "d"], ["c", "d"]],
    ]);
  });

  it("has one view of its own pods and none of what is not there", () => {
    const owned = { ...aWorld({}).owned, pods: [podOf("d")] };
    const views = viewsOf(aWorld({ spec: aSpec({ kubernetes: {} }), owned }));
    assert.deepEqual(
      views.map(({ node, owned: { pods } }) => [node, pods.length]),
      [[undefined, 1]],
    );
  });

  it("has its platforms by kind", () => {
    assert.deepEqual(
      podGroups(spec).map(({ node, platforms }) => [node, platforms]),
      [
        ["amd", undefined],
        ["arm", ["linux/arm64"]],
      ],
    );
  });

  it("never shares a name or a selector with another Builder", () => {
    const ref = (name: string) => ({ kind: "Builder", namespace: "shop", name }) as const;
    const names = [
      workloadName(ref("a"), "b-c"),
      workloadName(ref("a-b"), "c"),
      workloadName(ref("a-b-c")),
      workloadName(ref("a"), "b-d"),
      workloadName(ref("x".repeat(40)), "y".repeat(40)),
    ];
    assert.equal(new Set(names).size, names.length);
    assert.ok(names.every((name) => name.length <= 52));
    const made = workload({ ...aRender(), node: "arm" });
    assert.equal(made.spec?.selector.matchLabels?.["kiln.build/node"], "arm");
    assert.equal(made.spec?.template?.metadata?.labels?.["kiln.build/node"], "arm");
  });

  it("has the fault of a kind told with its place", () => {
    const patch = { metadata: { labels: { "kiln.build/builder": "other" } } };
    const faulty = aSpec({ nodes: [{ name: "amd", kubernetes: { podTemplatePatch: patch } }] });
    assert.match(specFault(faulty) ?? "", /^spec\.nodes\[amd\]\.kubernetes\.podTemplatePatch/);
  });
});
