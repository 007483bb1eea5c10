// A remote Builder whose buildkitd is reached by exec in its pod: who may, and what is said when it is not there.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { builderImages } from "../cluster/index.ts";
import { aRun, cluster, type Manifest } from "./fixture.ts";

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

const daemon = (name: string, command?: readonly string[]): Manifest => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name },
  spec: {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 1,
    containers: [
      { name: "side", image: builderImages().rootful, command: ["sleep", "1d"] },
      {
        name: "buildkitd",
        image: builderImages().rootful,
        securityContext: { privileged: true },
        ...(command === undefined ? {} : { command }),
      },
    ],
  },
});

describe("a remote Builder behind a pod", () => {
  let ns = "";
  before(async () => {
    ns = await cluster.namespace("exec");
    await cluster.apply(ns, daemon("own"), daemon("idle", ["sleep", "1d"]));
  });
  after(async () => {
    await cluster.removeNamespace(ns);
  });

  async function builder(name: string, remote: object, more = {}): Promise<void> {
    const metadata = { name };
    const spec = { remote, ...more };
    await cluster.apply(ns, { apiVersion: "kiln.build/v1alpha1", kind: "Builder", metadata, spec });
  }

  async function becomes(name: string, reason: string): Promise<Condition> {
    return await cluster.until(`${name} to be ${reason}`, async () => {
      const text = await cluster.kubectl(["get", "builder", name, "-n", ns, "-o", "json"]);
      const { status } = JSON.parse(text) as { status?: { conditions?: Condition[] } };
      const ready = status?.conditions?.find(({ type }) => type === "Ready");
      if (ready?.reason === reason) return ready;
      throw new Error(JSON.stringify(status));
    });
  }

  const endpoint = (pod = "own", container = "buildkitd"): string =>
    `kube-pod://${pod}?container=${container}`;

  it("needs the right to exec, and then builds", async () => {
    await builder("default", { endpoint: endpoint() });
    const { message } = await becomes("default", "ExecForbidden");
    assert.match(
      message,
      /default may not run programs in Pod .*\/own: allow it "get" and "create"/,
    );
    const verbs = ["--verb=get,create", "--resource=pods/exec"];
    await cluster.kubectl(["create", "role", "exec", "-n", ns, ...verbs]);
    const account = `--serviceaccount=${ns}:default`;
    await cluster.kubectl(["create", "rolebinding", "exec", "-n", ns, "--role=exec", account]);
    await becomes("default", "InstancesReady");
    await cluster.apply(ns, aRun("one", "FROM scratch\nWORKDIR /a\n"));
    const status = await cluster.finished(ns, "one");
    assert.equal(status.phase, "Succeeded", JSON.stringify(status.failure));
    assert.equal(status.attempts?.[0]?.instance, "remote-0");
  });

  it("of another cluster is reached with a kubeconfig from a Secret", async () => {
    const text = readFileSync(process.env["KILN_E2E_KUBECONFIG"] ?? "");
    const stringData = { kubeconfig: text.toString("utf8") };
    const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "there" }, stringData };
    await cluster.apply(ns, secret);
    const names = ["--resource=secrets", "--resource-name=there"];
    await cluster.kubectl(["create", "role", "there", "-n", ns, "--verb=get", ...names]);
    const account = `--serviceaccount=${ns}:default`;
    await cluster.kubectl(["create", "rolebinding", "there", "-n", ns, "--role=there", account]);
    const remote = {
      endpoint: `${endpoint()}&namespace=${ns}`,
      kubeconfig: { secretRef: { name: "there" } },
    };
    await builder("away", remote);
    await becomes("away", "InstancesReady");
    await builder("away", { ...remote, endpoint: "kube-pod://own" });
    const { message } = await becomes("away", "PodNotFound");
    assert.match(message, /Pod default\/own does not exist/);
  });

  const faults: readonly (readonly [
    what: string,
    endpoint: string,
    reason: string,
    says: RegExp,
  ])[] = [
    ["there is no such pod", endpoint("none"), "PodNotFound", /Pod .*\/none does not exist/],
    ["there is no such container", endpoint("own", "none"), "PodNotRunning", /none/],
    ["no buildkitd runs in it", endpoint("idle"), "ConnectionRefused", /buildkitd\.sock/],
  ];
  for (const [index, [what, address, reason, says]] of faults.entries()) {
    it(`says so when ${what}`, async () => {
      await builder(`fault-${index}`, { endpoint: address });
      assert.match((await becomes(`fault-${index}`, reason)).message, says);
    });
  }
});
