// A Bake by kubectl alone: apply the example, wait, run what came out, cancel and delete.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { aBuilder, cluster } from "./fixture.ts";

describe("a Bake in a cluster", () => {
  let ns = "";

  before(async () => {
    ns = await cluster.namespace("bakes");
    await cluster.apply(ns, aBuilder());
  });

  after(async () => await cluster.removeNamespace(ns));

  it("builds the example, whose images a pod runs, and is deleted with its BuildRuns", async () => {
    const example = new URL("../../examples/bake.yaml", import.meta.url);
    await cluster.applyText(ns, await readFile(example, "utf8"));
    const wait = ["wait", "--for=condition=Succeeded", "bake/bake", "-n", ns, "--timeout=240s"];
    await cluster.kubectl(["--request-timeout=0", ...wait]).catch(() => "");
    const table = await cluster.kubectl(["get", "bakes", "-n", ns]);
    assert.match(table, /NAME +PHASE +TARGETS +DONE +FAILED +REASON +AGE/);
    assert.match(table, /bake +Succeeded +3 +3 +0 +Succeeded/);
    const path = "-o=jsonpath={.status.targets[?(@.name=='hello')].digest}";
    const digest = await cluster.kubectl(["get", "bake", "bake", "-n", ns, path]);
    const image = `${cluster.registry()}/examples/hello@${digest}`;
    const said = await cluster.printedBy(ns, "hello", { containers: [{ name: "c", image }] });
    assert.equal(said, "hello kiln");
    await cluster.kubectl(["delete", "bake", "bake", "-n", ns]);
    await cluster.until("its BuildRuns to be gone", async () => {
      const names = await cluster.kubectl(["get", "buildruns", "-n", ns, "-o", "name"]);
      return names.trim() === "";
    });
  });

  it("ends builds that run when it is deleted", async () => {
    const target = { "dockerfile-inline": "FROM debian:bookworm-slim\nRUN sleep 600\n" };
    await cluster.apply(ns, {
      apiVersion: "kiln.build/v1alpha1",
      kind: "Bake",
      metadata: { name: "long" },
      spec: { file: { inline: { target: { a: target } } }, targets: ["a"] },
    });
    const phases = ["get", "bake", "long", "-n", ns, "-o=jsonpath={.status.targets[*].phase}"];
    await cluster.until("the build", async () => (await cluster.kubectl(phases)) === "Running");
    await cluster.kubectl(["delete", "bake", "long", "-n", ns]);
    await cluster.until("its BuildRun to be gone", async () => {
      const names = await cluster.kubectl(["get", "buildruns", "-n", ns, "-o", "name"]);
      return names.trim() === "";
    });
  });
});
