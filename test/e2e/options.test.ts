// What a Builder asks of its pods, seen from inside a pod that runs.

import assert from "node:assert/strict";
import { cluster } from "./fixture.ts";

interface Pods {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly uid: string; deletionTimestamp?: string };
  }[];
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly message: string;
}

const buildkitd = {
  maxParallelism: 3,
  gc: { maxUsedSpace: "300Mi" },
  config: '[worker.oci.labels]\n  made-by = "text"\n',
};
const kubernetes = {
  security: "Privileged",
  tmpfs: { size: "512Mi" },
  labels: { team: "shop" },
  env: [
    { name: "FROM_SECRET", valueFrom: { secretKeyRef: { name: "settings", key: "word" } } },
    { name: "FROM_POD", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
  ],
  proxy: { httpProxy: "http://proxy.invalid:3128", noProxy: ["127.0.0.1"] },
  trustedCertificates: { configMapKeyRef: { name: "company", key: "ca.pem" } },
  volumes: [{ name: "extra", configMap: { name: "company" } }],
  volumeMounts: [{ name: "extra", mountPath: "/extra", readOnly: true }],
  podTemplatePatch: { metadata: { annotations: { "example.com/patched": "done" } } },
};

describe("a Builder with many options", () => {
  let ns = "";
  before(async () => {
    ns = await cluster.namespace("options");
    const metadata = { name: "settings" };
    await cluster.apply(
      ns,
      { apiVersion: "v1", kind: "Secret", metadata, stringData: { word: "first" } },
      {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "company" },
        data: { "ca.pem": "CA" },
      },
    );
    const names = ["--resource-name=settings", "--resource-name=company"];
    const role = ["create", "role", "reader", "-n", ns, "--verb=get"];
    await cluster.kubectl([...role, "--resource=secrets,configmaps", ...names]);
    const account = `--serviceaccount=${ns}:default`;
    await cluster.kubectl(["create", "rolebinding", "reader", "-n", ns, "--role=reader", account]);
    await cluster.apply(ns, {
      apiVersion: "kiln.build/v1alpha1",
      kind: "Builder",
      metadata: { name: "default" },
      spec: { kubernetes, buildkitd, allow: { entitlements: ["network.host"] } },
    });
    await ready();
  });
  after(async () => {
    await cluster.removeNamespace(ns);
  });

  async function ready(): Promise<void> {
    await cluster.until("the Builder", async () => {
      const text = await cluster.kubectl(["get", "builder", "default", "-n", ns, "-o", "json"]);
      const { status } = JSON.parse(text) as { status?: { conditions?: Condition[] } };
      const { conditions = [] } = status ?? {};
      if (conditions.some(({ type, status: is }) => type === "Ready" && is === "True")) return true;
      throw new Error(JSON.stringify(conditions));
    });
  }

  async function pod(): Promise<Pods["items"][number]> {
    const list = ["get", "pods", "-n", ns, "-l", "team=shop", "-o", "json"];
    const { items } = JSON.parse(await cluster.kubectl(list)) as Pods;
    const [one] = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    assert.ok(one !== undefined, "there is a pod with the label");
    return one;
  }

  async function inside(script: string): Promise<string> {
    const { metadata } = await pod();
    return await cluster.kubectl([
      "exec",
      metadata.name,
      "-n",
      ns,
      "-c",
      "buildkitd",
      "--",
      "sh",
      "-c",
      script,
    ]);
  }

  const facts: readonly (readonly [what: string, script: string, says: RegExp])[] = [
    ["keeps its state in memory", "df /var/lib/buildkit", /^tmpfs\s+524288\s/m],
    ["has a variable from a Secret", "tr '\\0' '\\n' < /proc/1/environ", /^FROM_SECRET=first$/m],
    ["has a variable from the pod", "tr '\\0' '\\n' < /proc/1/environ", /^FROM_POD=options-/m],
    ["has the proxy", "tr '\\0' '\\n' < /proc/1/environ", /^HTTP_PROXY=http:\/\/proxy\.invalid/m],
    ["finds the authorities", "cat /etc/kiln/certificates/*", /^CA$/m],
    ["finds the volume of its own", "cat /extra/ca.pem", /^CA$/m],
    ["has the label of its text", "buildctl debug workers -v", /made-by:\s+text/],
    [
      "keeps within the size of gc",
      "buildctl debug workers -v",
      /Max(?:imum)? [Uu]sed [Ss]pace:\s+314/,
    ],
  ];
  for (const [what, script, says] of facts) {
    it(what, async () => assert.match(await inside(script), says));
  }

  it("grants what it allows, and builds", async () => {
    await cluster.apply(ns, {
      apiVersion: "kiln.build/v1alpha1",
      kind: "BuildRun",
      metadata: { name: "one" },
      spec: { context: { none: {} }, dockerfile: { inline: "FROM scratch\nWORKDIR /a\n" } },
    });
    const status = await cluster.finished(ns, "one");
    assert.equal(status.phase, "Succeeded", JSON.stringify(status.failure));
  });

  it("rolls when what the Secret holds changes", async () => {
    const before = await pod();
    const word = Buffer.from("second").toString("base64");
    const patch = JSON.stringify({ data: { word } });
    await cluster.kubectl(["patch", "secret", "settings", "-n", ns, "-p", patch]);
    await cluster.until(
      "another pod",
      async () => (await pod()).metadata.uid !== before.metadata.uid,
    );
    await ready();
    await cluster.until("the new word", async () =>
      /^FROM_SECRET=second$/m.test(await inside("tr '\\0' '\\n' < /proc/1/environ")),
    );
  });
});
